"""A host with the folder or the keys of another site is refused at its start, on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from hub.database import Database
from hub.errors import Misconfigured
from hub.spool.marker import NAME, belong
from hub.trust.keys import KeyRing
from tests.edges.engines import database, database_url, postgres_template, sqlite_template

__all__ = ["database", "database_url", "postgres_template", "sqlite_template"]

KEYS = KeyRing({"k1": bytes(32)})


def test_the_first_host_marks_folder_and_database_and_the_next_ones_belong(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "blobs"
    belong(database, KEYS, folder)
    marker = (folder / NAME).read_text().strip()
    assert database.read_now(lambda c: c.execute(text("SELECT marker FROM site")).scalar()) == marker
    belong(database, KEYS, folder)
    assert (folder / NAME).read_text().strip() == marker
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_hosts_that_start_together_agree(database: Database, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: belong(database, KEYS, tmp_path / "blobs"), range(8)))
    assert database.read_now(lambda c: c.execute(text("SELECT count(*) FROM site")).scalar()) == 1


def test_a_marker_that_a_crash_left_without_a_row_is_used(database: Database, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("ab" * 16 + "\n")
    belong(database, KEYS, tmp_path)
    assert database.read_now(lambda c: c.execute(text("SELECT marker FROM site")).scalar()) == "ab" * 16


@pytest.mark.parametrize("there", [None, "cd" * 16])
def test_another_folder_is_refused_with_what_to_do(database: Database, tmp_path: Path, there: str | None) -> None:
    belong(database, KEYS, tmp_path / "shared")
    own = tmp_path / "own"
    own.mkdir()
    if there:
        (own / NAME).write_text(there)
    with pytest.raises(Misconfigured, match="must be the same shared folder") as refused:
        belong(database, KEYS, own)
    marker = (tmp_path / "shared" / NAME).read_text().strip()
    assert f"echo {marker} > {own / NAME}" in refused.value.private
    (own / NAME).write_text(marker)  # what the message says
    belong(database, KEYS, own)


def test_other_keys_are_refused(database: Database, tmp_path: Path) -> None:
    belong(database, KEYS, tmp_path)
    with pytest.raises(Misconfigured, match="key_file"):
        belong(database, KeyRing({"k2": bytes(32)}), tmp_path)
    with pytest.raises(Misconfigured, match="key_file"):
        belong(database, KeyRing({"k1": b"x" * 32}), tmp_path)
    belong(database, KeyRing({"k1": bytes(32), "k2": b"x" * 32}), tmp_path)  # after `hub keys rotate`


def test_a_look_marks_nothing(database: Database, tmp_path: Path) -> None:
    belong(database, KEYS, tmp_path / "blobs", makes=False)
    assert not (tmp_path / "blobs").exists()
    assert database.read_now(lambda c: c.execute(text("SELECT count(*) FROM site")).scalar()) == 0


def test_what_is_no_marker_is_refused(database: Database, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("anything")
    with pytest.raises(Misconfigured, match="no marker"):
        belong(database, KEYS, tmp_path)
