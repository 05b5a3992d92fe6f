"""The copy among the sent mails, through the whole hub: what left is what lies there, once, also after kill -9; and the
operator's own copy ends a doubt. All people are fictional."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.sandbox.people import LINA
from tests.conftest import PROJECT_ROOT
from tests.edges.scripted_smtp import Script
from tests.pki import Authority
from tests.trips.house import wait_for
from tests.trips.mailbag import pdf
from tests.trips.office import ASE, DOCTOR, SECRETARIAT, Office, a_mail, running_office
from tests.trips.rough_hop import RoughHop, running_rough_hop

SUBJECT = f"[dossier {LINA.record_number}] [fiche navette] transport de mercredi"
# In every process of the hub: the one that has filed a copy while `armed` is there, is gone before it says so.
HOOK = """\
import os, pathlib, signal
from hub.imap.filer import ImapFiler

_file = ImapFiler.file

async def file(self, *words):
    done = await _file(self, *words)
    try:
        (pathlib.Path(__file__).parent / "armed").rename(pathlib.Path(__file__).parent / "fired")
    except FileNotFoundError:
        return done
    os.kill(os.getpid(), signal.SIGKILL)

ImapFiler.file = file
"""


def change(office: Office, old: str, new: str) -> None:
    """A line of hub.yaml."""
    file = office.site.folder / "hub.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def start(office: Office, hooks: Path | None = None) -> None:
    os.environ["PYTHONPATH"] = f"{hooks}{os.pathsep}{PROJECT_ROOT}" if hooks else str(PROJECT_ROOT)
    try:
        office.site.start()
    finally:
        del os.environ["PYTHONPATH"]
    office.wait_for_door()


def send(office: Office, number: int, *recipients: str) -> None:
    office.submit(a_mail(SUBJECT, *recipients, files=[("scan0012.pdf", pdf(number))], number=f"copie-{number}"))


def filed(office: Office) -> list[bytes]:
    """What lies in the folder of sent mails, as a mail program gets it."""
    with office.dovecot.other_client(SECRETARIAT) as client:
        answer, exists = client.select("Sent", readonly=True)
        if answer != "OK" or exists == [b"0"]:
            return []
        return [part[1] for part in client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(part, tuple)]


def test_what_left_lies_once_among_the_sent_mails_also_after_a_kill(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
    with running_office(tmp_path) as office:
        change(office, "    operator: operateur\n", "    operator: operateur\n    sent_folder: auto\n")
        change(office, "    dsn: true\n", "    dsn: false\n")  # no notices come in: what comes in is counted
        start(office, hooks)
        send(office, 1, ASE, DOCTOR)
        assert office.site.wait_until_settled(1)["DONE"] == 1
        (hooks / "armed").touch()
        send(office, 2, ASE)
        assert office.site.wait_until_settled(2)["DONE"] == 2
        assert (hooks / "fired").exists()
        first, second = filed(office)
        for copy, count in ((first, 2), (second, 1)):
            arrived = [raw for to in (ASE, DOCTOR) for raw in office.fetched(to) if raw.endswith(copy)]
            assert len(arrived) == count, "what arrived is not the copy with trace headers above it"
        assert b"@poste.mecs." not in first + second  # the Message-ID is the hub's, not that of her mail program
        time.sleep(6)  # a poll of the watcher
        assert office.site.counts() == office.site.counts() | {"DONE": 2, "HELD": 0}  # no copy came in as a mail


def test_the_operators_own_copy_ends_the_doubt(tmp_path: Path) -> None:
    with _office_at_a_rough_operator(tmp_path) as (office, hop):
        change(office, "    dsn: true\n", "    dsn: true\n    sent_copies: true\n")
        start(office)
        hop.follow(Script(cut_at="dot"))
        send(office, 1, ASE)
        wait_for(lambda: list(office.ladder().values()) == ["uncertain"], 30, office.site.log)
        hop.follow(Script())
        with office.dovecot.other_client(SECRETARIAT) as client:
            client.create("Sent")
        office.dovecot.append(SECRETARIAT, hop.server.mails[-1] + b"\r\n", "Sent")
        assert office.site.wait_until_settled(1)["DONE"] == 1
        assert list(office.ladder().values()) == ["submitted"]
        assert len(hop.taken(ASE)) == 1
        (number,) = (one["id"] for one in office.sent())
        told = office.site.command("sent", number)
        assert "copie trouvée dans le dossier des messages envoyés" in told.stdout


@contextmanager
def _office_at_a_rough_operator(folder: Path) -> Iterator[tuple[Office, RoughHop]]:
    hops: list[RoughHop] = []

    @contextmanager
    def hop(authority: Authority) -> Iterator[int]:
        with running_rough_hop(authority) as running:
            hops.append(running)
            yield running.port

    with running_office(folder, hop=hop, lease=2, evidence_within=60) as office:
        yield office, hops[0]
