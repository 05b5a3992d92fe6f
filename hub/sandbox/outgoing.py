"""What the fictional secretary sends in the demo, and what must become of it; the demo fails when it does not.

Two mails: one that says whose it is, to three recipients of whom one is gone, and one that could be about either of two
homonyms, so that the hub asks and she answers. `look` reads back what the database and the mailboxes say; `differences`
compares. Nothing here acts but `Correspondence.answer`, which is hers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

from hub import routing
from hub.message import ParsedMessage, Rung, Sending
from hub.ports import Reader
from hub.raw import Whole
from hub.sandbox import people
from hub.sandbox.operator import FakeOperator
from hub.sandbox.pdf import scanned_pdf
from hub.sandbox.people import ASE, CLOSED_MAILBOX, HOSPITAL, TILLEULS
from hub.sandbox.secretary import MailProgram, Written, replied
from hub.wiring import House


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One mail of hers, and what must become of it: about whom, under which title, on which rung with each recipient.
    `answer` is what she replies when the hub asks, "" when it must not ask."""

    mail: Written
    record_number: str
    title: str
    rungs: Mapping[str, Rung]
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What became of one errand. `question` is the letter that asked her, `arrived` what the ASE's mailbox holds, with
    its named files (name, bytes)."""

    errand: Errand
    sending: Sending | None = None
    question: EmailMessage | None = None
    arrived: ParsedMessage | None = None
    files: tuple[tuple[str, bytes], ...] = ()

    @property
    def rungs(self) -> dict[str, Rung]:
        return {one.recipient: one.rung for one in self.sending.sent_to} if self.sending else {}


def errands(now: datetime) -> tuple[Errand, ...]:
    lina, emma = people.LINA.record_number or "", people.EMMA.record_number or ""
    form = (
        "MECS Les Tilleuls (fictive)",
        f"Enfant : Lina MARCHETERRE, dossier {lina}",
        "Objet : vacances du 12 au 18 avril, chez sa marraine",
        "Demande de : A. Brissac (fictive)",
        "Avis de la MECS : favorable",
        "Avis du service : ................",
        "Visa du cadre : ................",
    )
    shuttle = Written(
        key=f"navette {now.isoformat()}",
        to=(ASE.address, HOSPITAL.address, CLOSED_MAILBOX),
        subject=f"[dossier {lina}] [fiche navette] vacances d'avril",
        words="Bonjour,\n\nVoici la fiche navette pour les vacances d'avril. Merci de nous répondre avant vendredi.\n\n"
        "-- \nNadège Corvol, secrétariat (fictive)\n",
        files=(("scan0012.pdf", scanned_pdf("FICHE NAVETTE", form)),),
        asks_receipt=True,
    )
    note = Written(
        key=f"note {now.isoformat()}",
        to=(ASE.address,),
        subject="note de situation MARTINOT Emma",
        words="Bonjour,\n\nLa note demandée hier au téléphone.\n\n-- \nNadège Corvol, secrétariat (fictive)\n",
        files=(("scan0013.pdf", scanned_pdf("NOTE DE SITUATION", ("Rencontre du 3 mars avec la famille.",))),),
    )
    asked = {ASE.address: Rung.INTEGRATED, HOSPITAL.address: Rung.DELIVERED, CLOSED_MAILBOX: Rung.FAILED}
    return (
        Errand(mail=shuttle, record_number=lina, title="Fiche navette", rungs=asked),
        Errand(
            mail=note,
            record_number=emma,
            title="Note d'information ou de situation",
            rungs={ASE.address: Rung.INTEGRATED},
            answer=f"Bonjour, c'est le [dossier {emma}].",
        ),
    )


class Correspondence:
    """Her side of it: what she sent, what her mailbox holds, and her answers, each once."""

    def __init__(self, operator: FakeOperator, program: MailProgram, now: datetime) -> None:
        self.errands = errands(now)
        self._operator = operator
        self._program = program
        self._answered: set[str] = set()

    async def send(self) -> None:
        for errand in self.errands:
            await self._program.send(errand.mail, datetime.now(UTC).astimezone())

    async def letters(self) -> tuple[EmailMessage, ...]:
        """What the hub wrote to her, in the order of its arrival."""
        mails = [_read(raw) for raw in await self._operator.messages(TILLEULS.address)]
        return tuple(mail for mail in mails if TILLEULS.address in str(mail["From"]))

    async def answer(self) -> None:
        """Reply to the letter about a mail of hers that waits, once it is there."""
        for errand in self.errands:
            letter = _about(errand, await self.letters())
            if errand.answer and letter is not None and errand.mail.key not in self._answered:
                self._answered.add(errand.mail.key)
                reply = replied(str(letter["Message-ID"]), str(letter["Subject"]), errand.answer, text_of(letter))
                await self._program.send(reply, datetime.now(UTC).astimezone())

    async def is_settled(self, house: House) -> bool:
        """Whether everything became what it must, and each event was told."""
        found = await _sendings(house, self.errands)
        settled = [
            (one := found.get(errand.mail.message_id)) is not None
            and {each.recipient: each.rung for each in one.sent_to} == errand.rungs
            for errand in self.errands
        ]
        return all(settled) and len(await self.letters()) >= LETTERS


LETTERS = 3  # the question, the failure, the reading that she asked to be told


async def look(correspondence: Correspondence, operator: FakeOperator, house: House, reader: Reader) -> list[Came]:
    letters = await correspondence.letters()
    sendings = await _sendings(house, correspondence.errands)
    at_the_ase = {str(_read(raw)["Message-ID"]): raw for raw in await operator.messages(ASE.address)}
    found = []
    for errand in correspondence.errands:
        sending = sendings.get(errand.mail.message_id)
        came = Came(errand=errand, sending=sending, question=_about(errand, letters))
        raw = at_the_ase.get(sending.message_id) if sending is not None else None
        if raw is not None:
            arrived = await reader.read(Whole(raw), received_at=datetime.now(UTC))
            came = replace(came, arrived=arrived, files=_files(_read(raw)))
        found.append(came)
    return found


def differences(came: Came) -> list[str]:
    """What is not as it must be; empty when all is well."""
    errand, arrived = came.errand, came.arrived
    if came.sending is None or arrived is None:
        return ["l'envoi n'est pas arrivé à l'ASE"]
    document = arrived.documents[0] if arrived.documents else None
    numbers = [
        one.value.rpartition("/")[2] for one in (document.patient.local_ids if document and document.patient else ())
    ]
    found: list[tuple[str, object, object]] = [
        ("échelons", came.rungs, dict(errand.rungs)),
        ("question posée", came.question is not None, bool(errand.answer)),
        ("titre", document.title if document else None, errand.title),
        ("dossier", errand.record_number in numbers, True),
        ("signature", arrived.verdict.outcome if arrived.verdict else None, "valid"),
        ("X-MSS-NIL", arrived.header("X-MSS-NIL") is not None, True),
        ("nom de l'usager dans l'objet", _names_somebody(arrived.subject), False),
    ]
    return [f"{what} : {seen} au lieu de {wanted}" for what, seen, wanted in found if seen != wanted]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""


def _names_somebody(subject: str) -> bool:
    return any((who.identity.birth_name or "?") in subject.upper() for who in people.USAGERS)


def _about(errand: Errand, letters: tuple[EmailMessage, ...]) -> EmailMessage | None:
    """The question that the hub asks about a mail of hers."""
    beside = (one for one in letters if one["In-Reply-To"] == errand.mail.message_id)
    return next((one for one in beside if routing.letters.asks(str(one["Subject"]))), None)


async def _sendings(house: House, wanted: tuple[Errand, ...]) -> dict[str, Sending]:
    """By the Message-ID of the mail that she wrote."""
    ids = {errand.mail.message_id for errand in wanted}
    found = {}
    for summary in await house.spool.messages(limit=1_000):
        if summary.envelope.is_submission and summary.message_id in ids:
            for sending in await house.records.sendings_of(summary.id):
                found[summary.message_id] = sending
    return found


def _files(mail: EmailMessage) -> tuple[tuple[str, bytes], ...]:
    parts = (part for part in mail.walk() if part.get_filename() and not part.is_multipart())
    return tuple((str(part.get_filename()), bytes(part.get_payload(decode=True) or b"")) for part in parts)


def _read(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, policy=policy.default)
