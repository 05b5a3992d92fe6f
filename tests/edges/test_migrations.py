"""The schema's versions, on both engines."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

import hub.tables  # noqa: F401  (fills SQLModel.metadata)
from hub import migrations
from hub.database import Database
from hub.errors import Misconfigured, Temporary
from tests.edges.engines import empty_url, migrated

__all__ = ["empty_url"]


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found: list[object] = compare_metadata(context, SQLModel.metadata)
    return found


def test_a_migrated_schema_equals_the_tables(empty_url: str) -> None:
    with migrated(empty_url) as database:
        assert database.read_now(_differences) == []
        assert migrations.current(database) == migrations.LATEST


def test_going_down_leaves_an_empty_database_and_up_again_the_same_schema(empty_url: str) -> None:
    with migrated(empty_url) as database:
        migrations.downgrade(database, "base")
        assert migrations.current(database) is None
        left = set(inspect(database.engine).get_table_names())
        assert left <= {"alembic_version"}
        migrations.upgrade(database)
        assert database.read_now(_differences) == []


def test_the_journal_has_its_head_from_the_first_moment(empty_url: str) -> None:
    with migrated(empty_url) as database:
        head = database.read_now(lambda c: c.execute(text("SELECT id, number, hash FROM journal_head")).all())
    assert [tuple(row) for row in head] == [(1, 0, "0" * 64)]


def test_upgrading_twice_changes_nothing(empty_url: str) -> None:
    with migrated(empty_url) as database:
        migrations.upgrade(database)
        assert migrations.current(database) == migrations.LATEST


def test_several_connections_may_start_at_once(empty_url: str) -> None:
    databases = [Database(empty_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrations.upgrade, databases))
    assert {migrations.current(database) for database in databases} == {migrations.LATEST}
    for database in databases:
        database.close()


START = """
import sys
from hub import migrations
from hub.database import Database
database = Database(sys.argv[1])
migrations.upgrade(database)
database.close()
"""


def test_several_processes_may_start_at_once(empty_url: str) -> None:
    starts = [subprocess.Popen([sys.executable, "-c", START, empty_url]) for _ in range(4)]
    assert [start.wait(timeout=60) for start in starts] == [0, 0, 0, 0]
    with migrated(empty_url) as database:
        assert database.read_now(_differences) == []


def test_a_failed_migration_leaves_the_schema_as_it_was(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = command.upgrade

    def run_and_fail(*arguments: object) -> None:
        run(*arguments)  # type: ignore[arg-type]
        raise OSError("the power failed")

    monkeypatch.setattr(command, "upgrade", run_and_fail)
    database = Database(empty_url)
    with pytest.raises(OSError, match="power"):
        migrations.upgrade(database)
    assert migrations.current(database) is None
    assert inspect(database.engine).get_table_names() == []
    database.close()


def test_a_database_of_a_newer_hub_is_refused(empty_url: str) -> None:
    with migrated(empty_url) as database:
        database.write_now(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
        with pytest.raises(Misconfigured, match="9999"):
            migrations.upgrade(database)


def test_foreign_keys_are_on_after_a_migration(empty_url: str) -> None:
    with migrated(empty_url) as database:
        if database.is_sqlite:
            assert database.write_now(lambda c: c.exec_driver_sql("PRAGMA foreign_keys").scalar()) == 1


def test_a_database_that_is_away_is_temporary() -> None:
    database = Database("postgresql://postgres@127.0.0.1:1/nowhere")
    with pytest.raises(Temporary, match="database"):
        migrations.upgrade(database)
    database.close()


def test_the_latest_version_is_the_head_of_the_scripts() -> None:
    with create_engine("sqlite://").connect() as connection:
        script = ScriptDirectory.from_config(migrations.config(connection))
        assert script.get_heads() == [migrations.LATEST]
