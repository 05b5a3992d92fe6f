"""`sending`: from the secretary's mail program to the ASE's mailbox: real door, real worker, real Postfix and Dovecot.

Each mail has a PDF/A and names its usager by the record number; it arrives as a signed document mail (CDA,
archive, copy).
`one after the other`: the delay from her 250 to the file in the ASE's Maildir, Postfix's and Dovecot's share included;
`all at once`: mails a second from the first command to the last file. No anchor: nobody else does this work.
"""

from __future__ import annotations

import tempfile
import time
from email.message import EmailMessage
from pathlib import Path

import psutil

from bench.figures import Figure, Options, Result, percentile
from bench.probes import Cpu, cpu_by_role, whole
from hub.sandbox.people import USAGERS
from tests.trips.mailbag import pdf
from tests.trips.office import ASE, Office, a_mail, running_office

TITLE = "sending: secretary to the ASE's mailbox, end to end"
LOOK_EVERY = 0.002  # seconds
WITHIN = 120.0  # seconds for what was submitted to arrive


def run(options: Options) -> Result:
    messages = options.messages or 100
    with tempfile.TemporaryDirectory(prefix="hub-sending-") as folder, running_office(Path(folder)) as office:
        office.site.start()
        office.wait_for_door()
        _one_by_one(office, range(3))  # what is made once: the reader's child, the line to the operator
        delays = _one_by_one(office, range(3, 33))
        before = _cpu(office)
        spent = _at_once(office, range(33, 33 + messages))
        cpu = (_cpu(office) - before).all
    return Result(
        "sending",
        TITLE,
        (
            Figure("one after the other: median delay", percentile(delays, 0.5) * 1000, "ms"),
            Figure("one after the other: p95", percentile(delays, 0.95) * 1000, "ms"),
            Figure("all at once: mails a second", messages / spent, "/s"),
            Figure("processor time of the hub, a mail", cpu / messages * 1000, "ms"),
        ),
        rounds=(tuple(delays), spent),
    )


def _cpu(office: Office) -> Cpu:
    """Of the service and all its processes, so far."""
    assert office.site.service is not None
    service = psutil.Process(office.site.service.pid)
    return whole(cpu_by_role([service, *service.children(recursive=True)]))


def _mail(number: int) -> EmailMessage:
    who = USAGERS[number % len(USAGERS)]
    files = ((f"scan{number:04d}.pdf", pdf(number)),)
    return a_mail(f"[dossier {who.record_number}] [fiche navette]", ASE, files=files, number=str(number))


def _arrived(office: Office) -> int:
    maildir = office.dovecot.home(ASE) / "Maildir"
    return sum(len(list((maildir / part).iterdir())) for part in ("new", "cur") if (maildir / part).is_dir())


def _wait_for(office: Office, wanted: int) -> None:
    until = time.monotonic() + WITHIN
    while _arrived(office) < wanted:
        if time.monotonic() > until:
            raise RuntimeError(f"{_arrived(office)} of {wanted} arrived: {office.site.counts()}")
        time.sleep(LOOK_EVERY)


def _one_by_one(office: Office, numbers: range) -> list[float]:
    delays, there = [], _arrived(office)
    with office.client() as client:
        for number in numbers:
            client.send_message(_mail(number))
            taken = time.perf_counter()
            there += 1
            _wait_for(office, there)
            delays.append(time.perf_counter() - taken)
    return delays


def _at_once(office: Office, numbers: range) -> float:
    mails, there = [_mail(number) for number in numbers], _arrived(office)
    began = time.perf_counter()
    with office.client() as client:
        for mail in mails:
            client.send_message(mail)
    _wait_for(office, there + len(mails))
    return time.perf_counter() - began
