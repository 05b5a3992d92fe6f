"""Small disks that can be filled, and a kernel's EIO on demand, for tests.

`with small_disk(folder, megabytes) as disk:` mounts a tmpfs there; `disk.fill()` leaves no byte, `disk.free()` gives
the space back. `failing_calls` makes libfiu fail system calls of the processes started inside the block, when told so.
Both end the test through `tests.conftest.missing` where they cannot be had.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import missing

_FIU = Path("/usr/lib/fiu")


@dataclass(frozen=True)
class Disk:
    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Not a byte is left, whatever was freed meanwhile."""
        with self._ballast.open("ab") as file:
            for size in (1024**2, 4096, 1):
                while _is_written(file.fileno(), bytes(size)):
                    pass

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


def _is_written(file: int, ballast: bytes) -> bool:
    try:
        return os.write(file, ballast) > 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("mount") is None or os.geteuid() != 0:
        missing("a small disk needs root and mount")
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "hub-test", str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True)
    if mounted.returncode:
        missing(f"no tmpfs may be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class FailingCalls:
    """`fail(pid, "posix/io/sync/fsync")` until `heal(pid, …)`; the names are libfiu's (`fiu-ls`)."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix

    def fail(self, pid: int, *points: str, with_errno: int = errno.EIO) -> None:
        self._tell(pid, *(f"enable name={point},failinfo={with_errno}" for point in points))

    def heal(self, pid: int, *points: str) -> None:
        self._tell(pid, *(f"disable name={point}" for point in points))

    def _tell(self, pid: int, *commands: str) -> None:
        words = [word for command in commands for word in ("-c", command)]
        told = ["fiu-ctrl", "-f", str(self._prefix), *words, str(pid)]
        subprocess.run(told, check=True, capture_output=True, timeout=20)


@contextmanager
def failing_calls(folder: Path) -> Iterator[FailingCalls]:
    """For the processes that are started inside the block."""
    libraries = [_FIU / "fiu_run_preload.so", _FIU / "fiu_posix_preload.so"]
    if shutil.which("fiu-ctrl") is None or not all(library.exists() for library in libraries):
        missing("libfiu is not installed (Debian package fiu-utils)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", " ".join(map(str, libraries)))
        patch.setenv("FIU_CTRL_FIFO", str(folder / "fiu"))
        yield FailingCalls(folder / "fiu")
