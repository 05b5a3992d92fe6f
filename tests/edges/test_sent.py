"""`hub sent`: the ladder as a sysadmin reads it, from the scripted recipient's answers to the printed lines.

All people and domains are fictional."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner, Result

from hub import journal, routing
from hub.cda import Codes
from hub.cli.commands import app
from hub.cli.sent import fitted
from hub.message import Delivery, Door, Envelope, Limits, News, Rung, Sending, SentTo, Thought
from hub.parse import parse
from hub.receipts import heard, keys_of
from hub.records.usagers import USAGER
from hub.settings import load_settings
from hub.tables import Instant, MessageRow
from hub.wiring import House, open_house
from hub.wiring.rulebook import load_rulebook
from tests.recipient import FORMS, Case, answer

AUTHOR = "secretariat@mecs-exemple.mssante.example"
AT = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
NOW = AT + timedelta(hours=50)
HOUR = timedelta(hours=1)
MESSAGE = MessageRow.__table__  # type: ignore[attr-defined]
MAIL = b"Subject: essai\r\n\r\nBonjour.\r\n"

SETTINGS = f"""\
site: {{product_reference: ESSAI1}}
operators:
  - name: operateur
    imap: {{host: localhost, port: 1, tls: implicit}}
    smtp: {{host: localhost, port: 1, tls: implicit}}
    ca_file: ca.pem
    sasl: none
mailboxes:
  - {{name: secretariat, address: {AUTHOR}, operator: operateur}}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    assert run(folder, "init", str(folder), at_site=False).exit_code == 0
    (folder / "hub.yaml").write_text(SETTINGS, encoding="utf-8")
    monkeypatch.setattr("hub.cli.sent.now", lambda: NOW)
    monkeypatch.setattr("hub.cli.show.now", lambda: NOW)
    monkeypatch.setattr("hub.cli.status.now", lambda: NOW)
    return folder


@pytest.fixture
def house(site: Path) -> Iterator[House]:
    opened = open_house(load_settings(site / "hub.yaml"))
    yield opened
    opened.database.close()


def run(site: Path, *words: str, at_site: bool = True) -> Result:
    """In a thread: a command has an event loop of its own."""
    arguments = [*words, *(["--site", str(site)] if at_site else [])]
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(CliRunner().invoke, app, arguments).result()


def told(site: Path, *words: str) -> str:
    result = run(site, *words)
    assert result.exit_code in (0, 1), result.output
    return result.output


def add_message(house: House, **given: Any) -> str:
    number = uuid4().hex
    dates = [column.name for column in MESSAGE.c if not column.nullable and isinstance(column.type, Instant)]
    row = {"id": number, "state": "DONE", "door": "imap", "fingerprint": number, "sha256": "0" * 64, "size": 0}
    row |= {"mailbox": "secretariat", **dict.fromkeys(dates, AT), **given}
    house.database.write_now(lambda c: c.execute(insert(MESSAGE), row))
    return str(row["id"])


async def compose(house: House, *recipients: str, at: datetime = AT, **given: Any) -> Sending:
    blob = await house.blobs.put(MAIL)
    house.database.write_now(lambda c: house.blobs.name(c, blob))
    fields: dict[str, Any] = {
        "id": hashlib.sha256(",".join(recipients).encode()).hexdigest()[:32],
        "message": add_message(house, door="smtp", sha256=blob.sha256),
        "mailbox": "secretariat",
        "message_id": f"<{len(recipients)}.{recipients[0]}>",
        "composed_at": at,
        "sha256": blob.sha256,
        "size": blob.size,
        "by": "s.exemple",
        "sent_to": tuple(SentTo(recipient=one, rung=Rung.PREPARED, at=at) for one in recipients),
    }
    made = Sending(**{**fields, **given})
    await house.database.write(house.records.composing(made, blob))
    for one in recipients:
        await tell(house, News(sending=made.id, recipient=one, rung=Rung.SUBMITTED, source="smtp", status="250"), at)
    return made


async def tell(house: House, news: News, at: datetime, report: str = "") -> None:
    await house.database.write(house.records.telling(news, report, at, heard))


