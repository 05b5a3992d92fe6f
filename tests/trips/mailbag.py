"""A hundred PDFs that an establishment sends, each with what must become of it: kinds, ways to name the usager, mail
programs. Every PDF is told from the others by four bytes of its first comment; all people are fictional.

What is expected is written here from the requirements (mssante.md §4), not taken from the hub's tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cache
from itertools import count

from hub import ins
from hub.message import Identity, Usager
from hub.pdf import Fact, Paper, write_paper
from hub.pdf.paper import Words
from hub.sandbox.people import ELOISE, EMMA, HUGO, LINA, LOUISE, TOM, YANIS, ZOE, make_ins
from tests.pieces import AT, faces, office_pdf
from tests.trips.office import ASE, DIRECTION, DOCTOR, SECRETARIAT, a_mail


def _real(number: int, names: tuple[str, str], born: str, ins_body: str) -> Usager:
    """A usager of the mailbox that is no test mailbox: an INS of the real authority, of a person who does not exist."""
    identity = Identity(
        ins=make_ins(ins_body),
        oid=ins.NIR,
        birth_name=names[0],
        first_given=names[1].split()[0],
        given_names=names[1],
        birth_date=born,
        sex="M" if ins_body[0] == "1" else "F",
        birth_place=ins_body[5:10],
    )
    record_number = f"DIR-{number}"
    return Usager(
        id=record_number, identity=identity, ins_status="qualifiee", record_number=record_number, facility="990000029"
    )


NORA = _real(7, ("ESSAIVAL", "NORA JEANNE"), "2013-08-21", "2130869381941")
SACHA = _real(12, ("FICTIVET", "SACHA"), "2011-01-09", "1110138185942")
MAEL = _real(31, ("D'INVENTE", "MAEL"), "2016-12-03", "1161269123943")
OURS = (NORA, SACHA, MAEL)


@dataclass(frozen=True)
class Kind:
    """`tag` stands in the subject; `code` and `label` are those of the document; `shows_name`: no guard hides it."""

    id: str
    tag: str
    code: str
    label: str
    shows_name: bool = False


SOCIAL = "Document du secteur social / médico-social"
NAVETTE = Kind("fiche_navette", "[fiche navette]", "28653-4", SOCIAL)
NOTE = Kind("note_information", "[Note d'information ou de situation]", "28653-4", SOCIAL)
REPORT = Kind("rapport_situation", "[rapport de situation]", "28653-4", SOCIAL)
PROJECT = Kind("projet_personnalise", "[projet personnalisé d'accompagnement]", "80788-3",
               "Projet personnalisé d'accompagnement")  # fmt: skip
PIECES = Kind("pieces_admission", "[Pièces du dossier d'admission]", "51851-4", "Document administratif", True)
CERTIFICATE = Kind("certificat_medical", "[certificat médical]", "89601-9", "Certificat médical", True)
KINDS = (NAVETTE, NOTE, REPORT, PROJECT, PIECES, CERTIFICATE)


@dataclass(frozen=True)
class Written:
    """One submission. `pdfs` are as attached, `program` hands it in, `answers` is the In-Reply-To that must go out."""

    mail: EmailMessage
    usager: Usager
    kind: Kind
    pdfs: tuple[bytes, ...]
    recipients: tuple[str, ...] = (ASE,)
    sender: str = SECRETARIAT
    program: str = "smtplib"
    answers: str | None = None
    files: tuple[str, ...] = field(default=())

    @property
    def subject(self) -> str:
        return str(self.mail["Subject"])


@cache
def archival_template() -> bytes:
    paper = Paper(title="Document d'essai", facts=(Fact("Objet", "essai"),), blocks=(Words("Été, naïf, cœur."),))
    return write_paper(paper, faces(), AT)


def pdf(number: int, as_office: bool = False) -> bytes:
    """PDF/A as a careful program makes it, or what an office program makes; no two numbers give the same bytes."""
    raw = office_pdf() if as_office else archival_template()
    at = raw.index(b"\n%") + 2
    assert all(byte > 127 for byte in raw[at : at + 4])  # the comment that says that the file is binary
    mark = bytes((0xE2, 0xE3, 0x80 + number // 64, 0x80 + number % 64))
    return raw[:at] + mark + raw[at + 4 :]


def mailbag() -> tuple[Written, ...]:
    """Ninety-nine of the hundred: the last one answers another and can only be written once that one has left."""
    numbers = count(1)
    written = (*_of_programs(numbers), *_of_the_secretariat(numbers), *_of_the_direction(numbers))
    assert sum(len(one.pdfs) for one in written) == PDFS - 1
    return written


PDFS = 100


def _of_programs(numbers: Iterator[int]) -> Iterable[Written]:
    """By real mail programs, a few words in the subject."""
    for place, usager in enumerate((LINA, YANIS, HUGO, LOUISE, EMMA, ELOISE, ZOE, TOM, LINA, YANIS)):
        kind, to = KINDS[place % len(KINDS)], (DOCTOR if place % 2 else ASE)
        yield _written(f"[dossier {usager.record_number}] {kind.tag}", usager, kind, next(numbers), (to,), "swaks")
    for program in ("curl", "s-nail", "mutt"):
        yield _written(f"[dossier {LINA.record_number}] [fiche navette]", LINA, NAVETTE, next(numbers), (ASE,), program)


def _of_the_secretariat(numbers: Iterator[int]) -> Iterable[Written]:
    """Every way to name the usager, several recipients, several documents, PDFs of an office program."""
    for usager, kind in ((LINA, NAVETTE), (YANIS, CERTIFICATE), (ZOE, PIECES)):
        yield _written(f"{kind.tag} {_named(usager)}", usager, kind, next(numbers))
    for usager in (HUGO, EMMA):
        files = (f"dossier_{usager.record_number}_rapport.pdf",)
        yield _written("[rapport de situation] pour la réunion", usager, REPORT, next(numbers), files=files)
    for usager in (LINA, LOUISE):
        subject = f"[dossier {usager.record_number}] [fiche navette]"
        yield _written(subject, usager, NAVETTE, next(numbers), (ASE, DOCTOR))
    for kind in (NAVETTE, PIECES):
        yield _written(f"[dossier {ELOISE.record_number}] {kind.tag}", ELOISE, kind, next(numbers), more=next(numbers))
    for usager in (LINA, YANIS, ZOE):
        subject = f"[dossier {usager.record_number}] [fiche navette] reçue du transporteur"
        yield _written(subject, usager, NAVETTE, next(numbers), as_office=True)


def _of_the_direction(numbers: Iterator[int]) -> Iterable[Written]:
    """One recipient each: they will be answered. Another certificate, another operator, real INS."""
    for number in numbers:
        if number >= PDFS:
            return
        usager, kind = OURS[number % len(OURS)], KINDS[number % len(KINDS)]
        subject = f"{kind.tag} [dossier {usager.record_number}]"
        one = _written(subject, usager, kind, number, sender=DIRECTION, as_office=number % 8 == 0)
        if number % 2:  # half of them ask to be told
            one.mail["Disposition-Notification-To"] = DIRECTION
        yield one


def the_answer(message_id: str, usager: Usager) -> Written:
    """The hundredth: nothing names the usager but the mail of ours that it answers."""
    return _written("Re: la suite [fiche navette]", usager, NAVETTE, PDFS, answers=message_id)


def _named(usager: Usager) -> str:
    who = usager.identity
    day = "/".join(reversed(str(who.birth_date).split("-")))
    return f"{who.birth_name} {str(who.first_given).title()} {day}"


def _written(
    subject: str,
    usager: Usager,
    kind: Kind,
    number: int,
    recipients: tuple[str, ...] = (ASE,),
    program: str = "smtplib",
    *,
    sender: str = SECRETARIAT,
    files: tuple[str, ...] = ("scan0012.pdf",),
    more: int | None = None,
    as_office: bool = False,
    answers: str | None = None,
) -> Written:
    pdfs = tuple(pdf(one, as_office) for one in (number, more) if one is not None)
    names = files if len(pdfs) == 1 else tuple(f"scan{place}.pdf" for place in range(len(pdfs)))
    headers = {"In_Reply_To": answers, "References": answers} if answers else {}
    mail = a_mail(
        subject,
        *recipients,
        files=tuple(zip(names, pdfs, strict=True)),
        sender=sender,
        number=f"essai-{number}",
        **headers,
    )
    return Written(mail, usager, kind, pdfs, recipients, sender, program, answers, names)
