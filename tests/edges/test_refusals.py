"""The truth table of refusals: a real Postfix and a real Dovecot, each with every certificate that must be refused, and
those that must not; met as the hub meets them, through its settings (RH-02, RH-04..RH-09; ECO.1.1.1, 1.1.3, 1.1.5..10).

Every row says what IMAP and SMTP answer, and that nothing but EHLO or CAPABILITY and STARTTLS was said before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from hub.errors import HubError
from hub.imap.failures import PeerRefused
from hub.imap.opening import credentials_of, open_session
from hub.raw import Whole
from hub.settings import Settings
from hub.trust.authorities import fingerprint
from hub.trust.names import shown
from hub.trust.peers import Peers
from hub.wiring import make_sender
from hub.wiring.ways import Ways
from tests.edges.dovecot import running_dovecot
from tests.edges.pages import Page, Pages, Request, pages
from tests.edges.postfix import running_postfix
from tests.edges.tls_tap import Tap, tapped
from tests.igc import DAY, Igc, IgcAuthority, Party, now

OURS, THEIRS = "bal-app@asso.mssante.example", "service@hopital.mssante.example"
MAIL = Whole(b"From: <bal-app@asso.mssante.example>\r\nSubject: essai\r\n\r\nessai\r\n")
DOWN = Page(status=503)
Lists = Callable[[Igc, Party], dict[str, bytes | Page]]


def good_lists(igc: Igc, server: Party) -> dict[str, bytes | Page]:
    return {"ORG": igc.crl(), "RACINE": igc.crl(issuer=igc.root)}


def self_signed(igc: Igc) -> Party:
    """Its own authority, with the names of a server."""
    alone = Igc(igc.points, branch="SEULE")
    return alone.leaf(issuer=Party(alone.leaf().certificate, alone.leaf().key))


@dataclass(frozen=True, kw_only=True)
class Row:
    """`imap`: the code of the refusal; `smtp`: a part of its text. Both empty: accepted. `server`: what it shows;
    `pin`: of the settings; `lists`, `ocsp`: what its authority publishes."""

    imap: str = ""
    smtp: str = ""
    server: Callable[[Igc], Party] = lambda igc: igc.leaf()
    pin: Callable[[Party], str] | None = None
    lists: Lists = good_lists
    ocsp: Literal["good", "revoked"] | None = None
    dovecot: str = ""
    postfix: str = ""
    client: Literal["known", "unknown"] = "known"
    told: tuple[str, ...] = ()  # of the text for people
    more: dict[str, Any] = field(default_factory=dict)


def without_names(igc: Igc) -> Party:
    return igc.leaf("imap.operateur.example", ())


def pin_of(server: Party) -> str:
    return shown(fingerprint(server.der))


def only_organisations(page: bytes | Page) -> Lists:
    return lambda igc, server: {**good_lists(igc, server), "ORG": page}


UNKNOWN = "peer-revocation-unknown"
ROWS = {
    "good": Row(),
    "expired": Row(
        server=lambda igc: igc.leaf(days=(-60, -1)), imap="certificate-expired", smtp="certificate has expired"
    ),
    "not yet valid": Row(
        server=lambda igc: igc.leaf(days=(1, 60)),
        imap="certificate-not-yet-valid",
        smtp="certificate is not yet valid",
    ),
    "other authority": Row(
        server=lambda igc: Igc(igc.points, branch="PUBLIQUE").leaf(),
        imap="certificate-unknown-authority",
        smtp="unable to get local issuer certificate",
    ),
    "other host": Row(
        server=lambda igc: igc.leaf("imap.autre.example"),
        imap="peer-other-name",
        smtp="not for localhost but for imap.autre.example",
        told=("imap.autre.example", "server_name"),
    ),
    "no name": Row(
        server=without_names,
        imap="peer-no-name",
        smtp="only the CN imap.operateur.example",
        told=("« imap.operateur.example »", 'pin: "'),
    ),
    "no name, pinned": Row(server=without_names, pin=pin_of),
    "no name, other pin": Row(
        server=without_names,
        pin=lambda server: "AB" * 32,
        imap="peer-other-pin",
        smtp="not a pin",
        told=("empreinte",),
    ),
    "pinned and revoked": Row(
        server=without_names,
        pin=pin_of,
        lists=lambda igc, server: {**good_lists(igc, server), "ORG": igc.crl(server)},
        imap="peer-revoked",
        smtp="is revoked",
    ),
    "weak suite only": Row(
        dovecot="ssl_cipher_list = AES256-GCM-SHA384",
        postfix="smtpd_tls_mandatory_ciphers = medium\ntls_medium_cipherlist = AES256-GCM-SHA384",
        imap="tls-",
        smtp="TLS: ",
    ),
    "revoked": Row(
        lists=lambda igc, server: {**good_lists(igc, server), "ORG": igc.crl(server)},
        imap="peer-revoked",
        smtp="is revoked",
        told=("révoqué",),
    ),
    "intermediate revoked": Row(
        lists=lambda igc, server: {
            **good_lists(igc, server),
            "RACINE": igc.crl(igc.organisations, issuer=igc.root),
        },
        imap="peer-revoked",
        smtp="ORGANISATIONS ESSAI is revoked",
    ),
    "list ended, no responder": Row(
        lists=lambda igc, server: {**good_lists(igc, server), "ORG": igc.crl(made=now() - 2 * DAY)},
        imap=UNKNOWN,
        smtp="/CRL/ORG.crl (ended)",
        told=("listes de révocation",),
    ),
    "list ended, responder": Row(
        lists=lambda igc, server: {**good_lists(igc, server), "ORG": igc.crl(made=now() - 2 * DAY)}, ocsp="good"
    ),
    "list ended, revoked by the responder": Row(
        lists=lambda igc, server: {**good_lists(igc, server), "ORG": igc.crl(made=now() - 2 * DAY)},
        ocsp="revoked",
        imap="peer-revoked",
        smtp="is revoked, says its authority's responder",
    ),
    "list of another": Row(
        lists=lambda igc, server: {**good_lists(igc, server), "ORG": igc.crl(key=igc.root.key)},
        imap=UNKNOWN,
        smtp="/CRL/ORG.crl (not-its-signature)",
    ),
    "page for a list": Row(lists=only_organisations(Page(b"<html>")), imap=UNKNOWN, smtp="/CRL/ORG.crl (not-der)"),
    "lists down": Row(lists=lambda igc, server: {}, imap=UNKNOWN, smtp="(http-404)"),
    "our certificate is unknown": Row(client="unknown", imap="authenticate-no", smtp="certificate"),
    "revocation not asked": Row(lists=lambda igc, server: {}, more={"revocation": "off"}),
}


@dataclass
class Site:
    """The hub's settings for one operator, whose two servers are behind taps."""

    settings: Settings
    imap: Tap
    smtp: Tap

    async def read(self) -> str:
        """Open the mailbox. The code of the refusal and its text for people, or ""."""
        box = self.settings.mailboxes[0]
        ways = Ways(self.settings)
        try:
            way = await ways.imap(box)()
            session = await open_session(way, credentials_of(box, self.settings.operators[0]), 10, 10)
        except PeerRefused as error:
            return f"{error.code} {error.public}"
        except HubError as error:
            return str(getattr(error, "code", error.private))
        finally:
            await ways.vetting.close()
        assert session.is_authenticated
        await session.logout()
        return ""

    async def send(self) -> str:
        """Send one mail. The text of the refusal, for the log and for people, or ""."""
        ways = Ways(self.settings)
        sender = make_sender(self.settings, ways)
        try:
            await sender.send("bal", OURS, THEIRS, MAIL)
        except HubError as error:
            return f"{error.private} {error.public}"
        finally:
            await sender.close()
            await ways.vetting.close()
        return ""

    def refusals(self) -> list[str]:
        """What was written down for alerts."""
        peers = Peers(self.settings.data_dir / "trust").all(now())
        return [peer.refusal.code for peer in peers if peer.refusal is not None]

    def expect_silence(self, tls: str) -> None:
        """Nothing but what comes before TLS was said to whom is not believed."""
        is_starttls = tls == "starttls"
        assert set(self.imap.in_clear()) <= ({"CAPABILITY", "STARTTLS"} if is_starttls else set())
        assert set(self.smtp.in_clear()) <= ({"EHLO", "STARTTLS"} if is_starttls else set())
        assert "handshake" in self.imap.sealed() & self.smtp.sealed()
        assert "application" not in self.imap.sealed() | self.smtp.sealed()


