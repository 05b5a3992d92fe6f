"""`hub directory`: looks up addresses in the national directory (annuaire santé) and in the site's own address book,
and tells how fresh the former is.

Exit codes of `find` and `show`: 1 when nothing is found (no fault of an address: mailboxes of applications are never
published), 3 when a directory could not be asked; of `refresh`: 1 when an extraction was refused, 3 when it could not
be had now; of `status`: 1 when something is wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from hub.alerts import day, directory_cause_of, when
from hub.cli.serve import start_logging
from hub.cli.site import HERE, SiteOption, opened, settings_of
from hub.directory import KINDS, LIMIT_MOST, Activity, Away, Entry, Found, Wanted
from hub.errors import Misconfigured
from hub.settings import Settings
from hub.trust.directory import Account, DirectoryStanding, Outcome, Standings, Together
from hub.wiring import House, now
from hub.wiring.book import Book
from hub.wiring.directory import directory_of, refresher_of

log = logging.getLogger("hub.directory")

SOURCES = {"book": "carnet d'adresses du site", "extraction": "annuaire (fichier)", "api": "annuaire (API)"}
KIND_LABELS = {"PER": "personne", "ORG": "organisation", "APP": "application", "CAB": "cabinet", "": "?"}
BROKEN = {
    "columns": "nombre de colonnes",
    "type": "type de boîte inconnu",
    "address": "adresse illisible",
    "utf-8": "caractères illisibles",
    "repeated": "adresse répétée trop souvent",
}
NEVER_LISTED = "Une boîte applicative (APP) n'est jamais publiée : une adresse absente n'est pas forcément fausse."
WIDTH = 100
_NAME, _WORK, _PLACE = 36, 34, 22  # columns, with 8 for the kind and the blanks


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="L'annuaire des boîtes aux lettres MSSanté.", no_args_is_help=True)
    group.command("find")(find)
    group.command("show")(show)
    group.command("status")(status)
    group.command("refresh")(refresh)
    app.add_typer(group, name="directory")


def find(
    words: Annotated[list[str], typer.Argument(help="Nom, prénom, profession, structure, ville, n° RPPS ou FINESS…")],
    site: SiteOption = HERE,
    kind: Annotated[str | None, typer.Option(help="PER (personnes), ORG (organisations), APP ou CAB.")] = None,
    department: Annotated[str | None, typer.Option(help="Code du département : 29, 2A, 976.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MOST, help="Combien au plus.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Pour un programme.")] = False,
) -> None:
    """Cherche des adresses : les mots dans n'importe quel ordre, avec ou sans accents, même incomplets."""
    if kind is not None and kind.upper() not in KINDS:
        raise Misconfigured(f"--kind {kind} - one of {', '.join(KINDS)} is expected")
    wanted = Wanted(
        text=" ".join(words),
        kind=kind.upper() if kind else None,
        department=department.upper().zfill(2) if department else None,
        limit=limit,
    )
    with opened(site) as house:
        found = asyncio.run(_together(house).find(wanted))
    if as_json:
        print(json.dumps(_told(found.entries, found.away, found.is_whole), ensure_ascii=False, indent=1))
    else:
        _print(_listed(found, limit, house.settings))
    if not found.entries:
        raise typer.Exit(3 if found.away else 1)


def show(
    address: Annotated[str, typer.Argument(help="Une adresse MSSanté.")],
    site: SiteOption = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Pour un programme.")] = False,
) -> None:
    """Tout ce que l'on sait d'une adresse : à qui elle est, ses activités, depuis quand elle n'y est plus."""
    with opened(site) as house:
        entries, away = asyncio.run(_together(house).at(address))
    if as_json:
        print(json.dumps(_told(entries, away, True), ensure_ascii=False, indent=1))
    else:
        for entry in entries:
            _print(_card(entry, house.settings))
        if not entries:
            _print([f"Adresse inconnue de l'annuaire. {NEVER_LISTED}"])
        _print(_away(away))
    if not entries:
        raise typer.Exit(3 if away else 1)


def status(site: SiteOption = HERE) -> None:
    """De quand date l'annuaire, ce qu'il contient, et ce qui ne va pas (code 1)."""
    settings = settings_of(site)
    standing = Standings(settings.directory, settings.data_dir / "trust").now()
    account, trouble = standing.account, standing.trouble
    _print(_status_lines(standing, settings))
    if trouble.code or (standing.is_set and account is None):
        raise typer.Exit(1)


def refresh(
    site: SiteOption = HERE,
    file: Annotated[
        Path | None, typer.Option(help="Ce fichier (zip ou txt), au lieu de ce que nomme hub.yaml.")
    ] = None,
    accept_smaller: Annotated[
        bool, typer.Option("--accept-smaller", help="Le prendre même s'il est bien plus court que le précédent.")
    ] = False,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,
) -> None:
    """Met l'annuaire à jour s'il a changé. « hub serve » le fait de lui-même, une fois par jour."""
    settings = settings_of(site)
    if background:
        start_logging(settings)
        os.nice(10)
    refresher = refresher_of(settings)
    outcome = asyncio.run(refresher.refresh(by_hand=not background, file=file, accepts_smaller=accept_smaller))
    if background:
        log.info("directory: %s %s", outcome.what, outcome.code)
        return
    _print(_outcome_lines(outcome, settings))
    if outcome.what in ("failed", "waits"):
        raise typer.Exit(1 if outcome.code.startswith(("bad-", "no-file")) else 3)


def _together(house: House) -> Together:
    book = Book(house.contacts, now, ZoneInfo(house.settings.site.timezone))
    return directory_of(house.settings, {"book": book})


# --- lines


