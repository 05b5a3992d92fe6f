"""The kills at the worst moments, put into the hub's processes from outside: nothing of this is in the hub.

`install` (from `hooks/sitecustomize.py`) wraps functions of the hub when their module is imported. Each passage by a
named point (`bench.torture.points`) is a line of `passages`; when a file `armed/POINT` lies there, the first process
that passes moves it to `fired/` and is gone (SIGKILL, no exception, no cleaning up). What is wrapped and not found
stops the process: a hub that was changed shows, it is not passed by silently.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.torture.points import DEEDS

FOLDER = "HUB_TORTURE"  # the environment variable that names the folder of `armed`, `fired` and `passages`
ROLES = ("serve", "worker", "release")

_MESSAGE_ID = b"\r\nmessage-id:"


class Wounds:
    """What one process shares with the campaign."""

    def __init__(self, folder: Path, role: str) -> None:
        self.role = role
        self._armed, self._fired = folder / "armed", folder / "fired"
        self._passages = os.open(folder / "passages", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, what: str, detail: str = "") -> None:
        """One line, whole even when many processes write."""
        line = f"{time.time():.6f}\t{os.getpid()}\t{self.role}\t{what}\t{detail}\n"
        os.write(self._passages, line.encode("utf-8", "replace"))

    def is_claimed(self, point: str) -> bool:
        """Whether this process, and no other, is the one that this point was armed for."""
        try:
            os.rename(self._armed / point, self._fired / f"{point}.{os.getpid()}.{time.time_ns()}")
        except OSError:
            return False
        return True

    def passes(self, point: str, detail: str = "") -> None:
        self.note(point, detail)
        if self.is_claimed(point):
            self.note("KILLED", point)
            os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    """In the processes that serve, work or release, when the hub is imported; nothing elsewhere."""
    folder, role = os.environ.get(FOLDER), _role(sys.orig_argv)
    if folder and role in ROLES:
        wounds = Wounds(Path(folder), role)
        sys.meta_path.insert(0, _Finder({name: functools.partial(wrap, wounds) for name, wrap in WRAPPED.items()}))


def wound(role: str) -> None:
    """The same in a process that has imported the hub already."""
    folder = os.environ.get(FOLDER)
    if folder and role in ROLES:
        wounds = Wounds(Path(folder), role)
        for name, wrap in WRAPPED.items():
            wrap(wounds, sys.modules[name])


def _role(words: Sequence[str]) -> str:
    """`serve` in `python -m hub serve --site …`."""
    for at, word in enumerate(words[:-1]):
        if word == "-m" and words[at + 1] == "hub":
            return words[at + 2] if len(words) > at + 2 else ""
    return ""


class _Finder(importlib.abc.MetaPathFinder):
    """Runs a function on a module as soon as it is loaded."""

    def __init__(self, wanted: dict[str, Callable[[ModuleType], None]]) -> None:
        self._wanted = wanted

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self._wanted:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._wanted[name])
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, real: Any, then: Callable[[ModuleType], None]) -> None:
        self._real = real
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._real.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        self._then(module)


# --- transactions -----------------------------------------------------------------------------------------------


def _database(wounds: Wounds, module: ModuleType) -> None:
    """Around what `write` and `write_now` are given and around what they give back: how they commit is their affair."""
    database: Any = module.Database
    write, write_now = database.write, database.write_now

    async def later(self: Any, work: Callable[[Any], Any], **named: Any) -> Any:
        value = await write(self, _until_commit(wounds, work), **named)
        wounds.passes(f"{_deed_of(work)[0]}.committed", _deed_of(work)[1])
        return value

    def at_once(self: Any, work: Callable[[Any], Any], **named: Any) -> Any:
        if hasattr(work, "is_watched"):  # `write` may come by here
            return write_now(self, work, **named)
        value = write_now(self, _until_commit(wounds, work), **named)
        wounds.passes(f"{_deed_of(work)[0]}.committed", _deed_of(work)[1])
        return value

    database.write, database.write_now = later, at_once


def _until_commit(wounds: Wounds, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    deed, detail = _deed_of(work)

    def watched(connection: Any) -> Any:
        value = work(connection)
        wounds.passes(f"{deed}.before-commit", detail)
        return value

    watched.is_watched = True  # type: ignore[attr-defined]
    return watched


def _deed_of(work: Callable[[Any], Any]) -> tuple[str, str]:
    """(what this transaction is for, the message it is about) from the function that runs in it."""
    seen = _closed_over(work)
    name = getattr(work, "__qualname__", type(work).__name__).split(".<locals>")[0]
    if name == "QueueRows._write" and callable(seen.get("work")):
        return _deed_of(seen["work"])
    deed = DEEDS.get(name, name)
    if deed == "record":
        deed += f"-{type(seen['step'].step).__name__.lower()}"
    return deed, str(seen.get("message_id", ""))


def _closed_over(work: Callable[[Any], Any]) -> dict[str, Any]:
    cells = getattr(work, "__closure__", None) or ()
    found = {}
    for name, cell in zip(work.__code__.co_freevars if cells else (), cells, strict=True):
        with contextlib.suppress(ValueError):  # not bound yet
            found[name] = cell.cell_contents
    return found


# --- blobs ------------------------------------------------------------------------------------------------------


class _Disk:
    """`os`, with a moment before and after each rename."""

    def __init__(self, wounds: Wounds, where: str) -> None:
        self._wounds = wounds
        self._where = where

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def rename(self, old: Path, new: Path) -> None:
        self._wounds.passes(f"{self._where}.synced")
        os.rename(old, new)
        self._wounds.passes(f"{self._where}.named")


def _sink(wounds: Wounds, module: ModuleType) -> None:
    where = "door.blob" if wounds.role == "serve" else "filing.blob"
    sink: Any = module.Sink
    flush, complete = sink._flush, sink._complete

    def flushed(self: Any) -> None:
        flush(self)
        wounds.passes(f"{where}.written")

    def completed(self: Any) -> None:
        complete(self)
        wounds.passes(f"{where}.durable")

    sink._flush, sink._complete = flushed, completed
    module.os = _Disk(wounds, where)  # type: ignore[attr-defined]


def _blobs(wounds: Wounds, module: ModuleType) -> None:
    _before(module.BlobStore, "clean", lambda: wounds.passes("start.cleaning"))


# --- the mailbox, hints, carrying, reading ------------------------------------------------------------------------


def _fetcher(wounds: Wounds, module: ModuleType) -> None:
    _after(module.Fetcher, "load", lambda: wounds.passes("fetch.loaded"))


def _folder(wounds: Wounds, module: ModuleType) -> None:
    _before(module.Folder, "flagged", lambda: wounds.passes("mark.before"))
    _before(module.Folder, "_flags", lambda: wounds.passes("mark.stored"))
    _after(module.Folder, "flagged", lambda: wounds.passes("mark.verified"))


def _hints(wounds: Wounds, module: ModuleType) -> None:
    hints: Any = module.Hints
    send_now = hints._send_now

    def sent(self: Any, message_ids: list[str]) -> None:
        if message_ids:
            wounds.passes("hint.before")
        send_now(self, message_ids)
        if message_ids:
            wounds.passes("hint.sent")

    hints._send_now = sent


def _trip(wounds: Wounds, module: ModuleType) -> None:
    _before(module, "carry", lambda: wounds.passes("carry.begun"))
    _after(module, "carry", lambda: wounds.passes("carry.ended"))
    _before(module, "_planned", lambda: wounds.passes("thought"))


def _pool(wounds: Wounds, module: ModuleType) -> None:
    child: Any = module._Child
    exchange = child.exchange

    async def exchanged(self: Any, *asked: Any) -> Any:
        if not self.is_ready:  # its orders, not a message
            return await exchange(self, *asked)
        wounds.passes("read.asked")
        wounds.note("reader.dies")
        if wounds.is_claimed("reader.dies"):
            wounds.note("READER-KILLED", str(self.popen.pid))
            os.kill(self.popen.pid, signal.SIGKILL)
        answer = await exchange(self, *asked)
        wounds.passes("read.answered")
        return answer

    child.exchange = exchanged


def _smtp_client(wounds: Wounds, module: ModuleType) -> None:
    _after(module.SmtpSender, "send", lambda: wounds.passes("smtp.answered"))


def _smtp_protocol(wounds: Wounds, module: ModuleType) -> None:
    """The final dot, and under which Message-ID the mail before it goes out."""
    protocol: Any = module.SMTPProtocol
    write = protocol.write
    under_way: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    def written(self: Any, data: bytes) -> None:
        at = (b"\r\n" + data[:16_384]).lower().find(_MESSAGE_ID)
        if at >= 0 and self not in under_way:
            under_way[self] = data[at:].partition(b":")[2].partition(b"\r\n")[0].strip().decode("ascii", "replace")
        is_last = data == b".\r\n" or data.endswith(b"\r\n.\r\n")
        if is_last:
            wounds.passes("smtp.before-dot")
            wounds.note("DOT", under_way.pop(self, "?"))
        write(self, data)
        if is_last:
            wounds.passes("smtp.dot")

    protocol.write = written


def _before(owner: Any, name: str, then: Callable[[], None]) -> None:
    real = getattr(owner, name)

    @functools.wraps(real)
    async def wrapped(*args: Any, **named: Any) -> Any:
        then()
        return await real(*args, **named)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, then: Callable[[], None]) -> None:
    real = getattr(owner, name)

    @functools.wraps(real)
    async def wrapped(*args: Any, **named: Any) -> Any:
        value = await real(*args, **named)
        then()
        return value

    setattr(owner, name, wrapped)


WRAPPED: dict[str, Callable[[Wounds, ModuleType], None]] = {
    "hub.database": _database,
    "hub.spool.sink": _sink,
    "hub.spool.blobs": _blobs,
    "hub.imap.fetcher": _fetcher,
    "hub.imap.folder": _folder,
    "hub.worker.hints": _hints,
    "hub.trip": _trip,
    "hub.cell.pool": _pool,
    "hub.smtp.client": _smtp_client,
    "aiosmtplib.protocol": _smtp_protocol,
}
