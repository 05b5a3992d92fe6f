"""Statements made ready once: SQLAlchemy writes and types them, the driver alone runs them.

A statement object that is executed again is compiled for its engine once, with the conversions of its values and of
its columns, and from then on goes straight to the driver's cursor: SQLAlchemy's execution of one costs several times
what the database needs for it, some twenty times a message (docs/performance.md). What is executed once, or
needs SQLAlchemy's own care (a long list, a default to compute), takes SQLAlchemy's way. Same values in, same values
out, same exceptions.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

from sqlalchemy import Executable, Float, Insert, Numeric
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.sql.compiler import SQLCompiler

Convert = Callable[[Any], Any]
Values = Mapping[str, Any]
_Place = tuple[str, Convert | None, bool, Any]  # name, conversion, whether it is a constant, which

LIST_MOST = 8  # a list in a statement makes a statement for each length: longer ones are SQLAlchemy's


class Rows:
    """What a prepared statement gave: as much of SQLAlchemy's `Result` as the hub uses."""

    __slots__ = ("_cursor", "_prepared")

    def __init__(self, cursor: Any, prepared: Prepared) -> None:
        self._cursor = cursor
        self._prepared = prepared

    @property
    def rowcount(self) -> int:
        return int(self._cursor.rowcount)

    def __iter__(self) -> Iterator[Any]:
        return map(self._prepared.row, self._cursor)

    def all(self) -> list[Any]:
        return list(map(self._prepared.row, self._cursor.fetchall()))

    def first(self) -> Any:
        """The first row, None without one; the others are forgotten."""
        raw = self._cursor.fetchone()
        if raw is None:
            return None
        row = self._prepared.row(raw)
        self._cursor.close()
        return row

    def one(self) -> Any:
        rows = self.all()
        if len(rows) != 1:
            raise InvalidRequestError(f"one row was expected, not {len(rows)}")
        return rows[0]

    def scalar(self) -> Any:
        row = self.first()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:
        return self.one()[0]

    def scalars(self) -> Iterator[Any]:
        return (row[0] for row in self)


class Prepared:
    """One statement for one engine."""

    def __init__(self, compiled: SQLCompiler, dialect: Dialect, values: Values) -> None:
        state = compiled.construct_expanded_state({**values})
        self.text = state.statement
        self._converts: dict[str, Convert] = {
            name: convert
            for name, convert in {**compiled._bind_processors, **state.processors}.items()  # single ones, lists
            if callable(convert)
        }
        self._lists = {name: spread for name, spread in state.parameter_expansion.items() if name in values}
        given = {*values, *(one for spread in self._lists.values() for one in spread)}
        self._constants = {
            name: self._converted(name, value) for name, value in state.parameters.items() if name not in given
        }
        # The values in order; None when the driver takes them by name.
        self._places = None if state.positiontup is None else tuple(map(self._place, state.positiontup))
        self._row_type, self._row_converts = _columns_of(compiled, dialect)

    def values(self, given: Values) -> Any:
        """As the driver wants them. Raises KeyError for one that is missing."""
        if self._lists:
            given = dict(given)
            for name, spread in self._lists.items():
                given.update(zip(spread, given.pop(name), strict=True))
        if self._places is None:
            converts, named = self._converts, dict(self._constants)
            for name, value in given.items():
                named[name] = converts[name](value) if name in converts else value
            return named
        return tuple(
            [
                constant if is_constant else given[name] if convert is None else convert(given[name])
                for name, convert, is_constant, constant in self._places
            ]
        )

    def row(self, raw: Sequence[Any]) -> Any:
        if not self._row_converts:
            return self._row_type(raw)
        changed = list(raw)
        for place, convert in self._row_converts:
            changed[place] = convert(changed[place])
        return self._row_type(changed)

    def _place(self, name: str) -> _Place:
        return name, self._converts.get(name), name in self._constants, self._constants.get(name)

    def _converted(self, name: str, value: Any) -> Any:
        return self._converts[name](value) if name in self._converts else value


class _Known:
    """One statement in its shapes: an insert has one for each set of columns, a statement with lists one for each
    length."""

    def __init__(self, statement: Any) -> None:
        self._shapes: dict[tuple[object, ...], Prepared | None] = {}
        self._lists: tuple[str, ...] | None = None
        self._is_insert = isinstance(statement, Insert)

    def shaped(self, statement: Any, values: Values, dialect: Dialect) -> Prepared | None:
        if self._lists is None:
            self._lists = _lists_of(statement, dialect)
        lengths = tuple([len(values[name]) for name in self._lists])
        if lengths and max(lengths) > LIST_MOST:
            return None
        shape: tuple[object, ...] = tuple(values) if self._is_insert else lengths
        if shape not in self._shapes:
            self._shapes[shape] = _prepared(statement, values, dialect)
        return self._shapes[shape]


