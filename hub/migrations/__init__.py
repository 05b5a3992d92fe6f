"""The schema's versions: every change of `hub.tables` is a file in `versions/`, run in one transaction under a lock.

`upgrade` brings a database to the schema of this hub; any number of processes may call it at once, the first does
the work. `current` says where a database stands, `downgrade` goes back. A failed step leaves the schema as it was.
Fails with Temporary when the database is away and with Misconfigured when it was made by a newer hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from hub.errors import Misconfigured, Temporary

if TYPE_CHECKING:
    from alembic.config import Config

LATEST = "0007"  # known here so that a start need not load Alembic to find nothing to do (a test compares it)
_LOCK = 0x4875_6253  # any number that no other user of the same PostgreSQL database locks


class HasEngine(Protocol):
    """A `hub.database.Database` (a stranger on this floor): the engine that writes."""

    @property
    def engine(self) -> Engine: ...


def current(database: HasEngine) -> str | None:
    """The version of a database's schema, None when it is empty."""
    with _named_failures(), database.engine.connect() as connection:
        return _version(connection)


def upgrade(database: HasEngine) -> None:
    """Bring the schema to this hub's version."""
    if current(database) == LATEST:
        return
    with _alone(database) as connection:
        found = _version(connection)
        if found is not None and found > LATEST:
            raise Misconfigured(f"database_url: the database is at version {found}, this hub knows {LATEST} at most")
        if found != LATEST:
            from alembic import command

            command.upgrade(config(connection), LATEST)


def downgrade(database: HasEngine, revision: str) -> None:
    """Go back to a version (`base` for an empty database). What only the newer schema could hold is lost."""
    from alembic import command

    with _alone(database) as connection:
        command.downgrade(config(connection), revision)


def config(connection: Connection) -> Config:
    """Alembic's configuration for one connection, which is already in a transaction."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


@contextmanager
def _alone(database: HasEngine) -> Iterator[Connection]:
    """One transaction in which no other process migrates."""
    with _named_failures(), database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            with _sqlite_alone(connection):
                yield connection
        else:
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                yield connection


@contextmanager
def _sqlite_alone(connection: Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE is the lock. A table is changed by making it anew, which foreign keys would forbid: they are
    off meanwhile and checked before the commit (sqlite.org/lang_altertable.html §7)."""
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute("PRAGMA foreign_keys=OFF").close()
    try:
        with connection.begin():
            yield
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise Misconfigured("database_url: a migration would leave rows that name missing rows")
    finally:
        driver.execute("PRAGMA foreign_keys=ON").close()


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise Temporary(f"database: {type(error.orig).__name__}") from None
