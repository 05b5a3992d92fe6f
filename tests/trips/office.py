"""A whole establishment that sends: the submission door open, two mailboxes that sign (RSA, EC), two users, a Dovecot
with everybody's mailboxes, and a next hop that wants a client certificate.

`running_office(folder)` starts what is real (Postfix, Dovecot) and makes the site; `hop` puts another next hop in the
place of Postfix. The service is not started. All people are fictional.
"""

from __future__ import annotations

import email
import email.policy
import json
import smtplib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from hub.cli.commands import app
from hub.message import Usager
from hub.sandbox.people import USAGERS, usagers_csv
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.ports import free_port
from tests.edges.postfix import running_postfix
from tests.memberlists import a_list
from tests.pki import Authority
from tests.quiet import password
from tests.signers import Authority as SigningAuthority
from tests.signers import Holder
from tests.trips.house import DOMAIN, Site, wait_for

SECRETARIAT, DIRECTION = (f"{name}@mecs.{DOMAIN}" for name in ("secretariat", "direction"))
TEAM = f"equipe@mecs.{DOMAIN}"  # people read it; the mailbox of the direction is read by the hub alone
ASE, DOCTOR = f"ase@departement.{DOMAIN}", f"medecin@hopital.{DOMAIN}"
NOBODY = f"inconnu@departement.{DOMAIN}"  # Postfix knows no such mailbox
MEMBERS = tuple(f"{name}.{DOMAIN}" for name in ("mecs", "departement", "hopital"))
PASSWORD = password("quatre mots sans rapport")
LIST = "liste-blanche.xml"  # the member domains, put there by hand
PRODUCT = "ESSAI1"
SITE_NAME = "MECS d'essai (fictive)"
FINESS = "990000029"

_SETTINGS = """\
site:
  name: "{name}"
  finess: "{finess}"
  product_reference: {product}
  address: {{street: "3 rue de l'Essai", postal_code: "38999", city: VALLOMBRE}}
operators:
{operators}mailboxes:
{mailboxes}submission:
  certificate: {{file: {door_certificate}, key_file: {door_key}}}
  port: {starttls_port}
  implicit_port: {implicit_port}
  name: localhost
  messages_a_minute: 10000
  messages_an_hour: 10000
signatures: {{anchors: anchors.pem}}
members: {{file: liste-blanche.xml}}
watching: {{poll: 5s, backoff_first: 1s, backoff_most: 3s}}
spooling: {{sweep_every: 1s, retry_first: 1s, retry_most: 1s, lease: {lease}s}}
working: {{processes: 1, threads: 4}}
log_level: debug
sending: {{evidence_within: {evidence_within}s}}
"""
_OPERATOR = """\
  - name: {name}
    imap: {{host: localhost, port: {imap}, tls: implicit}}
    smtp: {{host: localhost, port: {smtp}, tls: implicit}}
    ca_file: {ca}
    sasl: external
    dsn: {dsn}
"""
_BOX = """\
  - name: {name}
    address: {address}
    display_name: {shown}
{more}    certificate: {{file: {certificate}, key_file: {key}}}
    signing: {{certificate: {{file: {name}-signature.pem}}}}
"""
SHOWN = {"secretariat": "MECS d'essai", "direction": "Direction de la MECS d'essai"}
# One operator is asked for notices of delivery, the other is not: what scripted recipients answer then stands alone.
_MORE = {
    "secretariat": "    operator: operateur\n    test: true\n",
    "direction": f"    operator: muet\n    reply_to: {TEAM}\n",
}
_REFUSES = f"smtpd_client_restrictions = check_recipient_access inline:{{ {{ {NOBODY} = 550 5.1.1 unknown }} }}\n"


