"""How the demo tells what happened: message, what it is, whose, what was done, why. Presentation only; every word of
the table comes from the database or from a correspondent's mailbox.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.cli.story import CLASSES
from hub.ids import shown
from hub.message import Delivery, Filing, Hold, Receipt, Refusal
from hub.routing import Catalogue
from hub.sandbox.findings import ArrivedReceipt, Deed, Finding, differences, digest, receipts_for
from hub.sandbox.people import USAGERS, shown_name
from hub.sandbox.scenario import Sample

Found = Mapping[str, Finding]
Arrived = tuple[ArrivedReceipt, ...]

_SHORT_CLASSES = CLASSES | {"xdm": "archive IHE_XDM", "document": "document seul"}
_FILED = {"none": "classé au dossier", "replace": "nouvelle version classée", "delete": "marqué comme supprimé"}


_COLUMNS = (("message", 7), ("ce que c'est", 6), ("à qui", 5), ("ce qui a été fait", 5), ("pourquoi", 9))


def _wide_table(title: str, *, show_lines: bool = False) -> Table:
    return Table(title=f"\n{title}", title_justify="left", expand=True, show_lines=show_lines)


def tell_table(console: Console, all_samples: tuple[Sample, ...], found: Found, catalogue: Catalogue) -> None:
    table = _wide_table("Ce qui a été reçu, et ce que le hub en a fait", show_lines=True)
    table.add_column("n°", justify="right")
    for heading, ratio in _COLUMNS:
        table.add_column(heading, ratio=ratio)
    shown: set[str] = set()
    for number, sample in enumerate(all_samples, 1):
        finding = found.get(digest(sample))
        if finding is None:
            table.add_row(str(number), escape(sample.what), "[red]non relevé[/]", "", "", "")
        elif finding.message in shown:
            again = f"déjà reçu : mêmes octets, même message ({finding.met} fois)"
            table.add_row(str(number), escape(sample.what), "doublon", "", "rien de plus", escape(again))
        else:
            table.add_row(str(number), escape(sample.what), *(escape(cell) for cell in _cells(finding, catalogue)))
        if finding is not None:
            shown.add(finding.message)
    console.print(table)


def _cells(finding: Finding, catalogue: Catalogue) -> tuple[str, str, str, str]:
    thought = finding.thought
    if thought is None:
        return "illisible", "", "mis en attente", _first_sentence(finding)
    found = thought.classification
    what = _SHORT_CLASSES[found.message_class.value] + (f" :\n{catalogue.label(found.kind)}" if found.kind else "")
    return what, _whose(finding), _done(finding), _why(finding)


def _whose(finding: Finding) -> str:
    assert finding.thought is not None
    match = finding.thought.match
    if finding.record_number:
        return f"{_name_of(finding.record_number)}\n{finding.record_number}"
    if match.code is None:
        return "-"
    numbers = [candidate.record_number for candidate in match.candidates if candidate.record_number]
    likely = "\n".join(f"{number} ?" for number in numbers) or "aucun candidat"
    return f"à décider ({match.code})\n{likely}"


def _name_of(record_number: str) -> str:
    names = {usager.record_number: shown_name(usager.identity) for usager in USAGERS}
    return names.get(record_number, "")


def _done(finding: Finding) -> str:
    return "\n".join(_in_short(deed) for deed in finding.deeds) or "noté, rien à faire"


def _in_short(deed: Deed) -> str:
    match deed.step:
        case Filing() as step:
            words = "déjà classé : rien" if deed.answer == "already filed" else _FILED[step.action]
        case Receipt(code=0):
            words = "accusé envoyé"
        case Receipt() as step:
            words = f"échec {step.code} signalé"
        case Hold(about="receipt"):
            words = "accusé mis en attente"
        case Hold():
            words = "mis en attente"
        case Delivery():
            words = "copie envoyée"
        case Refusal():
            words = "refusé"
        case _:
            words = "remis au DUI"
    return words if deed.state == "DONE" else f"{words} ({deed.state})"


def _why(finding: Finding) -> str:
    if finding.work:
        return _first_sentence(finding)
    assert finding.thought is not None
    rule = f"(règle {finding.thought.plan.rule})"
    if finding.record_number:
        return f"INS et traits identiques à ceux d'un dossier qualifié {rule}"
    reasons = finding.thought.classification.reasons
    return f"{reasons[0].text[:1].upper()}{reasons[0].text[1:]} {rule}" if reasons else rule


def _first_sentence(finding: Finding) -> str:
    """What happened, of the first reason; what to do about it is for `hub held` and `hub show`."""
    if not finding.work or not finding.work[0].reasons:
        return ""
    return f"{finding.work[0].reasons[0].text.split('. ')[0].rstrip('.')}."


def tell_receipts(console: Console, all_samples: tuple[Sample, ...], arrived: Arrived) -> None:
    table = _wide_table("Accusés arrivés dans les boîtes des correspondants")
    table.add_column("à propos de", ratio=3)
    table.add_column("ce que dit l'accusé", ratio=1)
    numbers = {message_id_of(sample): number for number, sample in reversed(list(enumerate(all_samples, 1)))}
    for structure in dict.fromkeys(receipt.where for receipt in arrived):
        table.add_row(f"[bold]{escape(structure.name)}[/] <{structure.address}>", "")
        here = [receipt for receipt in arrived if receipt.where == structure]
        for receipt in sorted(here, key=lambda one: numbers.get(one.about, 0)):
            number = numbers.get(receipt.about)
            what = f"n° {number} {all_samples[number - 1].what}" if number else receipt.about
            says = "intégré" if receipt.code == 0 else f"échec d'intégration {receipt.code}"
            table.add_row(f"  {escape(what)}", says)
        table.add_section()
    console.print(table)


def message_id_of(sample: Sample) -> str:
    """The Message-ID of a sample's mail, as its header gives it."""
    head = sample.raw.partition(b"\r\n\r\n")[0]
    return next(line[12:].decode() for line in head.split(b"\r\n") if line.startswith(b"Message-ID: "))


