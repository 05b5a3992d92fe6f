"""A table of one row a mailbox, made into values again only when a row of it changed.

The lookout of a quiet hub reads the same rows each minute. The database puts them in one text, which costs it little;
only a text that differs from the last one is worth reading them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, String, Table, cast, func, literal, select
from sqlalchemy.engine import Connection

T = TypeVar("T")

_BETWEEN = "\x1f"  # columns


class KeptTable(Generic[T]):
    """`make`: a row as the value of its mailbox, which stands in its first column."""

    def __init__(self, table: Table, make: Callable[[Row[Any]], T]) -> None:
        line: ColumnElement[str] = literal("")
        for column in table.c:
            line = line + func.coalesce(cast(column, String), "\x1e") + literal(_BETWEEN)
        self._text = select(func.aggregate_strings(line, "\n"))
        self._rows = select(table)
        self._make = make
        self._kept: tuple[str | None, Mapping[str, T]] = (None, {})

    def read(self, connection: Connection) -> Mapping[str, T]:
        """Mailbox -> its value. Not to be changed: others are given the same."""
        text = connection.execute(self._text).scalar()
        before, values = self._kept
        if text is None or text != before:
            values = {row[0]: self._make(row) for row in connection.execute(self._rows)}
            self._kept = text, values
        return values
