"""What does not leave by itself: a submission whose usager is not certain, until its author answers the letter or a
human releases it; a recipient whom the operator refuses, or who may get nothing. And the same from a shell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from itertools import count
from pathlib import Path

import pytest

from hub.domains import domain_of
from hub.sandbox.people import EMMA, EMMA_BIS, LINA
from tests.memberlists import a_list
from tests.trips.arrived import Arrived, expected_headers
from tests.trips.house import DOMAIN, wait_for
from tests.trips.mailbag import NAVETTE, Written, pdf
from tests.trips.office import (
    ASE,
    DOCTOR,
    LIST,
    MEMBERS,
    NOBODY,
    PRODUCT,
    SECRETARIAT,
    Office,
    a_mail,
    parsed,
)
from tests.trips.posted import inside

pytestmark = pytest.mark.timeout(300)  # servers are started, and the machine may be busy
NUMBERS = count(1_000)  # no PDF of the hundred
OUTSIDE = "parent@exemple.com"
MISSPELT = ASE.replace("departement.", "departement.oc.")


@contextmanager
def letter_about(office: Office) -> Iterator[list[EmailMessage]]:
    """The one letter that comes to the secretary of what is done in the block."""
    known = {str(one["Message-ID"]) for one in office.letters()}
    found: list[EmailMessage] = []
    yield found
    now = office.letters(at_least=len(known) + 1)
    found += [one for one in now if str(one["Message-ID"]) not in known]
    assert len(found) == 1, [str(one["Subject"]) for one in found]


def states(office: Office) -> dict[str, str]:
    with office.site.opened() as house:
        return {one.envelope.id: one.state for one in asyncio.run(house.spool.messages(limit=10_000))}


def waits_for(office: Office, message: str, state: str) -> None:
    told = office.site.log
    wait_for(lambda: states(office)[message] == state, 30, lambda: f"{states(office)[message]}\n{told()[-4000:]}")


def submitted(office: Office, mail: EmailMessage) -> str:
    """The hub's number of it."""
    before = states(office)
    office.submit(mail)
    (found,) = (one for one in submissions(office) if one not in before)
    return found


def submissions(office: Office) -> set[str]:
    with office.site.opened() as house:
        found = asyncio.run(house.spool.messages(limit=10_000))
        return {one.envelope.id for one in found if one.envelope.is_submission}


def arrived_with(office: Office, raw: bytes, recipient: str = ASE) -> list[Arrived]:
    """The mails in a mailbox whose document holds this PDF."""
    found = [Arrived(recipient, one) for one in office.fetched(recipient)]
    return [one for one in found if raw in map(inside, one.cdas)]


def the_one(office: Office, raw: bytes, recipient: str = ASE) -> Arrived:
    """Waits for it."""
    wait_for(lambda: bool(arrived_with(office, raw, recipient)), 20, office.site.log)
    (found,) = arrived_with(office, raw, recipient)
    return found


def held(office: Office, subject: str = "MARTINOT Emma : rapport de la semaine") -> tuple[str, bytes, EmailMessage]:
    """(message, its PDF, the letter about it): two usagers bear that name."""
    raw = pdf(next(NUMBERS))
    with letter_about(office) as letters:
        message = submitted(office, a_mail(subject, files=[("scan0012.pdf", raw)], number=f"attend-{raw[11:15].hex()}"))
        waits_for(office, message, "HELD")
    return message, raw, letters[0]


def reply(letter: EmailMessage, words: str) -> EmailMessage:
    """As a mail program answers: the letter quoted below."""
    quoted = "\n".join(f"> {line}" for line in letter.get_content().splitlines())
    text = f"{words}\n\nLe jeudi 26 novembre 2026, MECS d'essai a écrit :\n{quoted}\n"
    return a_mail(
        f"Re: {letter['Subject']}",
        SECRETARIAT,
        text=text,
        In_Reply_To=str(letter["Message-ID"]),
        References=str(letter["Message-ID"]),
    )