@dataclass
class Office:
    site: Site
    dovecot: Dovecot
    authority: Authority
    signing: dict[str, tuple[SigningAuthority, Holder]]  # by the address of the mailbox
    starttls_port: int
    implicit_port: int
    usagers: tuple[Usager, ...] = USAGERS

    def client(self, login: str = "camille", tls: str = "implicit") -> smtplib.SMTP:
        """A mail program, connected and logged in; the caller ends it."""
        context = self.authority.client_context()
        if tls == "implicit":
            client: smtplib.SMTP = smtplib.SMTP_SSL("localhost", self.implicit_port, timeout=30, context=context)
        else:
            client = smtplib.SMTP("localhost", self.starttls_port, timeout=30)
            client.starttls(context=context)
        client.login(login, PASSWORD)
        return client

    def submit(self, *mails: EmailMessage, login: str = "camille", tls: str = "implicit") -> None:
        """Each to the recipients that it names."""
        with self.client(login, tls) as client:
            for mail in mails:
                assert client.send_message(mail) == {}

    def wait_for_door(self, seconds: float = 60) -> None:
        def is_open() -> bool:
            try:
                self.client().quit()
            except OSError:
                return False
            return True

        wait_for(is_open, seconds, self.site.log)

    def sent(self, *words: str) -> list[dict[str, Any]]:
        """What `hub sent --json` says, the newest first."""
        told = self.said("sent", "--json", "--limit", "1000", *words)
        found: list[dict[str, Any]] = json.loads(told)
        return found

    def said(self, *words: str) -> str:
        """What a command that changes nothing prints; in this process, which has imported everything already."""
        return _run(*words, "--site", str(self.site.folder))

    def unmatched(self) -> list[dict[str, Any]]:
        """Reports that are about nothing of ours."""
        return self.sent("--unmatched")

    def ladder(self) -> dict[tuple[str, str], str]:
        """(Message-ID, recipient) -> rung."""
        return {
            (one["message_id"], each["recipient"]): each["rung"] for one in self.sent() for each in one["recipients"]
        }

    def inbox(self, address: str, at_least: int = 0, seconds: float = 60) -> list[EmailMessage]:
        """The mails of a mailbox, parsed by Python's own parser."""
        return [parsed(raw) for raw in self.site.mails_to(address, at_least, seconds)]

    def fetched(self, address: str) -> list[bytes]:
        """The mails of a mailbox by IMAP, as a mail program of the recipient gets them (CRLF)."""
        with self.dovecot.other_client(address) as client:
            answer, (number, *_) = client.select("INBOX", readonly=True)
            assert answer == "OK"
            if number in (b"0", None):
                return []
            answer, parts = client.fetch("1:*", "(BODY.PEEK[])")
            assert answer == "OK"
            return [part[1] for part in parts if isinstance(part, tuple)]

    def letters(self, address: str = SECRETARIAT, at_least: int = 0, seconds: float = 60) -> list[EmailMessage]:
        """What the hub wrote to people of ours, once there are so many."""
        found: list[EmailMessage] = []

        def are_there() -> bool:
            ours = [mail for mail in self.inbox(address) if mail["X-MSS-NIL"] == PRODUCT]
            found[:] = [mail for mail in ours if mail["Auto-Submitted"] == "auto-generated"]
            return len(found) >= at_least

        wait_for(are_there, seconds, lambda: f"{len(found)} letters\n{self.site.log()[-4000:]}")
        return found


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def a_mail(
    subject: str,
    *recipients: str,
    files: Sequence[tuple[str, bytes]] = (),
    text: str = "Bonjour,\n\nVeuillez trouver ci-joint le document. Bien à vous,\nle secrétariat\n",
    sender: str = SECRETARIAT,
    number: str = "",
    **headers: str,
) -> EmailMessage:
    """As a mail program writes it. `number` tells its Message-ID apart from others."""
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(recipients or (ASE,)), subject
    mail["Message-ID"] = f"<{number or datetime.now(UTC).timestamp()}@poste.mecs.{DOMAIN}>"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    for name, raw in files:
        mail.add_attachment(raw, maintype="application", subtype="pdf", filename=name)
    return mail


