"""`hub members`: the list of member domains (liste blanche): what is in use, who is in it, a newer one, a file."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from hub.alerts import when
from hub.alerts.members import refusal_of
from hub.cli.site import HERE, SiteOption, settings_of
from hub.domains import Member, Members, members_of
from hub.settings import Settings
from hub.trust.members import Judged, Tried, judge
from hub.trust.members_kept import InUse
from hub.trust.members_reading import RAW_MOST, ListRefused
from hub.wiring import now
from hub.wiring.members import LiveMembers, anchors_of, make_refresher

FOUND_MOST = 30
NAMED_MOST = 20
SEALS = {
    "verified": "vérifiée, signataire : {signer}",
    "absent": "la liste n'est pas signée",
    "unchecked": "non vérifiée (members.signature: off)",
}
SOURCES = {"url": "publiée (members.url)", "file": "copie déposée à la main (members.file)"}


def register(app: typer.Typer) -> None:
    members = typer.Typer(help="La liste blanche : les domaines de l'espace de confiance.", no_args_is_help=True)
    members.command("show")(show)
    members.command("find")(find)
    members.command("refresh")(refresh)
    members.command("check")(check)
    app.add_typer(members, name="members")


def show(site: SiteOption = HERE) -> None:
    """La liste en usage : d'où elle vient, ses dates, combien de domaines, et ce que vaut sa signature."""
    settings = settings_of(site)
    live = LiveMembers(settings)
    if settings.members.is_listed:
        standing = live.kept.standing()
        _show_in_use(settings, standing.in_use)
        for source, trouble in (("url", standing.of_url), ("file", standing.of_file)):
            if trouble.failures:
                print(f"Dernier essai ({SOURCES[source]}) : {refusal_of(trouble.code).why} ({trouble.code})")
    else:
        print("Aucune liste n'est réglée (members.url, members.file).")
    local = settings.deciding.member_domains
    if local:
        print(f"Ajoutés par le site (deciding.member_domains) : {', '.join(local)}")
    if not live.current().is_known:
        print("Aucun domaine n'est vérifié : l'opérateur seul refuse ce qui est hors de l'espace de confiance.")
        raise typer.Exit(1)


def _show_in_use(settings: Settings, in_use: InUse | None) -> None:
    if in_use is None:
        print("Aucune liste n'a encore été obtenue : lancez « hub members refresh ».")
        return
    print(f"Origine      : {SOURCES[in_use.source]}{', fin du fichier absente' if in_use.is_cut else ''}")
    print(f"Produite le  : {when(in_use.generated_at, settings)}")
    print(f"Obtenue ou confirmée le : {when(in_use.at, settings)}")
    print(f"Contenu      : {_contents(in_use.entries, in_use.names, in_use.certificates)}")
    print(f"Signature    : {SEALS[in_use.seal].format(signer=in_use.signer)}")


def _contents(entries: int, names: int, certificates: int) -> str:
    return f"{entries} entrées, {names} domaines, {certificates} certificats d'opérateurs"


def find(
    text: Annotated[str, typer.Argument(help="Un domaine, une adresse, ou quelques mots d'une description.")],
    site: SiteOption = HERE,
) -> None:
    """Cherche dans la liste : le domaine, ce qu'il est, ses opérateurs ; sinon, ce qui y ressemble."""
    members = LiveMembers(settings_of(site)).current()
    if not members.is_known:
        print("Aucune liste n'est en usage : lancez « hub members refresh ».")
        raise typer.Exit(1)
    found = _found(members, text)
    for member in found[:FOUND_MOST]:
        _tell(member)
    if len(found) > FOUND_MOST:
        print(f"… et {len(found) - FOUND_MOST} autres : précisez.")
    if not found:
        near = members.nearest(text)
        print(f"« {text} » n'est pas dans la liste." + (f" Y ressemblent : {', '.join(near)}." if near else ""))
        raise typer.Exit(1)


