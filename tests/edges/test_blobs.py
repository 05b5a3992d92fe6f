"""Blobs: sealed, durable before they are named, never removed while named."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from hub.errors import Damaged, Misconfigured, Temporary
from hub.raw import joined
from hub.spool import BlobStore, Cleaned, janitor, statements
from hub.spool.statements import BLOB
from hub.trust.keys import KeyRing
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import SqlBench, accept, arrival, sql_bench

__all__ = ["postgres_template", "sql_bench", "sqlite_template"]

LARGE = b"Dupont Camille, " * 20_000  # 320 KB, beyond the inline limit
HOUR = 3600


def _files(bench: SqlBench) -> list[Path]:
    return sorted(path for path in bench.folder.rglob("*") if path.is_file())


def _age(path: Path, bench: SqlBench, seconds: float) -> None:
    at = bench.clock.now.timestamp() - seconds
    os.utime(path, (at, at))


async def _named(bench: SqlBench, raw: bytes) -> str:
    blobs = bench.blobs()
    stored = await blobs.put(raw)
    await bench.database.write(lambda c: blobs.name(c, stored))
    return stored.sha256


@pytest.mark.parametrize("raw", [b"", b"petit", LARGE, LARGE * 8], ids=["empty", "small", "large", "chunks"])
async def test_what_was_put_and_named_is_got_back(sql_bench: SqlBench, raw: bytes) -> None:
    sha256 = await _named(sql_bench, raw)
    assert await sql_bench.blobs().get(sha256) == raw


async def test_a_small_blob_stays_in_its_row_and_a_large_one_in_a_file(sql_bench: SqlBench) -> None:
    small, large = await _named(sql_bench, b"petit"), await _named(sql_bench, LARGE)
    assert _files(sql_bench) == [sql_bench.folder / large[:2] / large]
    rows = await sql_bench.database.read(lambda c: dict(c.execute(select(BLOB.c.sha256, BLOB.c.sealed)).all()))
    assert rows[large] is None
    assert b"petit" not in rows[small]


async def test_no_clear_byte_touches_the_disk_even_while_it_is_written(sql_bench: SqlBench) -> None:
    sink = sql_bench.blobs().sink()
    for start in range(0, 8 * len(LARGE), 50_000):
        await sink.write((LARGE * 8)[start : start + 50_000])
    (draft,) = _files(sql_bench)
    assert draft.stat().st_size > 0
    assert b"Dupont" not in draft.read_bytes()
    await sink.finish()
    (blob,) = _files(sql_bench)
    assert b"Dupont" not in blob.read_bytes()
    assert blob.stat().st_mode & 0o077 == 0


async def test_equal_bytes_are_kept_once(sql_bench: SqlBench) -> None:
    assert await _named(sql_bench, LARGE) == await _named(sql_bench, LARGE)
    assert await _named(sql_bench, b"x") == await _named(sql_bench, b"x")
    assert len(_files(sql_bench)) == 1
    assert await sql_bench.database.read(lambda c: c.execute(select(func.count()).select_from(BLOB)).scalar()) == 2


async def test_altered_moved_or_missing_bytes_are_damaged(sql_bench: SqlBench) -> None:
    first, second = await _named(sql_bench, LARGE), await _named(sql_bench, LARGE[1:])
    path = sql_bench.folder / first[:2] / first
    whole = path.read_bytes()
    for raw in (
        whole[:-1],
        whole[:100] + b"\0" + whole[101:],
        b"",
        (sql_bench.folder / second[:2] / second).read_bytes(),
    ):
        path.write_bytes(raw)
        with pytest.raises(Damaged):
            await sql_bench.blobs().get(first)
    path.unlink()
    with pytest.raises(Damaged, match="missing"):
        await sql_bench.blobs().get(first)
    with pytest.raises(Damaged):
        await sql_bench.blobs().get("0" * 64)


async def test_a_row_moved_to_another_digest_is_damaged(sql_bench: SqlBench) -> None:
    first, second = await _named(sql_bench, b"un"), await _named(sql_bench, b"deux")
    taken = select(BLOB.c.sealed).where(BLOB.c.sha256 == second).scalar_subquery()
    await sql_bench.database.write(
        lambda c: c.execute(BLOB.update().where(BLOB.c.sha256 == first).values(sealed=taken))
    )
    with pytest.raises(Damaged):
        await sql_bench.blobs().get(first)


async def test_writing_again_heals_a_damaged_file(sql_bench: SqlBench) -> None:
    sha256 = await _named(sql_bench, LARGE)
    (sql_bench.folder / sha256[:2] / sha256).write_bytes(b"rust")
    await _named(sql_bench, LARGE)
    assert await sql_bench.blobs().get(sha256) == LARGE


async def test_a_blob_of_a_lost_key_is_a_misconfiguration(sql_bench: SqlBench) -> None:
    large, small = await _named(sql_bench, LARGE), await _named(sql_bench, b"x")
    sql_bench.keys = KeyRing({"k2": b"2" * 32})
    for sha256 in (large, small):
        with pytest.raises(Misconfigured, match="k1"):
            await sql_bench.blobs().get(sha256)


async def test_a_blob_is_durable_before_its_row(sql_bench: SqlBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync(file) < rename < fsync(folder) < the row, and new folders are fsynced into the one above."""
    seen: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(opened: int) -> None:
        name = os.readlink(f"/proc/self/fd/{opened}")
        seen.append(f"fsync {Path(name).suffix or Path(name).name}")
        fsync(opened)

    def watched_rename(old: Path, new: Path) -> None:
        seen.append("rename")
        rename(old, new)

    spool = sql_bench.spool()
    name = spool._blobs.name

    def watched_name(*arguments: object) -> None:
        seen.append("row")
        name(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    monkeypatch.setattr(spool._blobs, "name", watched_name)
    accepted = await accept(spool, LARGE)
    envelope = await spool.load(accepted.id)
    assert envelope is not None
    two = envelope.sha256[:2]
    assert seen == [
        f"fsync {sql_bench.folder.parent.name}",
        "fsync blobs",
        "fsync .part",
        "fsync blobs",
        "rename",
        f"fsync {two}",
        "row",
    ]


@pytest.mark.parametrize(("call", "code"), [("fsync", errno.EIO), ("fsync", errno.ENOSPC), ("rename", errno.EIO)])
async def test_a_failing_disk_is_temporary_and_leaves_nothing(
    sql_bench: SqlBench, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    spool = sql_bench.spool()
    await accept(spool, LARGE, uid=1)  # the folders are there
    real = getattr(os, call)

    def fails(*arguments: object) -> None:
        raise OSError(code, "disk")

    monkeypatch.setattr(os, call, fails)
    blob = await spool.new_blob()
    await blob.write(LARGE + b"2")
    with pytest.raises(Temporary, match=errno.errorcode[code]):
        await spool.accept(arrival(2), blob)
    await blob.discard()
    assert len(_files(sql_bench)) == 1
    with pytest.raises(Temporary):
        await spool.accept(arrival(2), blob)
    monkeypatch.setattr(os, call, real)
    assert (await accept(spool, LARGE + b"2", uid=2)).new


async def test_a_discarded_blob_leaves_nothing_and_an_accepted_one_stays(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    blob = await spool.new_blob()
    await blob.write(LARGE * 8)
    assert len(_files(sql_bench)) == 1
    await blob.discard()
    await blob.discard()
    assert _files(sql_bench) == []
    kept = await spool.new_blob()
    await kept.write(LARGE)
    accepted = await spool.accept(arrival(), kept)
    await kept.discard()
    envelope = await spool.load(accepted.id)
    assert envelope is not None
    assert await joined(await spool.raw(envelope)) == LARGE


async def test_a_cancelled_write_leaves_a_sink_that_can_be_discarded(sql_bench: SqlBench) -> None:
    sink = sql_bench.blobs().sink()
    writing = asyncio.ensure_future(sink.write(LARGE * 40))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await sink.discard()
    assert _files(sql_bench) == []


# --- the janitor


async def test_the_janitor_removes_drafts_of_dead_writers_only(sql_bench: SqlBench) -> None:
    living = sql_bench.blobs().sink()
    await living.write(LARGE * 8)
    (draft,) = _files(sql_bench)
    _age(draft, sql_bench, 5 * HOUR)
    dead, new = draft.with_name("dead.part"), draft.with_name("new.part")
    dead.write_bytes(b"x")
    new.write_bytes(b"x")
    _age(dead, sql_bench, 2 * HOUR)
    _age(new, sql_bench, -60)
    assert await sql_bench.blobs().clean() == Cleaned(temporary=1)
    assert set(_files(sql_bench)) == {draft, new}
    assert (await living.finish()).size == 8 * len(LARGE)


async def test_the_janitor_removes_old_files_that_no_row_names(sql_bench: SqlBench) -> None:
    named = await _named(sql_bench, LARGE)
    old, young = await sql_bench.blobs().put(LARGE + b"1"), await sql_bench.blobs().put(LARGE + b"2")
    for sha256, age in ((named, 9 * HOUR), (old.sha256, 2 * HOUR), (young.sha256, HOUR / 2)):
        _age(sql_bench.folder / sha256[:2] / sha256, sql_bench, age)
    foreign = sql_bench.folder / named[:2] / "README"
    foreign.write_text("not ours")
    _age(foreign, sql_bench, 9 * HOUR)
    cleaned = await sql_bench.blobs().clean()
    assert (cleaned, str(cleaned), bool(cleaned)) == (Cleaned(unnamed=1), "1", True)
    assert {path.name for path in _files(sql_bench)} == {named, young.sha256, "README"}
    assert not await sql_bench.blobs().clean()
    assert await sql_bench.blobs().get(named) == LARGE


async def test_the_janitor_of_a_site_without_blobs_finds_nothing(sql_bench: SqlBench) -> None:
    assert await sql_bench.blobs().clean() == Cleaned()


async def test_a_blob_that_the_janitor_took_before_it_was_named_is_not_named(sql_bench: SqlBench) -> None:
    blobs = sql_bench.blobs()
    stored = await blobs.put(LARGE)
    _age(sql_bench.folder / stored.sha256[:2] / stored.sha256, sql_bench, 2 * HOUR)
    await sql_bench.blobs().clean()
    with pytest.raises(Temporary, match="went away"):
        await sql_bench.database.write(lambda c: blobs.name(c, stored))
    assert await _named(sql_bench, LARGE) == stored.sha256


async def test_a_blob_written_again_while_the_janitor_looks_is_kept(
    sql_bench: SqlBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = sql_bench.blobs()
    stored = await blobs.put(LARGE)
    path = sql_bench.folder / stored.sha256[:2] / stored.sha256
    _age(path, sql_bench, 2 * HOUR)
    look = statements.named_among

    def looks_while_another_writes(*arguments: object) -> set[str]:
        _age(path, sql_bench, 0)
        return look(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(janitor, "named_among", looks_while_another_writes)
    assert not await blobs.clean()
    assert path.exists()


async def test_a_blob_that_is_named_while_the_janitor_looks_is_kept(
    sql_bench: SqlBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = sql_bench.blobs()
    stored = await blobs.put(LARGE)
    path = sql_bench.folder / stored.sha256[:2] / stored.sha256
    _age(path, sql_bench, 2 * HOUR)
    look, looks = statements.named_among, []

    def looks_before_another_names(*arguments: object) -> set[str]:
        found = look(*arguments)  # type: ignore[arg-type]
        looks.append(found)
        if len(looks) == 1:
            sql_bench.database.write_now(lambda c: blobs.name(c, stored))
        return found

    monkeypatch.setattr(janitor, "named_among", looks_before_another_names)
    assert not await blobs.clean()
    assert looks == [set(), {stored.sha256}]
    assert await blobs.get(stored.sha256) == LARGE


KILLED = """
import asyncio, sys
from pathlib import Path
from hub.database import Database
from hub.spool import BlobStore
from hub.trust.keys import KeyRing
from datetime import UTC, datetime

async def main():
    database = Database(sys.argv[1])
    blobs = BlobStore(Path(sys.argv[2]), database, KeyRing({"k1": bytes(32)}), 1024, lambda: datetime.now(UTC))
    open_sink = blobs.sink()
    await open_sink.write(bytes(3_000_000))      # a draft in the making
    await blobs.put(b"x" * 100_000)              # durable, not yet named
    print("now", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def killed(sql_bench: SqlBench) -> Iterator[SqlBench]:
    """A process was killed -9 between its blob and its row, with another blob half written."""
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, sql_bench.url, str(sql_bench.folder)], stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"now\n"
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=10)
        yield sql_bench
    finally:
        child.kill()
        child.wait(timeout=10)
        assert child.stdout is not None
        child.stdout.close()


async def test_what_a_kill_leaves_between_blob_and_row_is_removed_later(killed: SqlBench) -> None:
    leftovers = _files(killed)
    assert len(leftovers) == 2
    for path in leftovers:
        _age(path, killed, 60)
    # Not before the grace is over: another process may be about to name it. On PostgreSQL other hosts may share the
    # folder, and a draft has the same grace.
    is_alone = killed.database.is_sqlite
    assert await killed.blobs().clean() == Cleaned(temporary=int(is_alone))
    killed.clock.tick(hours=2)
    assert await killed.blobs().clean() == Cleaned(temporary=int(not is_alone), unnamed=1)
    assert _files(killed) == []


async def test_large_blobs_do_not_fill_the_memory(sql_bench: SqlBench) -> None:
    """A sink holds a chunk or two, whatever comes through it (complaints.md, row 12)."""
    sink = sql_bench.blobs().sink()
    piece = os.urandom(1024**2)
    began = time.monotonic()
    for _ in range(30):
        await sink.write(piece)
        assert sink._held_size <= len(piece)
    stored = await sink.finish()
    assert stored.size == 30 * len(piece)
    assert time.monotonic() - began < 20


def test_the_store_seals_with_the_current_key(sql_bench: SqlBench) -> None:
    ring = KeyRing({"k1": bytes(32), "k2": b"2" * 32})
    blobs = BlobStore(sql_bench.folder, sql_bench.database, ring, 1024, sql_bench.clock)
    small, large = asyncio.run(blobs.put(b"x")), asyncio.run(blobs.put(LARGE))
    assert (small.key_id, large.key_id) == ("k2", "k2")
    assert b"k2" in (sql_bench.folder / large.sha256[:2] / large.sha256).read_bytes()[:16]