async def answered(house: House, sending: Sending, recipient: str, form: str, at: datetime) -> Thought:
    """The recipient answers; what the hub makes of it is done as the trip does it, the letters apart."""
    raw = answer(form, Case(sending, recipient, frozenset(FORMS[form].keys), AUTHOR))
    parsed = parse(raw, Limits(), Codes.from_tables({}))
    known = await house.records.find(keys_of(parsed))
    report = add_message(house, sha256=(await house.blobs.put(MAIL)).sha256, accepted_at=at, received_at=at)
    envelope = Envelope(id=report, door=Door.IMAP, mailbox="secretariat", received_at=at)
    seen = routing.Seen(envelope=envelope, parsed=parsed, sendings=known)
    thought = routing.think(seen, load_rulebook(house.settings))
    kind = thought.classification.message_class.value
    house.database.write_now(
        lambda c: c.execute(MESSAGE.update().where(MESSAGE.c.id == report), {"message_class": kind})
    )
    for step in thought.plan.steps:
        if isinstance(step, News):
            await tell(house, step, at, report)
    return thought


ANSWERS = (  # recipient, form, hours after the sending
    ("ase@departement-exemple.mssante.example", "displayed", 2),
    ("crip@departement-exemple.mssante.example", "processed", 1),
    ("dossiers@clinique-exemple.mssante.example", "refused, old form", 1),
    ("medecin@cabinet-exemple.mssante.example", "bounce", 1),
    ("pmi@departement-exemple.mssante.example", "message non distribué", 2),
    ("cmp@hopital-exemple.mssante.example", "delayed", 49),
    ("educatrice@sessad-exemple.mssante.example", "delivered", 1),
    ("psychologue@cmpp-exemple.mssante.example", "vacation", 1),
    ("assistante@ecole-exemple.mssante.example", "", 0),
)

LADDER = """\
Envoi {id}  25/11/2026 10:00  boîte secretariat  Fiche navette  dossier D-0012
    ase@departement-exemple.mssante.example    lu il y a 2 jours
    crip@departement-exemple.mssante.example   intégré au dossier du destinataire il y a 2 jours
    dossiers@clinique-exemple.mssante.example  échec il y a 2 jours : l'intégration au dossier a été refusée, « Identifiant de patient inconnu » (902)
                                               -> Le destinataire n'a pas pu rattacher le document à son dossier : vérifiez l'identité (INS et traits) avec lui, corrigez, puis renvoyez.
    medecin@cabinet-exemple.mssante.example    échec il y a 2 jours : l'adresse n'existe pas ou n'existe plus (5.1.1)
                                               -> Vérifiez l'adresse dans l'annuaire, puis renvoyez, ou téléphonez au destinataire.
    pmi@departement-exemple.mssante.example    échec il y a 2 jours : la boîte du destinataire est pleine (4.2.2)
                                               -> Prévenez-le par téléphone, puis renvoyez.
    cmp@hopital-exemple.mssante.example        retardé, l'opérateur essaie encore (depuis 1 heure)
    educatrice@sessad-exemple.mssante.example  sans nouvelles depuis 2 jours (remis dans la boîte du destinataire)
                                               -> Téléphonez au destinataire pour savoir s'il l'a reçu.
    psychologue@cmpp-exemple.mssante.example   sans nouvelles depuis 2 jours (remis à l'opérateur)
                                               -> Une réponse automatique est arrivée : lisez-la, la personne est peut-être absente. Téléphonez au destinataire pour savoir s'il l'a reçu.
    assistante@ecole-exemple.mssante.example   sans nouvelles depuis 2 jours (remis à l'opérateur)
                                               -> Téléphonez au destinataire pour savoir s'il l'a reçu.
"""  # noqa: E501


@pytest.fixture
async def ladder(house: House) -> Sending:
    usager = {"id": "u1", "record_number": "D-0012", "updated_at": AT, "ins_status": "provisoire", "doubtful": False}
    house.database.write_now(lambda c: c.execute(insert(USAGER), usager))
    made = await compose(house, *(one for one, _, _ in ANSWERS), kind="fiche_navette", usager_id="u1")
    for recipient, form, hours in ANSWERS:
        if form:
            await answered(house, made, recipient, form, AT + hours * HOUR)
    return made


async def test_the_whole_ladder_in_plain_french(site: Path, ladder: Sending) -> None:
    assert told(site, "sent") == LADDER.format(id=ladder.id[:8])


def test_a_ladder_is_folded_under_its_words() -> None:
    """On a terminal; into a pipe each line goes whole."""
    began = 4 + max(len(recipient) for recipient, _, _ in ANSWERS) + 2
    for line in LADDER.format(id="12345678").splitlines():
        folded = fitted(line, 100).splitlines()
        assert max(map(len, folded)) <= 100
        assert " ".join(" ".join(folded).split()) == " ".join(line.split())
        if "@" in line:
            assert {len(below) - len(below.lstrip()) for below in folded[1:]} <= {began}
        if "-> " in line:
            assert {len(below) - len(below.lstrip()) for below in folded[1:]} <= {began + len("-> ")}


