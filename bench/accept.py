"""`accept`: mails submitted to the door until their durable 250, against Postfix (its queue, on hold) in the same run.

`smtp-source` (Debian postfix) talks to both, without TLS and AUTH on either side, connections kept (`-d`) and one mail
a connection; then over STARTTLS with AUTH on both (`bench.submitter`). The hub's side is the real door of a real site,
alone in its process (`bench.accept_one`): sealing, journal, author check included. Postfix's is smtpd, cleanup and the
queue file; its log daemon is not counted. CPU is that of the servers' processes; fsyncs are counted by `strace`.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from bench.figures import Figure, Options, Result, median_of, ratio_of
from bench.probes import MIB, peak_of
from tests.conftest import missing
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.ports import free_port
from tests.edges.postfix import Postfix, running_postfix
from tests.pki import Authority

TITLE = "durable accepts of the submission door, against Postfix (hold)"
SENDER, RECIPIENT = "dossiers@mecs.mssante.example", "ase@departement.mssante.example"
LOGIN, PASSWORD = "banc", Dovecot.PASSWORD
KIB = 1024
_POSTFIX = """\
smtpd_tls_security_level = may
smtpd_tls_ask_ccert = no
smtpd_tls_req_ccert = no
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{sasl}
default_process_limit = 200
smtpd_client_connection_count_limit = 0
message_size_limit = 300000000
"""
_DOVECOT = """
service auth {{
  inet_listener sasl {{
    address = 127.0.0.1
    port = {sasl}
  }}
}}
"""


@dataclass(frozen=True)
class Shape:
    """One load: `kept` says whether a session sends all its mails on one connection."""

    name: str
    size: int
    sessions: int
    messages: int
    kept: bool = True
    tls: bool = False
    gate: float | None = 1.0


@dataclass(frozen=True)
class Measured:
    rate: float  # accepts a second
    cpu: float  # ms an accept, user and system, all processes of the server


def shapes(scale: float) -> tuple[Shape, ...]:
    """`scale` 1 is the full profile."""

    def count(messages: int) -> int:
        return max(40, int(messages * scale))

    small, large = 10 * KIB, MIB
    return (
        *(Shape(f"10 KB, {s} session(s)", small, s, count(1_000)) for s in (1, 10, 50)),
        Shape("10 KB, 10 sessions, a connection each", small, 10, count(1_000), kept=False),
        *(Shape(f"1 MB, {s} session(s)", large, s, count(100)) for s in (1, 10)),
        *(Shape(f"TLS and AUTH, 10 KB, {s} session(s)", small, s, count(1_000), tls=True) for s in (1, 10, 50)),
        Shape("TLS and AUTH, 1 MB, 10 sessions", large, 10, count(100), tls=True),
    )


def run(options: Options) -> Result:
    for program in ("smtp-source", "strace"):
        if shutil.which(program) is None:
            missing(f"{program} is not installed (Debian packages postfix, strace)")
    rounds = options.rounds or 5
    wanted = shapes((options.messages or 1_000) / 1_000)
    with _servers() as (hub, postfix):
        for server in (hub, postfix):
            server.take(Shape("warm", 10 * KIB, 10, 200))
            # The hub's first check of a password is argon2's, Dovecot's compares clear text: before any figure.
            server.take(Shape("warm", 10 * KIB, 2, 40, tls=True))
        measured = [_compared(shape, hub, postfix, rounds) for shape in wanted]
        fsyncs = _fsync_figures(hub, postfix)
    memory = _memory_figures()
    figures = [figure for shape, pairs in zip(wanted, measured, strict=True) for figure in _told(shape, pairs)]
    told = {shape.name: pairs for shape, pairs in zip(wanted, measured, strict=True)}
    return Result("accept", TITLE, (*figures, *fsyncs, *memory), (told,))


Pair = tuple[Measured, Measured]


def _compared(shape: Shape, hub: Server, postfix: Server, rounds: int) -> list[Pair]:
    """(hub, Postfix), the first of each pair in turn."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            ours, theirs = hub.take(shape), postfix.take(shape)
        else:
            theirs, ours = postfix.take(shape), hub.take(shape)
        pairs.append((ours, theirs))
    return pairs


def _told(shape: Shape, pairs: list[Pair]) -> Iterator[Figure]:
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    rates = [one.rate for one in ours], [one.rate for one in theirs]
    yield ratio_of(f"{shape.name}: accepts a second, over Postfix's", *rates, shape.gate, "least")
    costs = [one.cpu for one in ours], [one.cpu for one in theirs]
    yield ratio_of(f"{shape.name}: CPU an accept, over Postfix's", *costs, shape.gate, note="aim 0.8")
    yield median_of(f"{shape.name}: hub", rates[0], "/s")
    yield median_of(f"{shape.name}: hub, CPU", costs[0], "ms")
    yield median_of(f"{shape.name}: Postfix, CPU", costs[1], "ms")


class Server:
    """One side: where it listens, and which processes it is."""

    def __init__(self, plain_port: int, tls_port: int, tree: Callable[[], list[psutil.Process]]) -> None:
        self._plain_port, self._tls_port, self.tree = plain_port, tls_port, tree

    def take(self, shape: Shape) -> Measured:
        before = self._cpu()
        seconds = _submitted(self._tls_port, shape) if shape.tls else _sourced(self._plain_port, shape)
        return Measured(shape.messages / seconds, (self._cpu() - before) * 1000 / shape.messages)

    def fsyncs(self, shape: Shape) -> float:
        """For each 250."""
        with tempfile.NamedTemporaryFile("r", prefix="hub-strace-") as told:
            pids = [f"-p{process.pid}" for process in self.tree()]
            words = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", told.name, *pids]
            strace = subprocess.Popen(words, stderr=subprocess.DEVNULL)
            time.sleep(1)
            try:
                self.take(shape)
            finally:
                strace.send_signal(signal.SIGTERM)
                strace.wait(20)
            begun = re.findall(r"^\d+ +f(?:data)?sync\(", told.read(), re.MULTILINE)
        return len(begun) / shape.messages

    def _cpu(self) -> float:
        """Seconds so far; what children that ended spent is in their parent's account."""
        total = 0.0
        for number, process in enumerate(self.tree()):
            times = process.cpu_times()
            total += times.user + times.system
            if number == 0:
                total += times.children_user + times.children_system
        return total