class Stage:
    """A Dovecot and a Postfix that show what the row says, and what their authority publishes now."""

    def __init__(self, folder: Path, row: Row, igc: Igc, served: Pages, stack: AsyncExitStack) -> None:
        self.folder, self.row, self.igc, self.served, self._stack = folder, row, igc, served, stack
        self.authority, self.server = IgcAuthority(igc, folder / "pki"), row.server(igc)
        self.lists = row.lists(igc, self.server)
        files = self.server.files(self.authority.folder, "server", igc.organisations)
        shows = f"ssl_cert = <{files.certificate}\nssl_key = <{files.key}\n{row.dovecot}\n"
        self.dovecot = stack.enter_context(running_dovecot(self.authority, extra=shows))
        domains = ("hopital.mssante.example",)
        self.postfix = stack.enter_context(
            running_postfix(self.authority, domains=domains, server=files, more=row.postfix)
        )
        stranger = IgcAuthority(Igc(branch="INCONNUE"), folder / "stranger")
        shown_by = self.authority if row.client == "known" else stranger
        self.client = shown_by.issue("client", OURS, common_name=OURS).both

    def publish(self, request: Request) -> Page:
        if request.path == "/ocsp":
            asked = self.row.ocsp
            said = DOWN if asked is None else self.igc.answer(request.body, self.server, asked)
        else:
            said = self.lists.get(request.path.removeprefix("/CRL/").removesuffix(".crl"), Page(status=404))
        return said if isinstance(said, Page) else Page(said)

    async def site(self, tls: str, **more: Any) -> Site:
        """The hub of a new site, through taps."""
        is_starttls = tls == "starttls"
        dovecot, postfix, row = self.dovecot, self.postfix, self.row
        imap = await self._stack.enter_async_context(tapped(dovecot.imap_port if is_starttls else dovecot.imaps_port))
        smtp_port = postfix.starttls_port if is_starttls else postfix.implicit_port
        smtp = await self._stack.enter_async_context(tapped(smtp_port))
        folder = self.folder / tls
        folder.mkdir()
        operator = {
            "name": "operateur",
            "imap": {"host": "localhost", "port": imap.port, "tls": tls},
            "smtp": {"host": "localhost", "port": smtp.port, "tls": tls},
            "ca_file": self.igc.ca_file(folder),
            "revocation": "required",
            "certificate": {"file": self.client},
            "tls13": False,  # so that the tap can tell what was said after the handshake
        }
        pin = {} if row.pin is None else {"pin": row.pin(self.server)}
        settings = Settings.model_validate(
            {
                "data_dir": folder,
                "site": {"product_reference": "ESSAI1"},
                "operators": [operator | pin | row.more],
                "mailboxes": [{"name": "bal", "address": OURS, "operator": "operateur"}],
                "trust": {"points": []} | more,
                "fetching": {"answer_within": 20, "connect_timeout": 20},
            }
        )
        return Site(settings, imap, smtp)


