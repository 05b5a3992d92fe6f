"""`hub contacts`: the site's address book, for what the national directory does not hold (BAL APP, ASE services)."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.cli import defaults
from hub.cli.days import checked, day_of, in_words, today_of
from hub.cli.site import HERE, SiteOption, opened
from hub.cli.tables import read_file, tell_import
from hub.errors import Permanent
from hub.message import Contact
from hub.records.book_csv import departement as departement_of
from hub.records.book_csv import mailbox_type, parse_contacts, short_text
from hub.records.contacts import MAILBOX_TYPES, Described, described_of

Address = Annotated[str, typer.Argument(help="Adresse MSSanté.")]
By = Annotated[str, typer.Option(help="Qui fait ce changement (pour la trace).")]
Name = Annotated[str | None, typer.Option(help="Nom affiché.")]
Organisation = Annotated[str | None, typer.Option(help="Structure.")]
Service = Annotated[str | None, typer.Option(help="Service ou fonction, comme « ASE territoire Nord ».")]
Departement = Annotated[str | None, typer.Option(help="Département, comme 38 ou 2A.")]
Note = Annotated[str | None, typer.Option(help="Remarque.")]
Since = Annotated[str | None, typer.Option(help="Premier jour où l'on peut y écrire.")]
Until = Annotated[str | None, typer.Option(help="Dernier jour.")]
Ended = Annotated[bool, typer.Option("--all", help="Aussi les adresses terminées.")]
Rehearsal = Annotated[bool, typer.Option("--dry-run", help="Dire ce qui changerait, sans rien changer.")]

HEADERS = ("adresse", "type", "nom", "organisation", "service", "departement", "note", "du", "au")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Le carnet d'adresses du site.", no_args_is_help=True)
    for name, command in (
        ("list", show_all),
        ("find", find),
        ("add", add),
        ("change", change),
        ("end", end),
        ("hand-over", hand_over),
        ("import", import_),
        ("export", export),
    ):
        group.command(name)(command)
    defaults.register(group)
    app.add_typer(group, name="contacts")


def show_all(site: SiteOption = HERE, everything: Ended = False) -> None:
    """Les adresses du carnet, par structure."""
    with opened(site) as house:
        known = asyncio.run(house.contacts.all())
        today = today_of(house)
    shown = [one for one in known if everything or one.is_active(today)]
    table = Table("adresse", "type", "nom", "structure", "service", "dép.", "du", "au", box=None)
    for one in shown:
        words = (one.address, one.type, one.name, one.organisation, one.service, one.departement)
        table.add_row(*map(escape, words), in_words(one.since), in_words(one.until))
    Console(highlight=False).print(table if shown else "Le carnet est vide : « hub contacts add » ou « import ».")


def find(
    words: Annotated[list[str], typer.Argument(help="Des mots : nom, structure, service, ville…")],
    kind: Annotated[str | None, typer.Option("--type", help=f"Seulement : {', '.join(MAILBOX_TYPES)}.")] = None,
    departement: Departement = None,
    site: SiteOption = HERE,
) -> None:
    """Cherche dans le carnet, sans tenir compte des accents ni de l'ordre des mots."""
    with opened(site) as house:
        looked = house.contacts.find(
            " ".join(words),
            checked(mailbox_type, kind, "--type") if kind else None,
            _departement(departement or ""),
        )
        found, today = asyncio.run(looked), today_of(house)
    table = Table("adresse", "type", "nom", "structure", "service", "dép.", "", box=None)
    for one in found:
        told = (one.address, one.type, one.name, one.organisation, one.service, one.departement)
        table.add_row(*map(escape, told), "" if one.is_active(today) else "terminée")
    Console(highlight=False).print(table if found else "Aucune adresse du carnet n'a tous ces mots.")
    if not found:
        raise typer.Exit(1)