def test_the_author_answers_the_letter_with_the_number_and_it_leaves(office: Office) -> None:
    message, raw, letter = held(office)
    for usager in (EMMA, EMMA_BIS):  # both are shown, with what tells them apart
        assert str(usager.record_number) in letter.get_content()
        assert "/".join(reversed(str(usager.identity.birth_date).split("-"))) in letter.get_content()
    assert "MARTINOT" not in str(letter["Subject"])
    assert not arrived_with(office, raw)
    answer = submitted(office, reply(letter, f"[dossier {EMMA_BIS.record_number}]"))
    waits_for(office, message, "DONE")
    waits_for(office, answer, "DONE")
    found = the_one(office, raw)
    assert str(EMMA_BIS.identity.ins).encode() in found.metadata
    assert str(EMMA.identity.ins).encode() not in found.metadata
    assert not [mail for mail in office.inbox(SECRETARIAT) if str(mail["Subject"]).startswith("Re:")]  # it went nowhere
    with letter_about(office) as letters:  # answered once more: too late, and nothing leaves twice
        submitted(office, reply(letter, f"[dossier {EMMA.record_number}]"))
    assert "trop tard" in str(letters[0]["Subject"])
    assert len(arrived_with(office, raw)) == 1


def test_the_author_cancels_and_nothing_leaves(office: Office) -> None:
    message, raw, letter = held(office)
    with letter_about(office) as letters:
        submitted(office, reply(letter, "Annuler, merci"))
        waits_for(office, message, "DONE")
    assert "annulé" in str(letters[0]["Subject"])
    assert not arrived_with(office, raw)


def test_a_human_releases_it_from_a_shell(office: Office) -> None:
    message, raw, _ = held(office)
    words = ("release", message[:10], "--usager", str(EMMA.record_number), "--by", "Mme Essai")
    told = office.site.command(*words)
    assert told.returncode == 0, told.stdout + told.stderr
    waits_for(office, message, "DONE")
    found = the_one(office, raw)
    assert str(EMMA.identity.ins).encode() in found.metadata
    (sending,) = (one for one in office.sent() if one["message"] == message)
    assert sending["by"] == "Mme Essai"
    assert message[:8] not in office.said("held")