def tell_differences(console: Console, all_samples: tuple[Sample, ...], found: Found, arrived: Arrived) -> int:
    """How many samples became something else than expected; each is named."""
    wrong = 0
    for number, sample in enumerate(all_samples, 1):
        lines = differences(sample, found.get(digest(sample)), receipts_for(message_id_of(sample), arrived))
        wrong += bool(lines)
        for line in lines:
            console.print(f"[bold red]n° {number} « {escape(sample.what)} »[/] : {escape(line)}")
    return wrong


def tell_verdict(console: Console, wrong: int, came_in: int, went_out: int, seconds: float) -> None:
    if wrong:
        console.print(f"\n[bold red]{wrong} message(s) sur {came_in + went_out} ne sont pas comme attendu.[/]")
    else:
        console.print(
            f"\n[bold green]Les {came_in} messages reçus et les {went_out} envois sont exactement comme attendu[/]"
            f" ({seconds:.0f} s en tout)."
        )


def tell_next(console: Console, folder: Path, found: Found, all_samples: tuple[Sample, ...]) -> None:
    site, hub = folder / "site", _as_it_was_called()
    by_key = {sample.key: found.get(digest(sample)) for sample in all_samples}
    held, filed = by_key.get("non-qualifie"), by_key.get("archive")
    console.print(
        "\n[bold]Pour regarder de plus près[/] (tout est gardé dans ce dossier, à effacer quand vous voulez) :"
    )
    lines = [("tout ce qui attend une décision", f"{hub} held --site {site}")]
    lines.append(("ce que les envois sont devenus", f"{hub} sent --site {site}"))
    if filed:
        lines.append(("un message, de bout en bout", f"{hub} show {shown(filed.message)} --site {site}"))
    if held:
        release = f"{hub} release {shown(held.message)} --usager TIL-0103 --by 'Votre nom' --site {site}"
        lines.append(("classer à la main un message en attente", release))
    lines.append(("vérifier que la trace est intacte", f"{hub} journal verify --site {site}"))
    lines.append(("relire les messages échangés", f"ls {folder / 'operateur' / 'boites'}"))
    for what, command in lines:
        console.print(f"  {what} :")
        console.print(f"    {command}", soft_wrap=True, highlight=False, markup=False)


def _as_it_was_called() -> str:
    """The command to type for `hub`: it is not in PATH when the demo made its own environment."""
    called = sys.argv[0]
    return called if Path(called).name == "hub" else f"{sys.executable} -m hub"
