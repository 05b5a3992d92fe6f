"""A blob in the making (`hub.ports.BlobSink`): pieces in, a durable `StoredBlob` out.

Up to the inline limit nothing is written. Beyond it the clear bytes are sealed in memory and only sealed chunks go to
a temp file in `incoming/`, locked as long as its writer lives, so that no janitor takes it. `finish`: fsync(file),
rename, fsync(folder). A full or failing disk raises Temporary; the temp file is removed, by `clean` at the latest.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from hub.errors import DiskFailed, Temporary
from hub.ports import Sealer, StoredBlob

INCOMING = "incoming"
STREAM_AAD = b"blob"  # the digest is not known when a stream begins: `BlobStore.get` checks it instead
# Clear bytes held before they are sealed and written: a stream keeps back the chunk that may be its last, so that less
# than two chunks give little to write, and most mails then need one step in a thread.
BATCH = 2 * 1024**2


class SealingStream(Protocol):
    @property
    def key_id(self) -> str: ...

    def write(self, piece: bytes) -> bytes: ...

    def finish(self) -> bytes | bytearray: ...


class BlobSealer(Sealer, Protocol):
    """What blobs need of the key ring (`hub.trust.keys.KeyRing`, a stranger on this floor)."""

    @property
    def current_id(self) -> str: ...

    def sealing(self, aad: bytes) -> SealingStream: ...

    def opening(self, sealed: Iterable[bytes], aad: bytes) -> Iterator[bytes]: ...


class BlobFolder:
    """Where large blobs lie. Remembers which folders it made durable."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[Path] = set()

    def path(self, sha256: str) -> Path:
        """`ab/abcd…`, so that no folder grows without end."""
        return self.root / sha256[:2] / sha256

    def make(self, folder: Path) -> None:
        """The folder and what leads to it, each durable in the one above before anything is put inside. One that is
        there may have been made a moment ago by another process: its entry is fsynced too, once."""
        if folder in self._durable:
            return
        if folder.parent == self.root and len(folder.name) == 2:
            self._make_all()
            return
        if folder != self.root:
            self.make(folder.parent)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)
        self._durable.add(folder)

    def _make_all(self) -> None:
        """All 256 at once, with one fsync: one at a time, each would cost the message that comes first its own."""
        self.make(self.root)
        folders = [self.root / f"{number:02x}" for number in range(256)]
        for folder in folders:
            folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self.root)
        self._durable.update(folders)


class Sink:
    def __init__(
        self, folder: BlobFolder, sealer: BlobSealer, inline_most: int, inline: Callable[[bytes], StoredBlob]
    ) -> None:
        self.size = 0
        self._folder = folder
        self._sealer = sealer
        self._inline_most = inline_most
        self._inline = inline
        self._held: list[bytes] = []
        self._held_size = 0
        self._stream: SealingStream | None = None
        self._file: BinaryIO | None = None
        self._draft: Path | None = None
        self._stored: StoredBlob | None = None
        self._broken = False

    @property
    def is_small(self) -> bool:
        """It needs no file: `finish` waits for no disk."""
        return self._file is None and self.size <= self._inline_most

    async def write(self, piece: bytes) -> None:
        """Raises Temporary (disk full): the sink is of no use any more."""
        if self._stored is not None or self._broken:
            raise Temporary("a blob was written to after its end")
        self.size += len(piece)
        self._held.append(bytes(piece))  # none is copied but a buffer that its owner may fill again
        self._held_size += len(piece)
        if self._held_size >= BATCH and self.size > self._inline_most:
            await self._on_disk(self._flush)

    async def finish(self) -> StoredBlob:
        """Make it durable. Repeating gives the same blob. Raises Temporary (disk full)."""
        if self._broken:
            raise Temporary("a blob was not written whole")
        if self._stored is None and self.is_small:
            self._stored = self._inline(b"".join(self._held))
            self._held = []
        elif self._stored is None:
            await self._on_disk(self._complete)
        assert self._stored is not None
        return self._stored

    async def discard(self) -> None:
        """Forget it; nothing when it is finished."""
        if self._stored is None and not self._broken:
            self._broken = True
            self._held = []
            await asyncio.to_thread(self._drop)

    async def _on_disk(self, work: Callable[[], None]) -> None:
        """Run one disk step in a thread. A cancelled caller waits for it: no thread writes to a sink that is gone."""
        step = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            await asyncio.shield(step)
        except OSError as error:
            self._broken = True
            await asyncio.to_thread(self._drop)
            raise DiskFailed(f"a blob cannot be written: {reason_of(error)}", reason_of(error)) from None
        except asyncio.CancelledError:
            await asyncio.wait([step])
            step.exception()  # nobody is left to hear it
            raise

    def _flush(self) -> None:
        if self._file is None:
            self._open()
        assert self._file is not None
        assert self._stream is not None
        held, self._held, self._held_size = self._held, [], 0
        for piece in held:
            self._digest.update(piece)
            self._file.write(self._stream.write(piece))

    def _open(self) -> None:
        incoming = self._folder.root / INCOMING
        self._folder.make(incoming)
        self._draft = incoming / f"{secrets.token_hex(16)}.part"
        opened = os.open(self._draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._file = open(opened, "wb")  # noqa: SIM115  (closed by `_complete` or `_drop`)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._stream = self._sealer.sealing(STREAM_AAD)
        self._digest = hashlib.sha256()

    def _complete(self) -> None:
        """fsync(file) < rename < fsync(folder): after this the blob survives a power cut (libs.md §10)."""
        self._flush()
        assert self._file is not None
        assert self._stream is not None
        assert self._draft is not None
        self._file.write(self._stream.finish())
        self._file.flush()
        os.fsync(self._file.fileno())
        sha256 = self._digest.hexdigest()
        target = self._folder.path(sha256)
        self._folder.make(target.parent)
        # An equal blob may be there: replacing it does no harm, and heals a damaged one.
        os.rename(self._draft, target)
        self._draft = None
        sync_folder(target.parent)
        self._file.close()
        self._stored = StoredBlob(sha256, self.size, self._stream.key_id)

    def _drop(self) -> None:
        if self._draft is not None:
            self._draft.unlink(missing_ok=True)
            self._draft = None
        if self._file is not None:
            with contextlib.suppress(OSError):  # its last buffered bytes need not reach a disk that is full
                self._file.close()


def sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def reason_of(error: OSError) -> str:
    """`ENOSPC`: never the text, which quotes a path."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
