"""`hub check`: validates everything that a sysadmin writes, before it is used.

Each look is a line of the report when it fails, with the file and the line at fault; nothing is sent, no mailbox is
opened. What is right now and will not be soon (a certificate that expires) is told too, without failing.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import typer

from hub import configuration, migrations
from hub.alerts import Alert, of_certificates
from hub.alerts.members import of_members
from hub.cli.site import HERE, SiteOption, settings_file, settings_of, sqlite_is_missing
from hub.database import Database
from hub.errors import HubError, Misconfigured, Temporary
from hub.quirks import load_known
from hub.raw import Whole
from hub.settings import Mailbox, Settings
from hub.spool.marker import belong
from hub.trust.authorities import authorities_of, name_of
from hub.trust.inventory import Inventory
from hub.trust.keys import KeyRing
from hub.trust.searched import searched
from hub.trust.srv import srv_name
from hub.trust.succession import of_mailbox
from hub.trust.tls import client_context, server_context
from hub.wiring import make_cell, now, password_of
from hub.wiring.directory import api_key_of, directory_of, refresher_of
from hub.wiring.members import LiveMembers, anchors_of
from hub.wiring.rulebook import load_rulebook
from hub.wiring.signers import load_signers, trust_of
from hub.worker.broker import make_broker

# What works today and must not stay: the certificate of somebody else, and a next one that will not serve.
_FORBIDDEN = ("certificate-other-site", "certificate-next-unusable")
_PLACED = re.compile(r".+:[0-9]+ ")  # `file:line …`


def register(app: typer.Typer) -> None:
    app.command("check")(check)


def check(site: SiteOption = HERE) -> None:
    """Vérifie réglages, règles, types de documents, clés, certificats et base ; n'envoie ni ne lit aucun message."""
    settings = settings_of(site)
    report = _Report(settings_file(site))
    report.look(("key_file",), lambda: _keys(settings.key_file))
    members = LiveMembers(settings)
    report.look(("routes_file",), lambda: load_rulebook(settings, members.current()))
    report.look(("members", "ca_file"), lambda: anchors_of(settings))
    for number, mailbox in enumerate(settings.mailboxes):
        report.look(("mailboxes", number, "password_file"), partial(_password, mailbox))
    for number, operator in enumerate(settings.operators):
        for mailbox in (box for box in settings.mailboxes if box.operator == operator.name):
            report.look(("operators", number), partial(_contexts, settings, mailbox))
    warnings: list[str] = []
    if report.look(("signatures", "anchors"), lambda: trust_of(settings)):
        report.look(("mailboxes",), lambda: warnings.extend(load_signers(settings, now()).warnings))
    report.look(("submission", "certificate"), lambda: _door(settings))
    report.look(("directory",), lambda: _directory(settings))
    report.look(("database_url",), lambda: _schema(settings))
    report.look(("broker_url",), lambda: _broker(settings))
    report.look(("data_dir",), lambda: _folder(settings.data_dir))
    report.look(("data_dir",), lambda: _belongs(settings))
    if report.look(("codes_dir",), lambda: _codes(settings)):
        report.look(("reading", "memory"), lambda: asyncio.run(_reader(settings)))
    at = now()
    raised = [
        alarm
        for alarm in (*of_certificates(settings, Inventory(settings).items(at), at), *_of_list(settings, members))
        if alarm.code != "certificate-unreadable"  # told already
    ]
    report.problems += [alarm.text for alarm in raised if alarm.is_urgent or alarm.code in _FORBIDDEN]
    if report.problems:
        print("Configuration à corriger :")
        for line in dict.fromkeys(report.problems):
            print(f"  {line}")
        raise typer.Exit(1)
    boxes = len(settings.mailboxes)
    print(f"Tout est en ordre : {boxes} boîte(s) aux lettres, règles et types de documents valides.")
    if not boxes:
        print("Aucune boîte aux lettres n'est encore réglée dans hub.yaml : le hub n'a rien à relever.")
    for text in (*_known(settings_file(site), settings), *_searched(settings)):
        print(text)
    for text in (
        *warnings,
        *_trust(settings),
        *_fonts(settings),
        *remarks_on_members(settings, members),
        *(alarm.text for alarm in raised),
    ):
        print(f"À prévoir : {text}")