def _found(members: Members, text: str) -> list[Member]:
    """The very domain when there is one; else those whose name or description holds every word."""
    exact = members.of(text)
    if exact is not None:
        return [exact]
    words = text.casefold().split()
    return [
        member
        for member in members.by_name.values()
        if words and all(word in f"{member.name} {' '.join(member.descriptions)}".casefold() for word in words)
    ]


def _tell(member: Member) -> None:
    print(member.name)
    for description in member.descriptions:
        print(f"    {description}")
    print(f"    opérateur(s) : {', '.join(member.organisations) or 'ajouté par le site'}")


def refresh(
    site: SiteOption = HERE,
    accept: Annotated[
        bool, typer.Option("--accept", help="La prendre même plus ancienne, ou avec beaucoup moins de domaines.")
    ] = False,
) -> None:
    """Demande la liste maintenant, et dit ce qui a changé."""
    settings = settings_of(site)
    if not settings.members.is_listed:
        print("Aucune liste n'est réglée : écrivez members.url ou members.file dans hub.yaml.")
        raise typer.Exit(1)
    tried = asyncio.run(make_refresher(settings).refresh(now(), now=True, accept=accept))
    for one in tried:
        _tell_tried(one)
    if not any(one.outcome in ("taken", "same") for one in tried):
        raise typer.Exit(1)


def _tell_tried(tried: Tried) -> None:
    place = SOURCES[tried.source].capitalize()
    match tried.outcome:
        case "same":
            print(f"{place} : rien de plus récent que la liste en usage.")
        case "absent":
            print(f"{place} : le fichier n'existe pas.")
        case "taken":
            print(f"{place} : prise. {len(tried.added)} domaine(s) ajouté(s), {len(tried.removed)} retiré(s).")
            for sign, names in (("+", tried.added), ("-", tried.removed)):
                for name in names[:NAMED_MOST]:
                    print(f"  {sign} {name}")
                if len(names) > NAMED_MOST:
                    print(f"  {sign} … et {len(names) - NAMED_MOST} autres")
        case _:
            refusal = refusal_of(tried.code)
            detail = f", {tried.detail}" if tried.detail else ""
            print(f"{place} : non prise, {refusal.why} ({tried.code}{detail}). À faire : {refusal.remedy}.")


def check(
    file: Annotated[Path, typer.Argument(help="Une copie de la liste.")],
    site: SiteOption = HERE,
) -> None:
    """Lit un fichier comme le ferait le hub, sans rien changer, et le compare à la liste en usage."""
    settings = settings_of(site)
    try:
        with file.open("rb") as opened:
            judged = judge(opened.read(RAW_MOST + 1), settings.members, lambda: anchors_of(settings), now())
    except OSError as error:
        print(f"{file} ne peut pas être lu : {error.strerror}.")
        raise typer.Exit(1) from None
    except ListRefused as error:
        print(f"{file} : cette liste serait refusée, {refusal_of(error.code).why} ({error.code}).")
        raise typer.Exit(1) from None
    _tell_judged(judged, ZoneInfo(settings.site.timezone))
    before, names = LiveMembers(settings).current(), members_of(judged.listed.entries)
    if before.is_known:
        added, removed = names.by_name.keys() - before.by_name.keys(), before.by_name.keys() - names.by_name.keys()
        print(f"Par rapport à la liste en usage : {len(added)} domaine(s) de plus, {len(removed)} de moins.")


def _tell_judged(judged: Judged, zone: ZoneInfo) -> None:
    listed = judged.listed
    outside = [entry for entry in listed.entries if not entry.name.casefold().endswith(".mssante.fr")]
    print(f"Liste lisible{', fin du fichier absente' if listed.is_cut else ''}.")
    print(f"Produite le  : {_moment(listed.generated_at, zone)}")
    print(f"Contenu      : {_contents(len(listed.entries), len(listed.names), len(listed.certificates))}")
    print(f"Hors de mssante.fr : {len(outside)} entrée(s)")
    if listed.nameless:
        print(f"Entrées sans nom de domaine lisible, laissées de côté : {listed.nameless}")
    print(f"Signature    : {SEALS[judged.seal].format(signer=judged.signer)}")


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%d/%m/%Y à %H:%M")