def _sourced(port: int, shape: Shape) -> float:
    """smtp-source and a Postfix that was started a moment ago stall now and then, for ever: begun again then."""
    words = [
        *("smtp-source", *(["-d"] if shape.kept else []), "-s", str(shape.sessions), "-m", str(shape.messages)),
        *("-l", str(shape.size), "-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{port}"),
    ]
    try:
        return _timed(words)[0]
    except subprocess.TimeoutExpired:
        return _timed(words)[0]


def _submitted(port: int, shape: Shape) -> float:
    words = [
        *(sys.executable, "-m", "bench.submitter", str(port), "starttls", LOGIN, PASSWORD, SENDER, RECIPIENT),
        *(str(shape.sessions), str(shape.messages), str(shape.size)),
    ]
    return float(_timed(words)[1])


def _timed(words: list[str]) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{words[0]}: {done.stderr[-2000:]}"
    return time.perf_counter() - began, done.stdout


def _fsync_figures(hub: Server, postfix: Server) -> tuple[Figure, ...]:
    one, ten = Shape("", 10 * KIB, 1, 300), Shape("", 10 * KIB, 10, 600)
    alone, together = hub.fsyncs(one), hub.fsyncs(ten)
    return (
        Figure("fsyncs for each 250, 1 session, at least", alone, "", 1.0, "least"),
        Figure("fsyncs for each 250, 1 session", alone, "", 1.1),
        Figure("fsyncs for each 250, 10 sessions", together, "", 0.5, note="aim 0.25"),
        Figure("Postfix: fsyncs for each 250, 10 sessions", postfix.fsyncs(ten)),
    )


def _memory_figures() -> tuple[Figure, ...]:
    """The most that a fresh door was ever resident, with one mail of 100 MB minus with one of 60 KB."""
    peaks = []
    for size in (60 * KIB, 100 * MIB):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
            hub = stack.enter_context(_hub(folder / "site", Authority(folder / "pki")))
            hub.take(Shape("", size, 1, 1))
            peaks.append(peak_of(hub.tree()[0].pid))
    return (
        Figure("peak memory of the door: 100 MB minus 60 KB", peaks[1] - peaks[0], "MiB", 32.0, note="aim 16"),
        Figure("peak memory of the door, 60 KB", peaks[0], "MiB"),
    )


@contextmanager
def _servers() -> Iterator[tuple[Server, Server]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
        authority, sasl = Authority(folder / "pki"), free_port()
        stack.enter_context(running_dovecot(authority, "password", _DOVECOT.format(sasl=sasl)))
        domains = (RECIPIENT.partition("@")[2],)
        more = _POSTFIX.format(sasl=sasl)
        running = stack.enter_context(running_postfix(authority, domains=domains, transport="hold", more=more))
        yield stack.enter_context(_hub(folder / "site", authority)), _postfix(running)


def _postfix(running: Postfix) -> Server:
    master = psutil.Process(int((running.folder / "queue" / "pid" / "master.pid").read_text()))

    def tree() -> list[psutil.Process]:
        return [master, *(one for one in master.children(recursive=True) if one.name() != "postlogd")]

    return Server(running.starttls_port, running.starttls_port, tree)


@contextmanager
def _hub(folder: Path, authority: Authority) -> Iterator[Server]:
    leaf = authority.issue("porte", "localhost", "127.0.0.1")
    plain, starttls = free_port(), free_port()
    folder.mkdir(parents=True)
    endpoint: dict[str, object] = {"host": "localhost", "port": 1, "tls": "implicit"}
    settings = {
        "site": {"name": "MECS du banc (fictive)", "product_reference": "ESSAI1"},
        "operators": [
            {
                "name": "operateur",
                "imap": endpoint,
                "smtp": dict(endpoint),
                "ca_file": str(authority.ca_file),
                "certificate": {"file": str(leaf.both)},
            }
        ],
        "mailboxes": [{"name": "dossiers", "address": SENDER, "operator": "operateur"}],
        "submission": {
            "certificate": {"file": str(leaf.certificate), "key_file": str(leaf.key)},
            "port": starttls,
            "implicit_port": None,
            "message_most": "200MB",
            "sessions_each": 100,
            "messages_a_minute": 10**9,
            "messages_an_hour": 10**9,
            "bytes_an_hour": 10**15,
        },
        "log_level": "warning",
    }
    file = folder / "hub.yaml"
    with file.open("w") as stream:
        YAML(typ="safe").dump(settings, stream)
    (folder / "password").write_text(PASSWORD)
    _command("init", str(folder))
    _command(
        *("users", "add", LOGIN, "--mailbox", "dossiers", "--password-file", f"{folder}/password"),
        *("--site", str(folder)),
    )
    words = [sys.executable, "-m", "bench.accept_one", str(file), str(plain)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        server = psutil.Process(process.pid)
        yield Server(plain, starttls, lambda: [server])
    finally:
        process.terminate()
        process.wait(90)


def _command(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "hub", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"hub {words[0]}: {done.stdout}{done.stderr}"
