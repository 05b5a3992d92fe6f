"""A migrated database on each engine, and empty ones for the migrations: import the fixtures that a test needs.

SQLite in the test's folder; PostgreSQL as tests/edges/postgres.py finds or makes it, where each test has the same
throw-away database, emptied before it, and migration tests one of their own.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from psycopg import sql
from sqlmodel import SQLModel

from hub import migrations
from hub.database import Database
from tests.edges.postgres import server_url

Engine = Literal["sqlite", "postgresql"]
ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql")


@contextmanager
def migrated(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        migrations.upgrade(database)
        yield database
    finally:
        database.close()


@contextmanager
def postgres_database() -> Iterator[str]:
    """The url of a throw-away empty database."""
    name = f"hub_test_{secrets.token_hex(6)}"
    server = server_url()
    with psycopg.connect(server, autocommit=True, connect_timeout=10) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield server.rpartition("/")[0] + f"/{name}"
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """The url of this session's migrated database."""
    with postgres_database() as url:
        with migrated(url):
            pass
        yield url


def empty_tables(url: str) -> None:
    """As after the migration (making a new database for each test takes a second)."""
    deletes = [f'DELETE FROM "{table.name}";' for table in reversed(SQLModel.metadata.sorted_tables)]
    head = f"INSERT INTO journal_head (id, number, hash) VALUES (1, 0, '{'0' * 64}')"
    with psycopg.connect(url) as connection:
        connection.execute("".join(deletes) + head)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    with migrated(f"sqlite:///{file}"):
        pass
    return file


@contextmanager
def url_of(engine: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The url of a migrated database of this test, on the engine."""
    if engine == "sqlite":
        file = folder / "hub.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
    else:
        kept: str = request.getfixturevalue("postgres_template")
        empty_tables(kept)
        yield kept


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The url of a migrated database, on each engine in turn."""
    with url_of(request.param, request, tmp_path) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, on each engine in turn."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The url of an empty database, on each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        with postgres_database() as url:
            yield url