@contextmanager
def running_office(
    folder: Path,
    *,
    hop: Callable[[Authority], AbstractContextManager[int]] | None = None,
    more: tuple[Usager, ...] = (),
    lease: int = 5,
    evidence_within: int = 1800,
) -> Iterator[Office]:
    """`more`: usagers beside those of the sandbox. `hop` runs a next hop and gives its port (implicit TLS); None: a
    Postfix that delivers into the Dovecot. Seconds: `lease`, `evidence_within`."""
    authority = Authority(folder / "pki")
    with ExitStack() as stack:
        dovecot = stack.enter_context(running_dovecot(authority))
        postfix: Any = None
        if hop is None:
            into = f"lmtp:inet:[127.0.0.1]:{dovecot.lmtp_port}"
            postfix = stack.enter_context(running_postfix(authority, domains=MEMBERS, transport=into, more=_REFUSES))
            smtp_port = postfix.implicit_port
        else:
            smtp_port = stack.enter_context(hop(authority))
        site = Site(folder / "site", dovecot, postfix)
        office = Office(site, dovecot, authority, _signers(), free_port(), free_port(), (*USAGERS, *more))
        _write(office, smtp_port, lease, evidence_within)
        _set_up(office)
        stack.callback(lambda: site.kill() if site.service is not None else None)  # quick: nothing is looked at after
        yield office


def _set_up(office: Office) -> None:
    """What a sysadmin does on the first day."""
    folder = office.site.folder
    (folder / "usagers.csv").write_bytes(usagers_csv(office.usagers))
    (folder / "password").write_text(PASSWORD + "\n")
    (folder / LIST).write_bytes(a_list(*MEMBERS))
    _run("members", "refresh", "--site", str(folder))
    user = ("users", "add", "camille", "--mailbox", "secretariat", "--mailbox", "direction")
    _run("usagers", "import", str(folder / "usagers.csv"), "--site", str(folder))
    _run(*user, "--password-file", str(folder / "password"), "--site", str(folder))
    _run("check", "--site", str(folder))


def _run(*words: str) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, f"hub {' '.join(words)}: {done.output} {done.exception!r}"
    return done.stdout


def _write(office: Office, smtp_port: int, lease: int, evidence_within: int) -> None:
    """The files of the site."""
    folder, authority = office.site.folder, office.authority
    folder.mkdir(parents=True)
    door = authority.issue("door", "localhost", "127.0.0.1")
    boxes = []
    for address, (_, holder) in office.signing.items():
        name, leaf = address.partition("@")[0], office.dovecot.leaf(address)
        (folder / f"{name}-signature.pem").write_bytes(holder.certificate_pem + holder.above_pem + holder.key_pem)
        known = {"name": name, "address": address, "shown": json.dumps(SHOWN[name]), "more": _MORE[name]}
        boxes.append(_BOX.format(**known, certificate=leaf.certificate, key=leaf.key))
    server = {"imap": office.dovecot.imaps_port, "smtp": smtp_port, "ca": authority.ca_file}
    (folder / "anchors.pem").write_bytes(b"".join(one.root_pem for one, _ in office.signing.values()))
    (folder / "hub.yaml").write_text(
        _SETTINGS.format(
            name=SITE_NAME,
            finess=FINESS,
            product=PRODUCT,
            operators=_OPERATOR.format(name="operateur", dsn="true", **server)
            + _OPERATOR.format(name="muet", dsn="false", **server),
            mailboxes="".join(boxes),
            door_certificate=door.certificate,
            door_key=door.key,
            starttls_port=office.starttls_port,
            implicit_port=office.implicit_port,
            lease=lease,
            evidence_within=evidence_within,
        ),
        encoding="utf-8",
    )
    _run("init", str(folder))


def _signers() -> dict[str, tuple[SigningAuthority, Holder]]:
    """Throw-away authorities, and certificates that are valid today."""
    now, day = datetime.now(UTC), timedelta(days=1)
    made = {}
    for kind, address in (("rsa", SECRETARIAT), ("ec", DIRECTION)):
        authority = SigningAuthority(kind)  # type: ignore[arg-type]
        made[address] = authority, authority.signer(address, not_before=now - day, not_after=now + 300 * day)
    return made