async def test_one_sending_with_all_that_was_heard(site: Path, house: House) -> None:
    made = await compose(house, "ase@departement-exemple.mssante.example")
    (ase,) = (one.recipient for one in made.sent_to)
    await answered(house, made, ase, "delivered", AT + HOUR)
    await answered(house, made, ase, "vacation", AT + 2 * HOUR)
    lines = told(site, "sent", made.id[:6]).splitlines()
    assert [line.split(", message")[0] for line in lines] == [
        f"Envoi {made.id[:8]}  25/11/2026 10:00  boîte secretariat  courriel",
        f"    {ase}  sans nouvelles depuis 2 jours (remis dans la boîte du destinataire)",
        f"    {'':<{len(ase)}}  -> Une réponse automatique est arrivée : lisez-la, la personne est peut-être absente. "
        "Téléphonez au destinataire pour savoir s'il l'a reçu.",
        "Ce qu'on en a appris :",
        f"    25/11/2026 10:00  {ase}  remis à l'opérateur (250) : réponse de l'opérateur",
        f"    25/11/2026 11:00  {ase}  remis dans la boîte du destinataire : avis de remise",
        f"    25/11/2026 12:00  {ase}  réponse automatique",
    ]


async def test_what_waits_and_what_does_not(site: Path, house: House) -> None:
    read = await compose(house, "lu@a.example")
    await answered(house, read, "lu@a.example", "displayed", AT + HOUR)
    failed = await compose(house, "parti@a.example", at=NOW - HOUR)
    await answered(house, failed, "parti@a.example", "bounce", NOW)
    fresh = await compose(house, "frais@a.example", at=NOW - 5 * HOUR)
    urgent = await compose(house, "urgent@a.example", at=NOW - 5 * HOUR, kind="information_preoccupante", urgency="P0")
    silent = await compose(house, "muet@a.example", at=AT)
    result = run(site, "sent", "--waiting")
    shown = [line.split()[1] for line in result.output.splitlines() if line.startswith("Envoi")]
    assert (shown, result.exit_code) == ([one.id[:8] for one in (failed, urgent, silent)], 1)
    assert "sans nouvelles depuis 5 heures" in result.output
    forgotten = await compose(house, "ancien@a.example", at=NOW - timedelta(days=40))
    assert forgotten.id[:8] not in told(site, "sent", "--waiting")
    assert forgotten.id[:8] in told(site, "sent", "--waiting", "--since", "60d")
    everything = run(site, "sent")
    assert everything.exit_code == 0
    assert all(one.id[:8] in everything.output for one in (read, failed, fresh, urgent, silent))
    recent = told(site, "sent", "--since", "2026-11-27", "--mailbox", "secretariat")
    assert fresh.id[:8] in recent
    assert read.id[:8] not in recent


async def test_a_list_may_be_empty(site: Path, house: House) -> None:
    assert told(site, "sent") == "Aucun envoi à montrer.\n"
    assert run(site, "sent", "--waiting").exit_code == 0
    assert told(site, "sent", "--unmatched") == "Tous les avis reçus concernent un envoi connu.\n"
    assert json.loads(told(site, "sent", "--json")) == []


async def test_reports_about_nothing_are_listed_never_dropped(site: Path, house: House) -> None:
    made = await compose(house, "ase@a.example")
    await answered(house, made, "ase@a.example", "delivered", AT + HOUR)
    stranger = Sending(**{**_fields(made), "id": "f" * 32, "message_id": "<inconnu@ailleurs.example>"})
    forms = ("bounce", "displayed", "vacation")
    for hours, form in enumerate(forms):
        await answered(house, stranger, "ase@a.example", form, AT + hours * HOUR)
    lines = told(site, "sent", "--unmatched").splitlines()
    assert [line[8:] for line in lines[:-1]] == [
        "  25/11/2026 12:00  boîte secretariat  réponse automatique  noté",
        "  25/11/2026 11:00  boîte secretariat  accusé de lecture  noté",
        "  25/11/2026 10:00  boîte secretariat  avis de (non-)remise  noté",
    ]
    assert lines[-1] == "Pour lire l'un d'eux : hub show MESSAGE"
    assert len(json.loads(told(site, "sent", "--unmatched", "--json"))) == 3


