"""What a secretary writes to a role, through the real door and on to a real mailbox: who holds it that day gets it, who
held it before gets nothing; and a document that comes in is passed on to the référent of its child.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hub.sandbox.letters import document_mail
from hub.sandbox.papers import DISCHARGE, Paper
from hub.sandbox.people import HOSPITAL, LINA
from hub.wiring.rulebook import CONFIRM_AFTER, LOOK_EVERY
from tests.trips.house import wait_for
from tests.trips.mailbag import pdf
from tests.trips.office import ASE, DOCTOR, SECRETARIAT, Office, a_mail
from tests.trips.test_sending_waiting import arrived_with, letter_about, submitted, the_one, waits_for

pytestmark = pytest.mark.timeout(300)  # servers are started, and the machine may be busy
NUMBERS = count(2_000)  # no PDF of the hundred
REFERENT = "referent-ase@dossier.invalid"
NUMBER = str(LINA.record_number)
SUBJECT = f"[dossier {NUMBER}] [fiche navette]"
RULE = """
  - name: transmis-au-referent
    when: {mailbox: secretariat, class: [xdm, document], match: certain}
    then: {file: true, copy: "role:referent_ase"}
"""


def a_day(ahead: int) -> str:
    return f"{datetime.now(ZoneInfo('Europe/Paris')) + timedelta(days=ahead):%d/%m/%Y}"


def write_to_the_role(office: Office) -> tuple[str, bytes]:
    """(message, its PDF)"""
    raw = pdf(next(NUMBERS))
    return submitted(office, a_mail(SUBJECT, REFERENT, files=[("scan0012.pdf", raw)])), raw


def test_a_role_leads_to_who_holds_it_on_the_day_of_each_sending(office: Office, tmp_path: Path) -> None:
    # Nobody yet: it waits, and she is told what to do.
    with letter_about(office) as letters:
        waiting, raw = write_to_the_role(office)
        waits_for(office, waiting, "HELD")
    assert "référent ASE" in letters[0].get_content()
    assert "carnet d'adresses" in letters[0].get_content()

    # The book knows one; her answer lets it go.
    office.said("contacts", "add", ASE, "--type", "ORG", "--name", "ASE (fictive)")
    office.said("contacts", "add", DOCTOR, "--type", "PER")
    office.said("usagers", "role", "set", NUMBER, "referent_ase", ASE, "--since", a_day(-30))
    answer = a_mail(f"Re: {letters[0]['Subject']}", SECRETARIAT, text=f"[dossier {NUMBER}]\n",
                    In_Reply_To=str(letters[0]["Message-ID"]))  # fmt: skip
    office.submit(answer)
    waits_for(office, waiting, "DONE")
    first = the_one(office, raw, ASE)
    assert first.mail["To"] == ASE
    assert b"dossier.invalid" not in first.raw
    told = office.said("show", waiting)
    assert f"référent ASE de l'usager, depuis le {a_day(-30)}" in " ".join(told.split())

    # Another one from today on: the second goes there, whoever sends it.
    office.said("usagers", "role", "set", NUMBER, "referent_ase", DOCTOR, "--since", a_day(0))
    message, raw = write_to_the_role(office)
    waits_for(office, message, "DONE")
    assert the_one(office, raw, DOCTOR).recipient == DOCTOR
    assert arrived_with(office, raw, ASE) == []
    (tmp_path / "scan0012.pdf").write_bytes(raw := pdf(next(NUMBERS)))
    said = office.site.command(
        *("send", "--from", "secretariat", "--to", "role:referent_ase", "--usager", NUMBER),
        *("--kind", "fiche_navette", "--by", "Mme Essai", str(tmp_path / "scan0012.pdf")),
        *("--text", "Bonjour.\n"),
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"{DOCTOR} (référent ASE de l'usager, depuis le {a_day(0)})" in said.stdout
    assert the_one(office, raw, DOCTOR).recipient == DOCTOR

    # By hand to the former one: it goes, and she is told who it is now.
    with letter_about(office) as letters:
        raw = pdf(next(NUMBERS))
        office.submit(a_mail(SUBJECT, ASE, files=[("scan0012.pdf", raw)]))
    assert DOCTOR in letters[0].get_content()
    assert the_one(office, raw, ASE).recipient == ASE

    # Nothing was ever handed to the operator for the domain of the roles.
    assert "dossier.invalid" not in office.site.log()
    assert not [each for one in office.sent() for each in one["recipients"] if "dossier.invalid" in each["recipient"]]


def test_a_document_that_comes_in_is_passed_on_to_the_referent(office: Office) -> None:
    routes = office.site.folder / "routes.yaml"
    text = routes.read_text(encoding="utf-8")
    routes.write_text(text.replace("\n  - name: type-declare", f"{RULE}\n  - name: type-declare", 1), encoding="utf-8")
    office.said("check")
    time.sleep(
        LOOK_EVERY + 3 * CONFIRM_AFTER
    )  # taken once two looks agree, in a process whose log does not tell it at this level
    at = datetime.now(UTC)
    paper = Paper(
        name="transmission",
        structure=HOSPITAL,
        patient=LINA.identity,
        type_code=DISCHARGE,
        title="Lettre (fictive)",
        lines=("Personne fictive.",),
        created_at=at,
    )
    before = len(office.inbox(DOCTOR))
    raw = document_mail("transmission-1", [paper], sent_at=at)
    raw = raw.replace(HOSPITAL.address.encode(), b"courrier@hopital.mssante.example")
    office.dovecot.deliver(SECRETARIAT, raw)

    def is_there() -> bool:
        return len(office.inbox(DOCTOR)) > before

    wait_for(is_there, 60, lambda: office.site.log() + office.said("held"))
    copy = office.inbox(DOCTOR)[-1]
    assert copy["X-MSS-NIL"] is not None
    assert any(part.get_filename() == "message_original.eml" for part in copy.walk())
    assert "1 document(s)" in office.said("usagers", "show", NUMBER)
