"""A PostgreSQL for the tests: the one that `HUB_TEST_POSTGRES` names (a superuser's url), else a private cluster on a
loopback port, made at its first use and stopped, by its own pid, when the tests end. Works as root (the cluster then
belongs to `postgres` or `nobody`, since PostgreSQL refuses root) and as an ordinary user.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import missing
from tests.edges.ports import free_port

_SECONDS = 60


@cache
def server_url() -> str:
    """`postgresql://USER@127.0.0.1:PORT/postgres`; ends the test through `missing` when there is no PostgreSQL."""
    named = os.environ.get("HUB_TEST_POSTGRES")
    return named or _private()


def _private() -> str:
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="hub-pg-", dir="/tmp"))
    owner = _owner()
    if owner:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N", "-D", str(folder / "data")]
    _run([str(programs / "initdb"), *options], owner)
    port = free_port()
    server = subprocess.Popen(
        [
            *(str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1"),
            *("-c", f"unix_socket_directories={folder}", "-c", "max_connections=300"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("wb"),
        **_as(owner),
    )
    atexit.register(_stop, server, folder)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    _wait_for(url, server, folder)
    return url


def _programs() -> Path:
    """The folder of `initdb` and `postgres`: Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not folders:
        missing("PostgreSQL is not installed (Debian package postgresql), and HUB_TEST_POSTGRES names none")
    return folders[0]


def _owner() -> pwd.struct_passwd | None:
    """Whom the cluster belongs to when the tests run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": "/"} if owner else {}


def _run(words: list[str], owner: pwd.struct_passwd | None) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, **_as(owner))
    if done.returncode:
        raise RuntimeError(f"{words[0]}: {done.stderr}")


def _wait_for(url: str, server: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError((folder / "log").read_text(errors="replace")) from None
            time.sleep(0.1)


def _stop(server: subprocess.Popen[bytes], folder: Path) -> None:
    server.send_signal(signal.SIGINT)  # fast shutdown
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    shutil.rmtree(folder, ignore_errors=True)