class _Report:
    """The problems found, each as `file:line …`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._tree = configuration.parse_yaml(configuration.read_file(file), str(file))
        self.problems: list[str] = []

    def look(self, place: tuple[str | int, ...], look: Callable[[], object]) -> bool:
        """Run one look; whether it raised nothing. What names no place gets that of its setting."""
        try:
            look()
        except HubError as error:
            line = configuration.line_of(self._tree, place)
            for text in error.private.splitlines():
                self.problems.append(text if _PLACED.match(text) else f"{self._file}:{line} {text}")
            return False
        return True


def _known(file: Path, settings: Settings) -> Iterator[str]:
    """What is taken from the table of known operators, and from whom."""
    written = configuration.load(Settings, file)  # before the table was taken
    for operator in (one for one in written.operators if one.known_as is not None):
        assert settings.operators_file is not None
        known = load_known(settings.operators_file).operators[operator.known_as or ""]
        yield f"Opérateur {operator.name}, connu comme {operator.known_as} ({known.title}) :"
        for name, fact in known.facts():
            taken = "" if operator.lacks(name) else " ; hub.yaml dit autre chose, et l'emporte"
            yield f"  {name} : {_shown(fact.value)} ({fact.confidence}, {fact.source}){taken}"
        for note in known.notes:
            yield f"  à savoir : {note.text} ({note.confidence}, {note.source})"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "oui" if value else "non"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _searched(settings: Settings) -> Iterator[str]:
    for one in searched(settings):
        boxes = ", ".join(one.mailboxes)
        yield f"Serveur à trouver par le DNS : {srv_name(one.domain, one.service)} (boîtes : {boxes})."


def _keys(file: Path) -> None:
    KeyRing.load(file)
    if file.stat().st_mode & 0o007:
        raise Misconfigured(f"{file}:1 - everybody on this machine may read the keys: chmod 600")


def _fonts(settings: Settings) -> tuple[str, ...]:
    """Only what the hub writes itself needs them: a text or a form without a PDF of its own."""
    sending = settings.sending
    absent = [str(file) for file in (sending.font_file, sending.bold_font_file) if not file.is_file()]
    if not absent or settings.submission.certificate is None:
        return ()
    return (
        f"police absente : {', '.join(absent)}. Un envoi sans PDF joint ne pourra pas être préparé : installez "
        "fonts-dejavu-core, ou réglez sending.font_file et sending.bold_font_file.",
    )


def _of_list(settings: Settings, members: LiveMembers) -> tuple[Alert, ...]:
    try:
        return tuple(of_members(settings, members.kept.standing(), now()))
    except OSError:  # of data_dir, which is told already
        return ()


def remarks_on_members(settings: Settings, members: LiveMembers) -> Iterator[str]:
    """What does not fit between the site and the list of member domains."""
    if settings.members.is_listed and members.kept.stamp() is None:
        yield "aucune liste blanche n'a encore été obtenue : lancez « hub members refresh » (ou « hub serve »)."
    for mailbox in settings.mailboxes:
        if not mailbox.test and not members.current().has(mailbox.address):
            near = ", ".join(members.current().nearest(mailbox.address))
            alike = f" Y ressemblent : {near}." if near else ""
            yield (
                f"le domaine de la boîte {mailbox.name} n'est pas dans la liste blanche : on ne pourra pas lui écrire."
                f"{alike} Vérifiez address, ou demandez à l'opérateur quand son domaine sera déclaré."
            )


def _password(mailbox: Mailbox) -> None:
    if mailbox.password_file is not None and not password_of(mailbox.password_file):
        raise Misconfigured(f"{mailbox.password_file}:1 - the first line is empty, a password is expected")


def _contexts(settings: Settings, mailbox: Mailbox) -> None:
    """With the certificate that is shown, and with the one that will be: its key must be there too."""
    operator, found = settings.operator_of(mailbox), of_mailbox(settings, mailbox)
    anchors = authorities_of(operator, settings.trust, is_test=mailbox.test).anchors
    client_context(operator, found.current if found is not None else None, anchors)
    if found is not None and found.following is not None:
        client_context(operator, found.following, anchors)


def _trust(settings: Settings) -> tuple[str, ...]:
    """Who is believed less strictly than MSSanté asks, by a decision of the site's (ECO.1.1.6, ECO.1.1.10)."""
    remarks = []
    for operator in settings.operators:
        if all(box.test for box in settings.mailboxes if box.operator == operator.name):
            continue
        others = authorities_of(operator, settings.trust, is_test=False).others
        if others:
            remarks.append(
                f"{operator.ca_file}:1 - l'opérateur {operator.name} est reconnu par d'autres autorités que l'IGC-Santé"
                f" ({', '.join(map(name_of, others))}). Pour un opérateur MSSanté, retirez ca_file de hub.yaml."
            )
        if operator.revocation == "off":
            remarks.append(
                f"opérateur {operator.name} : revocation est à off, un certificat révoqué serait accepté. Retirez ce "
                "réglage dès que possible."
            )
    return tuple(remarks)