def _print(lines: Iterable[str]) -> None:
    """Sentences are wrapped; the columns of a list fit as they are."""
    for line in lines:
        too_long = len(line) > WIDTH
        print(textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False) if too_long else line)


def _status_lines(standing: DirectoryStanding, settings: Settings) -> Iterator[str]:
    account, trouble = standing.account, standing.trouble
    if account is None:
        yield "L'annuaire n'a encore jamais été chargé sur ce site."
    else:
        yield from _account_lines(account, settings)
        yield f"{'vérifié le':<22} {_when(standing.checked_at, settings)}"
    if not standing.is_set:
        yield "Rien n'est réglé pour le tenir à jour : directory.extraction_url ou extraction_file dans hub.yaml."
    yield f"{'API':<22} {'réglée' if settings.directory.api_url else 'non réglée (directory.api_url)'}"
    if trouble.code:
        cause, remedy = directory_cause_of(trouble.code)
        yield f"Depuis le {_when(trouble.since, settings)}, la mise à jour échoue : {cause}."
        yield f"Que faire : {remedy}. Prochain essai : {_when(trouble.until, settings)}."


def _listed(found: Found, limit: int, settings: Settings) -> Iterator[str]:
    for entry in found.entries:
        activity = entry.activities[0] if entry.activities else Activity()
        name, work = (
            (entry.name, _work(activity)) if entry.family else (activity.organisation or entry.name, activity.service)
        )
        place = f"{activity.town} ({activity.department})" if activity.department else activity.town
        more = f" +{len(entry.activities) - 1}" if len(entry.activities) > 1 else ""
        yield (
            f"{entry.kind or '?':<4}{_column(name, _NAME)}  {_column(work + more, _WORK)}  {_column(place, _PLACE)}"
        ).rstrip()
        yield f"    {entry.address}"
        if entry.gone_at is not None:
            yield f"    {_gone(entry, settings)}"
    if not found.entries:
        yield f"Aucune adresse ne répond à cette recherche. {NEVER_LISTED}"
    elif not found.is_whole:
        yield f"Les {len(found.entries)} plus proches ; il y en a d'autres : ajoutez un mot, ou --limit {limit * 2}."
    yield from _away(found.away)


def _card(entry: Entry, settings: Settings) -> Iterator[str]:
    yield f"{entry.address}"
    yield f"  {'boîte':<14} {KIND_LABELS.get(entry.kind, entry.kind)} ({entry.kind})"
    yield f"  {'à':<14} {entry.name}"
    for label, value in (("identifiant", entry.person_id), ("description", entry.description)):
        if value:
            yield f"  {label:<14} {value}"
    for activity in entry.activities:
        place = " ".join(filter(None, (activity.street, activity.postal_code, activity.town)))
        lines = (_work(activity), activity.organisation, activity.sign, activity.service, activity.structure_id, place)
        label = "activité"
        for line in dict.fromkeys(filter(None, lines)):
            yield f"  {label:<14} {line}"
            label = ""
    yield f"  {'source':<14} {SOURCES[entry.source]}, au {day(entry.seen_at, settings)}"
    if entry.gone_at is not None:
        yield f"  {_gone(entry, settings)}"


def _gone(entry: Entry, settings: Settings) -> str:
    assert entry.gone_at is not None
    if entry.source == "book":
        return f"ne sert plus depuis le {day(entry.gone_at, settings)}"
    return (
        f"n'est plus dans l'annuaire depuis le {day(entry.gone_at, settings)} "
        f"(y était encore le {day(entry.seen_at, settings)})"
    )


def _work(activity: Activity) -> str:
    return ", ".join(filter(None, (activity.profession, activity.skill)))


def _column(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def _away(away: Iterable[Away]) -> Iterator[str]:
    for one in away:
        cause, remedy = directory_cause_of(one.code)
        yield f"Sans réponse de « {SOURCES[one.source]} » : {cause}. Que faire : {remedy}."


def _account_lines(account: Account, settings: Settings) -> Iterator[str]:
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(account.kinds.items(), reverse=True))
    yield f"{'annuaire du':<22} {when(account.at, settings)}"
    yield f"{'fichier':<22} {account.name}"
    yield f"{'lignes':<22} {account.lines} ({kinds})"
    yield f"{'adresses':<22} {account.entries}"
    yield f"{'adresses disparues':<22} {account.gone} (gardées {settings.directory.remembered_for.days} jours)"
    if account.broken:
        broken = ", ".join(f"{number} {BROKEN.get(code, code)}" for code, number in sorted(account.broken.items()))
        yield f"{'lignes écartées':<22} {sum(account.broken.values())} ({broken})"


def _outcome_lines(outcome: Outcome, settings: Settings) -> Iterator[str]:
    if outcome.account is not None:
        yield "L'annuaire est à jour."
        yield from _account_lines(outcome.account, settings)
    elif outcome.what in ("unchanged", "not-due"):
        yield "Rien à faire : l'annuaire est celui qui est publié."
    elif outcome.what == "off":
        yield ("Rien n'est réglé : nommez directory.extraction_url ou extraction_file dans hub.yaml, ou donnez --file.")
    else:
        cause, remedy = directory_cause_of(outcome.code)
        subject = (
            "Le fichier n'a pas été pris" if outcome.code.startswith("bad-") else "L'annuaire n'a pas été mis à jour"
        )
        yield f"{subject} : {cause}. L'ancien reste en service. Que faire : {remedy}."


def _when(at: datetime | None, settings: Settings) -> str:
    return when(at, settings) if at is not None else "?"


def _told(entries: Iterable[Entry], away: Iterable[Away], is_whole: bool) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "entries": [{"name": entry.name, **_plain(asdict(entry))} for entry in entries],
        "is_whole": is_whole,
        "away": [asdict(one) for one in away],
    }


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}
