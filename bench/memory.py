"""`memory`: the most that a process was ever resident (VmHWM), with a large message minus with one of 60 KB.

Each measure is a fresh site and fresh processes; the peaks are sampled every few milliseconds, so that a reader that is
replaced after a large message counts too. `fetch` is the watcher up to accepted; `forward` a copy sent by SMTP, worker
and reader told apart; `filing` a conformant archive mail of 25 MB; `twenty` of those at once.
"""

from __future__ import annotations

import base64
import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.figures import Figure, Options, Result
from bench.letters import letters
from bench.probes import MIB, peak_of, role_of
from bench.sites import ACCEPTED, SENDER, SETTLED, Wanted, bench_site, looking
from tests.trips.house import DOMAIN, HOME, Site, wait_for

TITLE = "peak memory: large message minus 60 KB"
LARGE, FILED = 100 * MIB, 25 * MIB
_LIMITS: dict[str, dict[str, object]] = {
    "reading": {"message": "200MB", "memory": "1GB", "seconds": "120s"},
    "watching": {"message_most": "200MB"},
    "sending": {"command_timeout": "120s"},
}
_COPY = f"""\
  - name: relais
    when: {{mailbox: dossiers}}
    then:
      note: "Relais du banc."
      copy: relais@hopital.{DOMAIN}
"""


def run(options: Options) -> Result:
    small = _plain(60 * 1024)
    large = _plain(LARGE)
    fetch = [_peaks([raw], Wanted(usagers=12, processes=0, more=_LIMITS)) for raw in (small, large)]
    forward = [_peaks([raw], Wanted(usagers=12, more=_LIMITS, rule=_COPY)) for raw in (small, large)]
    plain = Wanted(usagers=12, more=_LIMITS)
    one_small, one_large = (_peaks(list(letters(1, ballast=size)), plain) for size in (20_000, _BALLAST))
    many = _peaks(list(letters(options.messages or 20, ballast=_BALLAST)), plain)
    one_sum, many_sum = _together(one_large), _together(many)
    figures = (
        Figure("accept and fetch, 100 MB: watcher", fetch[1]["service"] - fetch[0]["service"], "MiB", 32.0),
        Figure("forward, 100 MB: worker", forward[1]["worker"] - forward[0]["worker"], "MiB", 32.0),
        Figure("forward, 100 MB: reader", forward[1]["reader"] - forward[0]["reader"], "MiB"),
        Figure("filing, 25 MB: worker and reader", _together(one_large) - _together(one_small), "MiB", 64.0),
        Figure("filing, 25 MB: worker", one_large["worker"] - one_small["worker"], "MiB"),
        Figure("filing, 25 MB: reader", one_large["reader"] - one_small["reader"], "MiB"),
        Figure("20 of 25 MB at once over one: worker and reader", many_sum / one_sum, "times", 2.0),
        Figure("60 KB: watcher", fetch[0]["service"], "MiB"),
        Figure("60 KB: worker", one_small["worker"], "MiB"),
        Figure("60 KB: reader", one_small["reader"], "MiB"),
    )
    told = {"fetch": fetch, "forward": forward, "filing": [one_small, one_large], "twenty": many}
    return Result("memory", TITLE, figures, (told,))


# The PDF stands twice in such a mail, in base64: in the archive (random bytes do not deflate) and as its twin.
_BALLAST = int(FILED / 2 / 1.37)


def _together(peaks: dict[str, float]) -> float:
    return peaks["worker"] + peaks["reader"]


def _plain(size: int) -> bytes:
    """A mail with one attachment that is no document; all of it about `size` bytes."""
    noise = base64.encodebytes(random.Random(size).randbytes(size * 3 // 4)).replace(b"\n", b"\r\n")
    head = (
        f"From: <{SENDER}>\r\nTo: <{HOME}>\r\nSubject: Images (fictives)\r\nMessage-ID: <gros-{size}@banc.example>\r\n"
        "Date: Mon, 02 Nov 2026 09:30:00 +0000\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="gros"\r\n\r\n--gros\r\nContent-Type: text/plain\r\n\r\nVoici.\r\n'
        "--gros\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="images.bin"\r\n\r\n'
    )
    return head.encode() + noise + b"--gros--\r\n"


def _peaks(raws: list[bytes], wanted: Wanted) -> dict[str, float]:
    """MiB by role."""
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        bench_site(Path(folder), wanted) as site,
        looking(site) as looker,
    ):
        # They are in the mailbox before the service looks, so that they come as one batch.
        site.dovecot.deliver(HOME, *raws)
        site.start()
        query = SETTLED if wanted.processes else ACCEPTED
        with _sampled(site) as most:
            wait_for(lambda: looker.count(query) >= len(raws), 300, lambda: site.log()[-3000:])
        held = looker.count("select count(*) from message where state = 'HELD'")
        assert held == 0, f"{held} held: {looker.rows('select codes from work')}\n{site.log()[-2000:]}"
        return dict(most)


@contextmanager
def _sampled(site: Site) -> Iterator[dict[str, float]]:
    most: dict[str, float] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            for process in site.tree():
                try:
                    role = role_of(process)
                    most[role] = max(most.get(role, 0.0), peak_of(process.pid))
                except psutil.Error:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()
