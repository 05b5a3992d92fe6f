"""How the demo tells what went out: what the secretary wrote, what the ASE got, what the hub asked and she answered,
and what became of each sending, as `hub sent` prints it. Presentation only: every word comes from a mail that really
went, from the database, or from a mailbox of the fake operator.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.message import EmailMessage

from rich.box import ROUNDED
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hub import ins, pdf
from hub.cli.sent import Teller, fitted
from hub.message import Document
from hub.sandbox.outgoing import Came, differences, text_of
from hub.sandbox.people import SECRETARY, TILLEULS
from hub.sandbox.secretary import Written
from hub.smime import words
from hub.wiring import House, now


def tell_sent(console: Console, came: list[Came], letters: tuple[EmailMessage, ...]) -> None:
    plain, asked = (next(one for one in came if bool(one.errand.answer) is wanted) for wanted in (False, True))
    console.print("\n[bold]Ce qui part : le secrétariat écrit, le hub fait le reste[/]")
    _page(console, "1. Ce que la secrétaire écrit, dans sa messagerie", _written(plain.errand.mail))
    _page(console, "2. Ce que l'ASE reçoit", _arrived(plain))
    _page(console, "3. Un autre envoi ne dit pas clairement de qui il s'agit", _written(asked.errand.mail))
    _page(console, "4. Il attend, et le hub écrit cette lettre à la secrétaire", _letter(asked.question))
    _page(console, "5. Elle répond, et le message part", _answered(asked))
    _page(console, "6. Les lettres qu'elle a reçues ensuite, une par événement", _subjects(letters, asked.question))


def _page(console: Console, title: str, content: Group | Table | Text) -> None:
    console.print(Panel(content, title=f"[bold]{title}[/]", title_align="left", box=ROUNDED, padding=(0, 1)))


def _lines(pairs: Iterable[tuple[str, str]]) -> Table:
    """Two columns; a name that repeats the one above is left out."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    above = ""
    for name, value in pairs:
        table.add_row("" if name == above else name, escape(value))
        above = name
    return table


def _written(mail: Written) -> Table:
    her_words = mail.words.partition("\n-- \n")[0]
    return _lines(
        (
            ("De", f"{SECRETARY} <{TILLEULS.address}>"),
            *(("À", one) for one in mail.to),
            ("Objet", mail.subject),
            *(("Joint", f"{name} ({_size(len(raw))})") for name, raw in mail.files),
            ("Texte", " ".join(her_words.split())),
        )
    )


def _arrived(came: Came) -> Table | Text:
    arrived = came.arrived
    if arrived is None:
        return Text("rien n'est arrivé", style="red")
    verdict = arrived.verdict
    return _lines(
        (
            ("De", f"{arrived.from_name} <{arrived.from_address}>"),
            ("Objet", arrived.subject),
            *((name, arrived.header(name) or "absent") for name in ("X-MSS-NIL", "X-MSS-CODECDA")),
            ("X-MSS-INS", f"{arrived.header('X-MSS-INS') or 'absent'}{_why_not(came)}"),
            *_attached(came),
            ("Signature", words.in_words(verdict).removeprefix("signature ") if verdict is not None else "aucune"),
        )
    )


def _why_not(came: Came) -> str:
    """X-MSS-INS is for production only (ECO.2.4.2)."""
    document = _document(came)
    is_test = document is not None and document.patient is not None and document.patient.oid == ins.TEST
    return " (les INS de la démonstration sont des INS de test)" if is_test else ""


def _attached(came: Came) -> Iterable[tuple[str, str]]:
    """Each file; under the archive what the document in it says of itself."""
    for name, raw in came.files:
        if name == "smime.p7s":
            continue
        claim = pdf.claim(raw) if raw.startswith(b"%PDF-") else ""
        yield "Joint", f"{name} ({_size(len(raw))}{f', PDF/A-{claim.lower()}' if claim else ''})"
        if raw.startswith(b"PK"):
            yield "   contient", _in_the_archive(came)


def _document(came: Came) -> Document | None:
    found = came.arrived.documents if came.arrived is not None else ()
    return next((one for one in found if one.archive is not None), None)


def _in_the_archive(came: Came) -> str:
    document = _document(came)
    if document is None or document.patient is None or document.type_code is None:
        return "rien qui se lise"
    who = document.patient
    name = f"{(who.first_given or '').title()} {who.birth_name or ''}"
    return f"CDA {document.level} « {document.title} » ({document.type_code.code}), {name}, INS {who.ins or 'absent'}"


def _letter(letter: EmailMessage | None) -> Group | Text:
    if letter is None:
        return Text("aucune lettre n'est arrivée", style="red")
    return Group(Text(f"Objet : {letter['Subject']}\n", style="bold"), Text(text_of(letter).rstrip()))


def _answered(came: Came) -> Group:
    arrived = came.arrived
    told = f"{arrived.subject}\n{_in_the_archive(came)}" if arrived is not None else "rien"
    return Group(Text(f"« {came.errand.answer} »"), Text(f"L'ASE reçoit : {told}"))


def _subjects(letters: tuple[EmailMessage, ...], question: EmailMessage | None) -> Group:
    shown = [one for one in letters if question is None or one["Message-ID"] != question["Message-ID"]]
    return Group(*(Text(f"- {one['Subject']} : {_gist(text_of(one))}") for one in shown))


def _gist(text: str) -> str:
    """What a letter tells of each recipient: the lines of its list, or its first sentence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    listed = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    return " ; ".join(listed) or " ".join(line for line in lines if line != "Bonjour,")[:200]


def _size(size: int) -> str:
    return f"{max(1, round(size / 1024))} Ko"


async def tell_ladders(console: Console, house: House, came: list[Came]) -> None:
    """What `hub sent` prints."""
    teller = Teller(house, now())
    sendings = tuple(one.sending for one in came if one.sending is not None)
    await teller.learn(sendings)
    console.print("\n[bold]Ce que chaque envoi est devenu, chez chaque destinataire[/] (hub sent)")
    for line in teller.told(sendings)[0]:
        console.print(Text(fitted(line, console.width)))


def tell_sent_differences(console: Console, came: list[Came]) -> int:
    """How many errands became something else than they must; each is named."""
    wrong = 0
    for one in came:
        lines = differences(one)
        wrong += bool(lines)
        for line in lines:
            console.print(f"[bold red]Envoi « {escape(one.errand.mail.subject)} »[/] : {escape(line)}")
    return wrong