class QuickConnection(Connection):
    """A connection that knows the statements it met before. `known` is shared by all connections of an engine."""

    known: ClassVar[WeakKeyDictionary[Executable, _Known]]
    is_opened = False  # by `transaction`
    _raw: Any = None  # the driver's connection while it is
    _given: Any = None  # what gives rows, while it is: cursors, and results of SQLAlchemy

    def __enter__(self) -> Self:
        return self

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        if execution_options is None and (prepared := self._prepared(statement, parameters)) is not None:
            return self._run(prepared, parameters)
        result = super().execute(statement, parameters, execution_options=execution_options)
        if self.is_opened:
            self._given.append(result)
        return result

    def _prepared(self, statement: Any, parameters: Any) -> Prepared | None:
        """None the first time, and for what SQLAlchemy must do itself."""
        several = isinstance(parameters, list)
        if several and not parameters:
            return None
        known = self.known.get(statement)
        if known is None:
            self.known[statement] = _Known(statement)
            return None
        first: Values = (parameters[0] if several else parameters) or {}
        return known.shaped(statement, first, self.dialect)

    @contextmanager
    def transaction(self, opening: Callable[[Self], None] | None) -> Iterator[Self]:
        """One transaction, begun and ended in the driver's words (by `opening` where the driver begins none by itself);
        what SQLAlchemy executes inside joins it. Raises what the block raises, after a rollback. Rows that were not
        taken by its end are lost."""
        self._raw = self.connection.dbapi_connection
        self.is_opened, self._given = True, []
        try:
            if opening:
                opening(self)
            yield self
            self._forget_rows()
            self._commit()
        except BaseException:
            self._forget_rows()
            self._roll_back()
            raise
        finally:
            self.is_opened, self._raw, self._given = False, None, None

    def _forget_rows(self) -> None:
        """A cursor with rows left, alive in a traceback for example, keeps SQLite's snapshot: the next transaction of
        this connection would read an old state, or wait in vain to write (SQLITE_BUSY_SNAPSHOT)."""
        for one in self._given:
            with suppress(self.dialect.loaded_dbapi.Error, DBAPIError):
                one.close()
        self._given.clear()

    def _commit(self) -> None:
        if self.in_transaction():  # SQLAlchemy joined: its commit is the driver's
            self.commit()
            return
        try:
            self._driver.commit()
        except self.dialect.loaded_dbapi.Error as error:
            raise self._named(error, "COMMIT", None) from error

    def _roll_back(self) -> None:
        """Here and now, not when the connection is closed: SQLite keeps a transaction, and its lock, as long as some
        cursor of it lives, for example in a traceback."""
        if self.invalidated:
            return
        with suppress(self.dialect.loaded_dbapi.Error, DBAPIError):  # broken: whoever holds it closes it
            if self.in_transaction():
                self.rollback()
            self._driver.rollback()

    @property
    def _driver(self) -> Any:
        """Asked some fifteen times a message: without SQLAlchemy's way to it."""
        return self._raw if self._raw is not None else self.connection.dbapi_connection

    def _run(self, prepared: Prepared, parameters: Any) -> Rows:
        if not self.is_opened and not self.in_transaction():
            self.begin()  # as SQLAlchemy does at the first statement
        cursor = self._driver.cursor()
        if self.is_opened:
            self._given.append(cursor)
        try:
            if isinstance(parameters, list):
                cursor.executemany(prepared.text, list(map(prepared.values, parameters)))
            else:
                cursor.execute(prepared.text, prepared.values(parameters or {}))
        except self.dialect.loaded_dbapi.Error as error:
            raise self._named(error, prepared.text, cursor) from error
        return Rows(cursor, prepared)

    def run(self, text: str) -> None:
        """A word to the engine that gives nothing back and belongs to no statement: BEGIN, SAVEPOINT, PRAGMA."""
        try:
            self._driver.cursor().execute(text)
        except self.dialect.loaded_dbapi.Error as error:
            raise self._named(error, text, None) from error

    def _named(self, error: Exception, text: str, cursor: Any) -> BaseException:
        """The driver's error as SQLAlchemy names it; a broken connection is not used again."""
        dialect = self.dialect
        is_lost = dialect.is_disconnect(error, self._driver, cursor)  # type: ignore[arg-type]
        if is_lost:
            self._raw = None
            self.invalidate(error)
        return DBAPIError.instance(
            text,
            None,
            error,
            dialect.loaded_dbapi.Error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=dialect,
        )


def quick(dialect: Dialect) -> type[QuickConnection]:
    """The class of an engine's connections."""

    class Quick(QuickConnection):
        known: ClassVar[WeakKeyDictionary[Executable, _Known]] = WeakKeyDictionary()

    return Quick


def _lists_of(statement: Any, dialect: Dialect) -> tuple[str, ...]:
    """The names of the lists that a caller gives (those that stand in the statement never change)."""
    compiled = statement.compile(dialect=dialect)
    if not isinstance(compiled, SQLCompiler):
        return ()
    return tuple(str(one.key) for one in compiled.post_compile_params if one.required)


def _prepared(statement: Any, values: Values, dialect: Dialect) -> Prepared | None:
    keys = list(values) if isinstance(statement, Insert) else None
    compiled = statement.compile(dialect=dialect, column_keys=keys)
    if not isinstance(compiled, SQLCompiler):
        return None
    computed = ("insert_prefetch", "update_prefetch")  # columns that SQLAlchemy would fill in
    has_defaults = any(getattr(compiled, name, None) for name in computed)
    returns = bool(list(getattr(statement, "exported_columns", ())))
    if has_defaults or (compiled.effective_returning and not returns) or _asks_the_driver(statement, dialect):
        return None
    return Prepared(compiled, dialect, values)


def _asks_the_driver(statement: Any, dialect: Dialect) -> bool:
    """psycopg's numbers with a fraction are converted by the type that the cursor announces: known too late here."""
    columns = getattr(statement, "exported_columns", ())
    return dialect.name == "postgresql" and any(isinstance(column.type, Float | Numeric) for column in columns)


def _columns_of(compiled: SQLCompiler, dialect: Dialect) -> tuple[Convert, tuple[tuple[int, Convert], ...]]:
    """How a row is made of what the driver gives: its type, and what some of its columns need."""
    columns = list(getattr(compiled.statement, "exported_columns", ()))
    names = [str(column.key) for column in columns]
    row_type: Any = namedtuple("row_type", names, rename=True)  # type: ignore[misc]  # known only now
    converts = (column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns)
    return row_type._make, tuple((place, one) for place, one in enumerate(converts) if one is not None)