def test_a_shell_sends_as_the_door_does(office: Office, tmp_path: Path) -> None:
    """The same mail, header by header and part by part."""
    raws = [pdf(next(NUMBERS)) for _ in range(2)]
    subject = f"[dossier {LINA.record_number}] [fiche navette]"
    office.submit(a_mail(subject, ASE, DOCTOR, files=[("scan0012.pdf", raws[0])]))
    (tmp_path / "scan0012.pdf").write_bytes(raws[1])
    told = office.site.command(
        *("send", "--from", "secretariat", "--to", ASE, "--to", DOCTOR, "--usager", str(LINA.record_number)),
        *("--kind", "fiche_navette", "--by", "Mme Essai", str(tmp_path / "scan0012.pdf")),
        *("--text", "Bonjour,\n\nVeuillez trouver ci-joint le document. Bien à vous,\nle secrétariat\n"),
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "C'est parti" in told.stdout
    for recipient in (ASE, DOCTOR):
        door, shell = (the_one(office, raw, recipient) for raw in raws)
        written = Written(a_mail(subject), LINA, NAVETTE, (raws[1],), (ASE, DOCTOR))
        for name, value in expected_headers(written).items():
            assert shell.shown(name) == door.shown(name) == value, name
        assert [name for name, _ in shell.mail.items()] == [name for name, _ in door.mail.items()]
        parts = [[(part.get_content_type(), part.get_filename()) for part in one.mail.walk()] for one in (shell, door)]
        assert parts[0] == parts[1]
        texts = [next(one.entity.iter_parts()).get_payload(decode=True) for one in (shell, door)]
        assert texts[0] == texts[1]
    (sending,) = (one for one in office.sent() if one["by"] == "Mme Essai" and len(one["recipients"]) == 2)
    assert {each["rung"] for each in sending["recipients"]} == {"submitted"}


def test_a_mail_without_document_and_usager_goes_as_she_wrote_it_signed(office: Office) -> None:
    """An ordinary mail: her subject, her words, no archive."""
    office.submit(a_mail("Réunion de mardi : salle B", text="Bonjour,\n\nLa réunion est en salle B.\n"))

    def there() -> list[EmailMessage]:
        return [mail for mail in office.inbox(ASE) if str(mail["Subject"]) == "Réunion de mardi : salle B"]

    wait_for(lambda: bool(there()), 20, office.site.log)
    (mail,) = there()
    assert mail.get_content_type() == "multipart/signed"
    assert "en salle B" in next(mail.iter_parts()).get_content()
    assert (mail["X-MSS-NIL"], mail["X-MSS-CODECDA"], mail["X-MSS-INS"]) == (PRODUCT, None, None)
    assert [part.get_filename() for part in mail.walk() if part.get_filename()] == ["smime.p7s"]


@pytest.mark.parametrize("bad", [NOBODY, OUTSIDE, MISSPELT])
def test_one_recipient_who_gets_nothing_is_told_and_the_other_gets_it(office: Office, bad: str) -> None:
    """Refused by the operator (550), or outside the trust space."""
    raw = pdf(next(NUMBERS))
    subject = f"[dossier {LINA.record_number}] [fiche navette]"
    with letter_about(office) as letters:
        message = submitted(office, a_mail(subject, bad, ASE, files=[("scan0012.pdf", raw)]))
        waits_for(office, message, "HELD" if bad == NOBODY else "DONE")
    assert bad in letters[0].get_content()
    assert ASE not in letters[0].get_content()
    near = f"L'adresse ressemble à celles de : {domain_of(ASE)}."
    assert (near in " ".join(letters[0].get_content().split())) is (bad == MISSPELT)
    assert the_one(office, raw).recipient == ASE
    (sending,) = (one for one in office.sent() if one["message"] == message)
    stands = {each["recipient"]: (each["rung"], each["status"]) for each in sending["recipients"]}
    assert stands == {ASE: ("submitted", "")} | ({NOBODY: ("failed", "5.1.1")} if bad == NOBODY else {})


def test_a_domain_that_joins_the_trust_space_is_written_to_without_a_restart(office: Office) -> None:
    """Refused in the morning, in the list at noon. (The operator of this test does not know it: it answers 554.)"""
    newcomer = f"ase@nouveau.{DOMAIN}"
    with letter_about(office):
        message = submitted(office, a_mail("Réunion", newcomer))
        waits_for(office, message, "DONE")
    assert not [one for one in office.sent() if one["message"] == message]
    later = datetime.now(UTC)
    (office.site.folder / LIST).write_bytes(a_list(*MEMBERS, domain_of(newcomer), generated_at=later))
    assert f"+ {domain_of(newcomer)}" in office.said("members", "refresh")

    def is_tried() -> bool:
        message = submitted(office, a_mail("Réunion", newcomer))
        wait_for(lambda: states(office)[message] in ("DONE", "HELD"), 30, office.site.log)
        return any(one["message"] == message for one in office.sent())

    wait_for(is_tried, 30, office.site.log)


def test_a_shell_is_told_what_is_near_a_recipient_outside(office: Office) -> None:
    file = office.site.folder / "note.pdf"
    file.write_bytes(pdf(next(NUMBERS)))
    words = ("send", "--from", "secretariat", "--usager", str(LINA.record_number), str(file))
    said = office.said(*words, "--to", ASE, "--to", MISSPELT)
    assert f"Rien n'est parti pour {MISSPELT}." in said
    assert f"L'adresse ressemble à celles de : {domain_of(ASE)}." in said


def test_every_letter_can_be_read_by_whom_it_is_for(office: Office) -> None:
    """What happened, what to do now; no name in a subject, in French."""
    letters = office.letters()
    assert len(letters) > 5
    for letter in letters:
        assert "Ce qu'il faut faire" in letter.get_content()
        assert parsed(letter.as_bytes())["To"] == SECRETARIAT