def add(
    address: Address,
    kind: Annotated[str, typer.Option("--type", help=f"Type de boîte : {', '.join(MAILBOX_TYPES)}.")] = "ORG",
    name: Name = None,
    organisation: Organisation = None,
    service: Service = None,
    departement: Departement = None,
    note: Note = None,
    since: Since = None,
    until: Until = None,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Ajoute une adresse ; hors de l'espace de confiance, elle est refusée."""
    new = Described(type=checked(mailbox_type, kind, "--type"))
    said = _said(new, None, name, organisation, service, departement, note, since, until)
    with opened(site) as house:
        asyncio.run(house.contacts.add(address, said, by))
    print("C'est noté dans le carnet.")


def change(
    address: Address,
    kind: Annotated[str | None, typer.Option("--type", help=f"Type de boîte : {', '.join(MAILBOX_TYPES)}.")] = None,
    name: Name = None,
    organisation: Organisation = None,
    service: Service = None,
    departement: Departement = None,
    note: Note = None,
    since: Since = None,
    until: Until = None,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Corrige ce qui est donné, laisse le reste ; une valeur vide ("") efface. L'adresse elle-même ne change jamais."""
    with opened(site) as house:
        known = asyncio.run(house.contacts.contact(address))
        was = described_of(_there(known))
        said = _said(was, kind, name, organisation, service, departement, note, since, until)
        asyncio.run(house.contacts.change(address, said, by))
    print("C'est corrigé.")


def end(
    address: Address,
    until: Annotated[str | None, typer.Option(help="Dernier jour (aujourd'hui, sinon).")] = None,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Termine une adresse : après ce jour, ce qui la vise attend au lieu de partir."""
    with opened(site) as house:
        last = day_of(until, "--until") or today_of(house)
        known = _there(asyncio.run(house.contacts.contact(address)))
        asyncio.run(house.contacts.change(address, replace(described_of(known), until=last), by))
        left = [
            one
            for one in asyncio.run(house.held_roles.of_contact(known.id))
            if one.withdrawn_at is None and (one.until is None or one.until > last)
        ]
    print(f"Adresse terminée : dernier jour le {in_words(last)}.")
    if left:
        print(f"Attention, {len(left)} rôle(s) lui sont encore confiés après ce jour ; leurs envois attendront :")
        for one in left:
            print(f"  - {one.role} : {defaults.for_whom(one)}")
        print("Pour tout confier à quelqu'un d'autre : hub contacts hand-over ANCIENNE NOUVELLE --since DATE")


def hand_over(
    old: Annotated[str, typer.Argument(help="Adresse de qui part.")],
    new: Annotated[str, typer.Argument(help="Adresse de qui arrive.")],
    since: Annotated[str | None, typer.Option(help="Premier jour (aujourd'hui, sinon).")] = None,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Confie à une adresse tous les rôles d'une autre : un référent part, un autre arrive."""
    with opened(site) as house:
        first = day_of(since, "--since") or today_of(house)
        handed = asyncio.run(house.held_roles.hand_over(old, new, first, by))
    print(f"{len(handed)} rôle(s) confié(s) à la nouvelle adresse à partir du {in_words(first)}.")
    for one in handed:
        print(f"  - {one.role} : {defaults.for_whom(one)}")


def import_(
    file: Annotated[Path, typer.Argument(help="Fichier CSV : adresse, type, nom, organisation, service…")],
    rehearsal: Rehearsal = False,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Ajoute ou corrige les adresses d'un fichier : tout, ou rien s'il contient une erreur."""
    read = parse_contacts(read_file(file))
    with opened(site) as house:
        result = asyncio.run(house.contacts.store(read, by, rehearsal))
    tell_import("Adresses", file, result, rehearsal, read.ignored)


def export(
    to: Annotated[Path | None, typer.Option("--to", help="Fichier à écrire ; sinon, à l'écran.")] = None,
    site: SiteOption = HERE,
) -> None:
    """Le carnet entier, au format que « hub contacts import » relit."""
    with opened(site) as house:
        known = asyncio.run(house.contacts.all())
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(HEADERS)
    for one in known:
        words = (one.address, one.type, one.name, one.organisation, one.service, one.departement, one.note)
        writer.writerow((*words, in_words(one.since), in_words(one.until)))
    if to is None:
        print(text.getvalue(), end="")
        return
    to.write_text(text.getvalue(), encoding="utf-8-sig", newline="")
    print(f"{len(known)} adresse(s) dans {to}.")


def _there(known: Contact | None) -> Contact:
    if known is None:
        raise Permanent("no such contact", "Cette adresse n'est pas dans le carnet : voyez « hub contacts find ».")
    return known


def _said(
    was: Described,
    kind: str | None,
    name: str | None,
    organisation: str | None,
    service: str | None,
    departement: str | None,
    note: str | None,
    since: str | None,
    until: str | None,
) -> Described:
    """What is given, over what was said."""
    return Described(
        type=was.type if kind is None else checked(mailbox_type, kind, "--type"),
        name=was.name if name is None else checked(short_text, name, "--name"),
        organisation=was.organisation if organisation is None else checked(short_text, organisation, "--organisation"),
        service=was.service if service is None else checked(short_text, service, "--service"),
        departement=was.departement if departement is None else _departement(departement),
        note=was.note if note is None else checked(short_text, note, "--note"),
        since=was.since if since is None else day_of(since, "--since"),
        until=was.until if until is None else day_of(until, "--until"),
    )


def _departement(given: str) -> str:
    return checked(departement_of, given, "--departement") if given else ""