def _fields(sending: Sending) -> dict[str, Any]:
    return {name: getattr(sending, name) for name in Sending.__slots__}


async def test_a_program_reads_the_same(site: Path, house: House) -> None:
    made = await compose(house, "ase@a.example", wants_receipt=True, kind="fiche_navette", urgency="P2")
    await answered(house, made, "ase@a.example", "bounce", NOW - HOUR)
    (one,) = json.loads(told(site, "sent", made.id[:8], "--json"))
    assert one["recipients"] == [
        {
            "recipient": "ase@a.example",
            "rung": "failed",
            "since": (NOW - HOUR).isoformat(),
            "age_seconds": 3600,
            "status": "5.1.1",
            "silent": False,
            "answered_at": None,
            "text": "échec il y a 1 heure : l'adresse n'existe pas ou n'existe plus (5.1.1)",
            "todo": "Vérifiez l'adresse dans l'annuaire, puis renvoyez, ou téléphonez au destinataire.",
        }
    ]
    assert (one["kind"], one["urgency"], one["wants_receipt"], one["by"]) == ("fiche_navette", "P2", True, "s.exemple")
    assert [line["source"] for line in one["news"]] == ["smtp", "dsn"]


async def test_a_persons_word_ends_a_silence_under_a_name(site: Path, house: House) -> None:
    made = await compose(house, "ase@a.example", "pmi@a.example")
    said = told(site, "sent", made.id[:8], "--read", "--by", "A. Exemple", "--recipient", "ASE@a.example")
    assert said == "C'est noté : lu par ase@a.example, d'après A. Exemple.\n"
    found = await house.records.sending(made.id)
    assert found is not None
    assert [one.rung for one in found.sent_to] == [Rung.READ, Rung.SUBMITTED]
    (entry,) = house.database.read_now(lambda c: journal.entries(c, message=made.message, last=10))
    assert (entry.author, entry.action, "ase@" in entry.answer) == ("A. Exemple", "noted", False)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--read",), 2),
        (("SENDING", "--read"), 2),  # by whom?
        (("SENDING", "--read", "--by", "A"), 1),  # which of the two?
        (("SENDING", "--read", "--by", "A", "--recipient", "autre@a.example"), 1),
        (("ffff",), 1),
        (("--usager", "D-9999"), 1),
        (("--mailbox", "inconnue"), 1),
        (("--since", "hier"), 1),
    ],
)
async def test_wrong_words_get_a_clear_no(site: Path, house: House, words: tuple[str, ...], code: int) -> None:
    made = await compose(house, "ase@a.example", "pmi@a.example")
    result = run(site, "sent", *(made.id if word == "SENDING" else word for word in words))
    assert result.exit_code == code
    found = await house.records.sending(made.id)
    assert found is not None
    assert {one.rung for one in found.sent_to} == {Rung.SUBMITTED}


async def test_a_submission_and_a_report_show_the_ladder_too(site: Path, house: House) -> None:
    made = await compose(house, "ase@a.example")
    await answered(house, made, "ase@a.example", "bounce", NOW - HOUR)
    (_, heard_of) = await house.records.heard_of(made.id)
    failure = "ase@a.example  échec il y a 1 heure : l'adresse n'existe pas ou n'existe plus (5.1.1)"
    for message, title in ((made.message, "Ce que c'est devenu"), (heard_of.report, "L'envoi dont il est question")):
        output = told(site, "show", message)
        assert title in output
        assert failure in output


async def test_status_counts_silences_without_names(site: Path, house: House) -> None:
    await compose(house, "muet@a.example", "absent@a.example")
    await compose(house, "frais@a.example", at=NOW)
    output = told(site, "status")
    assert "destinataires sans nouvelles        2" in output
    assert "2 destinataire(s) n'ont donné aucune nouvelle d'un envoi" in output
    assert "@" not in output


async def test_each_failure_is_told_to_its_author_once(house: House) -> None:
    made = await compose(house, "ase@a.example", "pmi@a.example")
    letters = []
    for form in ("bounce", "bounce", "delivered", "bounce", "displayed", "bounce"):
        thought = await answered(house, made, "ase@a.example", form, AT + HOUR)
        letters += [step for step in thought.plan.steps if isinstance(step, Delivery)]
    assert [letter.recipient for letter in letters] == [AUTHOR]
