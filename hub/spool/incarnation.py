"""Who this process is among all hosts, and whether another one surely died.

An identity is `machine-pid-start-chance`. The machine is a digest of the boot of its kernel, of its namespace of
processes and of the name that the sysadmin gave the host: equal only when a look at /proc says the truth about the
other. A process of another machine, or where there is no /proc, is never called dead here: it is given its lease.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Incarnation:
    """`id` is new for each start; `name` is for people."""

    id: str
    name: str


def of_this_process(host_name: str | None = None) -> Incarnation:
    """Hosts that share a name need not share a machine, and two hosts of one machine may have two names."""
    name = host_name or socket.gethostname()
    pid = os.getpid()
    return Incarnation(f"{_machine(name)}-{pid}-{_start_of(pid)}-{secrets.token_hex(4)}", name[:64])


def is_surely_dead(other: str, mine: str) -> bool:
    """Whether the process behind another identity is gone: same machine, and no process with its number and start."""
    try:
        machine, pid, start, _ = other.split("-")
        if machine != mine.partition("-")[0] or not _PROC.joinpath("self/stat").exists():
            return False
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives under another user; /proc may hide it from us
        pass
    except (ValueError, OverflowError):  # no identity of ours
        return False
    return _start_of(int(pid)) not in ("", start)


def _machine(name: str) -> str:
    """Chance alone where the kernel does not tell: such a machine is like no other."""
    try:
        boot = _PROC.joinpath("sys/kernel/random/boot_id").read_text("ascii").strip()
        processes = os.readlink(_PROC / "self/ns/pid")
    except (OSError, UnicodeDecodeError):
        boot, processes = secrets.token_hex(8), ""
    return hashlib.sha256("\0".join((boot, processes, name)).encode("utf-8", "replace")).hexdigest()[:12]


def _start_of(pid: int) -> str:
    """When a process began, in clock ticks since the boot (proc(5), stat, field 22); `ended` for one that only waits to
    be buried by its parent, "" when nothing can be seen."""
    try:
        fields = _PROC.joinpath(str(pid), "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "ended" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