def _door(settings: Settings) -> None:
    if settings.submission.certificate is not None:
        server_context(settings.submission.certificate)


def _directory(settings: Settings) -> None:
    refresher_of(settings)
    directory_of(settings)
    if settings.directory.api_url is not None:
        api_key_of(settings)


def _schema(settings: Settings) -> None:
    """The database answers, and its schema is not newer than this program."""
    if sqlite_is_missing(settings):
        raise Misconfigured("database_url: the database does not exist yet: hub init")
    database = Database(settings.database_url)
    try:
        if migrations.current(database) is None:
            raise Misconfigured("database_url: the database is empty: hub init")
    finally:
        database.close()


def _broker(settings: Settings) -> None:
    """The broker answers and lets us in. The embedded one is the database, which was looked at already."""
    if settings.broker_url.startswith("sql:"):
        return
    database = Database(settings.database_url)
    try:
        broker = make_broker(settings, database)
        broker.check()
        broker.close()
    except Temporary as error:
        raise Misconfigured(f"broker_url: the broker cannot be used: {error.private}") from None
    finally:
        database.close()


def _folder(folder: Path) -> None:
    """What must be made below the folder can be made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise Misconfigured(f"data_dir: nothing can be written in {there}")


def _belongs(settings: Settings) -> None:
    """This folder and these keys are those that the other machines of the site have."""
    if sqlite_is_missing(settings):
        return  # told already
    database = Database(settings.database_url)
    try:
        if migrations.current(database) == migrations.LATEST:
            belong(database, KeyRing.load(settings.key_file), settings.data_dir / "blobs", makes=False)
    except Temporary:
        return  # told already: the database is away
    finally:
        database.close()


def _codes(settings: Settings) -> None:
    assert settings.codes_dir is not None  # made absolute when the settings were loaded
    if not any(settings.codes_dir.glob("*.csv")):
        raise Misconfigured(f"codes_dir: {settings.codes_dir} holds no code table (*.csv)")


async def _reader(settings: Settings) -> None:
    """A reader starts within its limits, and reads."""
    cell = make_cell(settings)
    try:
        await cell.read(Whole(b"Subject: essai\r\n\r\n" + b"essai\r\n" * 200_000))
    except HubError as error:
        raise Misconfigured(f"reading: no reader can work within these limits ({error.private})") from None
    finally:
        await cell.close()