@asynccontextmanager
async def staged(folder: Path, row: Row) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(pages(lambda request: DOWN))
        stage = Stage(folder, row, Igc(f"http://127.0.0.1:{served.port}"), served, stack)
        served.script = stage.publish
        yield stage


@pytest.mark.parametrize("name", ROWS)
async def test_who_is_believed(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    async with staged(tmp_path, row) as stage:
        for tls in ("starttls", "implicit"):
            site = await stage.site(tls)
            read, sent = await site.read(), await site.send()
            refusals = site.refusals()
            if not row.imap:
                assert (read, sent, refusals) == ("", "", [])
                continue
            assert read.startswith(row.imap)
            assert row.smtp in sent
            for words in row.told:
                assert words in read
                assert words in sent
            assert refusals == ([row.imap] * 2 if row.imap.startswith("peer-") else [])
            if row.client == "known":
                site.expect_silence(tls)
        mails = stage.postfix.mails(at_least=0 if row.imap else 2)
        assert len(mails) == (0 if row.imap else 2)


async def test_a_list_that_was_fetched_serves_while_its_point_is_down(tmp_path: Path) -> None:
    async with staged(tmp_path, ROWS["good"]) as stage:
        site = await stage.site("starttls", refresh_every="1s")
        assert (await site.read(), await site.send()) == ("", "")
        stage.lists = {}
        asked = len(stage.served.asked)
        await asyncio.sleep(1.1)  # it is time to fetch it anew
        assert (await site.read(), await site.send()) == ("", "")
        assert len(stage.served.asked) > asked
        assert len(stage.postfix.mails(at_least=2)) == 2


async def test_tls_13_says_no_more_than_tls_12(tmp_path: Path) -> None:
    """Where the tap cannot tell, Postfix does: it counts what it heard."""
    row = replace(ROWS["revoked"], more={"tls13": True})
    async with staged(tmp_path, row) as stage:
        site = await stage.site("starttls")
        assert (await site.read()).startswith("peer-revoked")
        assert "is revoked" in await site.send()
        async with asyncio.timeout(10):
            while "ehlo=" not in stage.postfix.log():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert "TLSv1.3" in stage.postfix.log()
        assert "ehlo=1 starttls=1 commands=2" in stage.postfix.log()
        assert "no auth attempts" in stage.dovecot.log()


async def test_an_old_version_is_refused(tmp_path: Path) -> None:
    """By the client: Postfix offers TLS 1.1 alone (this Dovecot cannot)."""
    only = "smtpd_tls_mandatory_protocols = TLSv1.1\nsmtpd_tls_mandatory_ciphers = low\n"
    row = Row(postfix=only + "tls_low_cipherlist = ALL:@SECLEVEL=0")
    async with staged(tmp_path, row) as stage:
        site = await stage.site("starttls")
        assert "TLS: " in await site.send()
        assert set(site.smtp.in_clear()) == {"EHLO", "STARTTLS"}
        assert "application" not in site.smtp.sealed()
