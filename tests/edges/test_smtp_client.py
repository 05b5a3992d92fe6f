"""The door out against a real Postfix that requires a client certificate, and against a server that misbehaves at
each stage of the dialogue."""

from __future__ import annotations

import asyncio
import contextlib
import re
import smtplib
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub import settings
from hub.cda import Codes
from hub.compose import Letterhead, receipt, survey
from hub.errors import HubError, Misconfigured, Permanent, Temporary, UncertainDelivery, Untrusted
from hub.message import Limits, MessageClass, ParsedMessage, Receipt, Rung, SentTo
from hub.message import Sending as SentMail
from hub.parse import parse
from hub.ports import DsnAsked, Sender
from hub.raw import Whole, joined
from hub.receipts import correlate, envelope_id, keys_of
from hub.settings import Endpoint, Sending
from hub.smtp.client import Route, SmtpSender
from hub.trust.tls import client_context
from tests.edges.dovecot import running_dovecot
from tests.edges.postfix import Postfix, running_postfix
from tests.edges.scripted_smtp import Script, ScriptedServer, scripted_smtp
from tests.edges.test_tls import PASSWORD, pkcs12
from tests.fakes_smtp import RecordingSender
from tests.pki import Authority, Leaf
from tests.quiet import password
from tests.ways import way_to

LOGIN_PASSWORD = password("motdepasse-fictif")
OURS = "bal-app@asso.mssante.example"
THEIRS = "service@hopital.mssante.example"
MAIL = b"Subject: essai\r\nMessage-ID: <1@asso.mssante.example>\r\n\r\nBonjour.\r\n"
QUICK = Sending(connect_timeout=timedelta(seconds=2), command_timeout=timedelta(seconds=2))
IMPATIENT = Sending(connect_timeout=timedelta(milliseconds=400), command_timeout=timedelta(milliseconds=400))


class InTwo(Whole):
    def __init__(self, raw: bytes, cut: int) -> None:
        super().__init__(raw)
        self._halves = raw[:cut], raw[cut:]

    async def pieces(self) -> AsyncIterator[bytes]:
        for half in self._halves:
            yield half


@pytest.fixture(scope="module")
def leaf(authority: Authority) -> Leaf:
    return authority.issue("bal-app", OURS, common_name="BAL APPLICATIVE FICTIVE")


@pytest.fixture(scope="module")
def postfix(authority: Authority) -> Iterator[Postfix]:
    with running_postfix(authority, domains=("hopital.mssante.example",)) as running:
        yield running


def route(authority: Authority, leaf: Leaf | None, port: int, tls: Any = "implicit", **more: Any) -> Route:
    endpoint = Endpoint(host="127.0.0.1", port=port, tls=tls, server_name=more.pop("server_name", None))
    return Route(find_way=way_to(endpoint, lambda: authority.client_context(leaf)), **more)


@asynccontextmanager
async def sending(routes: dict[str, Route], timing: Sending = QUICK, **more: Any) -> AsyncIterator[SmtpSender]:
    sender = SmtpSender(routes, timing, **more)
    try:
        yield sender
    finally:
        await sender.close()


# --- a real Postfix ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_a_mail_arrives_once_and_whole(postfix: Postfix, authority: Authority, leaf: Leaf, tls: str) -> None:
    port = postfix.implicit_port if tls == "implicit" else postfix.starttls_port
    body = b".un point\r\n..deux\r\nd\xc3\xa9j\xc3\xa0\r\n.\r\nfin " + tls.encode()
    async with sending({"asso": route(authority, leaf, port, tls)}) as sender:
        answer = await sender.send("asso", OURS, THEIRS, Whole(MAIL + body))
    (mine,) = await asyncio.to_thread(postfix.mails, 1, holding=b"fin " + tls.encode())
    assert answer.startswith("250 2.0.0 Ok: queued as ")
    assert mine.replace(b"\n", b"\r\n").endswith(body + b"\r\n")
    assert b"verified OK" in mine  # Postfix saw our client certificate


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_without_client_certificate_nothing_goes(postfix: Postfix, authority: Authority, tls: str) -> None:
    port = postfix.implicit_port if tls == "implicit" else postfix.starttls_port
    before = len(postfix.mails())
    async with sending({"asso": route(authority, None, port, tls)}) as sender:
        with pytest.raises(Temporary, match="No client certificate"):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))
    assert len(postfix.mails()) == before


async def test_fifty_mails_use_one_connection(postfix: Postfix, authority: Authority, leaf: Leaf) -> None:
    sessions, handshakes = postfix.sessions(), postfix.handshakes()
    async with sending({"asso": route(authority, leaf, postfix.implicit_port)}) as sender:
        await asyncio.gather(*(sender.send("asso", "", THEIRS, Whole(MAIL + b"cinquante")) for _ in range(50)))
    assert len(await asyncio.to_thread(postfix.mails, 50, holding=b"cinquante")) == 50
    assert postfix.sessions() - sessions == 1
    assert postfix.handshakes() - handshakes == 1


async def test_a_refused_recipient_is_permanent_and_the_connection_lives_on(
    postfix: Postfix, authority: Authority, leaf: Leaf
) -> None:
    sessions = postfix.sessions()
    async with sending({"asso": route(authority, leaf, postfix.implicit_port)}) as sender:
        with pytest.raises(Permanent, match=r"RCPT refused: 554 5\.7\.1") as refused:
            await sender.send("asso", OURS, "quelqu.un@ailleurs.example", Whole(MAIL))
        assert (await sender.send("asso", OURS, THEIRS, Whole(MAIL))).startswith("250")
    assert "quelqu" not in refused.value.private
    assert "opérateur" in refused.value.public
    assert postfix.sessions() - sessions == 1


async def test_a_server_of_another_authority_is_refused(
    postfix: Postfix, authority: Authority, leaf: Leaf, tmp_path: Any
) -> None:
    stranger = Authority(tmp_path)
    for tls, port in (("implicit", postfix.implicit_port), ("starttls", postfix.starttls_port)):
        async with sending({"asso": route(stranger, None, port, tls)}) as sender:
            with pytest.raises(Temporary, match="server certificate: self-signed certificate in"):
                await sender.send("asso", OURS, THEIRS, Whole(MAIL))


async def test_the_certificate_must_bear_the_server_name(postfix: Postfix, authority: Authority, leaf: Leaf) -> None:
    other = route(authority, leaf, postfix.implicit_port, server_name="smtp.operateur.example")
    right = route(authority, leaf, postfix.implicit_port, server_name="localhost")
    async with sending({"other": other, "right": right}) as sender:
        with pytest.raises(Temporary, match="Hostname mismatch"):
            await sender.send("other", OURS, THEIRS, Whole(MAIL))
        assert (await sender.send("right", OURS, THEIRS, Whole(MAIL))).startswith("250")


async def test_a_receipt_travels_from_a_legacy_pkcs12_into_another_mailbox(
    authority: Authority, leaf: Leaf, tmp_path: Path
) -> None:
    """The real context and the real writer: hub -> Postfix -> LMTP -> a Dovecot mailbox, read there by IMAP."""
    secret = settings.Secret(file=pkcs12(leaf, tmp_path / "client.p12", "-legacy"), password_file=tmp_path / "password")
    (tmp_path / "password").write_text(PASSWORD)
    head = Letterhead(address=OURS, display_name="Association", product_reference="HUB0001", reporting_ua="x; hub")
    original = ParsedMessage(subject="XDM/1.0/DDM+Essai", message_id="<2@hopital.mssante.example>")
    step = Receipt(recipient=THEIRS, code=902)
    carried = await survey(Whole(MAIL), "<3@asso.mssante.example>")
    at = datetime(2026, 11, 25, tzinfo=UTC)
    mail = receipt(original, Whole(MAIL), carried, step, head, "<3@asso.mssante.example>", at)
    with running_dovecot(authority) as dovecot:
        lmtp = f"lmtp:inet:[127.0.0.1]:{dovecot.lmtp_port}"
        with running_postfix(authority, domains=("hopital.mssante.example",), transport=lmtp) as postfix:
            operator = dovecot.operator().model_copy(
                update={"smtp": Endpoint(host="127.0.0.1", port=postfix.starttls_port, tls="starttls")}
            )
            way = Route(find_way=way_to(operator.smtp, lambda: client_context(operator, secret)))
            async with sending({"asso": way}) as sender:
                await sender.send("asso", "", THEIRS, mail)
            with dovecot.other_client(THEIRS) as client:
                for _ in range(100):
                    if client.select("INBOX", readonly=True)[1] != [b"0"]:
                        break
                    await asyncio.sleep(0.05)
                assert client.select("INBOX", readonly=True)[1] == [b"1"], postfix.log()
                arrived = client.fetch("1", "(BODY.PEEK[])")[1][0]
    assert isinstance(arrived, tuple)
    assert arrived[1].endswith(await joined(mail))
    assert arrived[1].startswith(b"Return-Path: <>\r\n")


def test_mail_can_be_kept_in_the_queue_or_thrown_away(authority: Authority, leaf: Leaf) -> None:
    """The other two ends of the harness, for tests and benchmarks that want no delivery."""
    for transport, found in (("hold", "status=hold|NOQUEUE: hold"), ("discard:", r"relay=none.*status=sent")):
        with running_postfix(authority, domains=("hopital.mssante.example",), transport=transport) as postfix:
            with smtplib.SMTP_SSL("127.0.0.1", postfix.implicit_port, context=authority.client_context(leaf)) as client:
                client.sendmail(OURS, [THEIRS], MAIL)
            for _ in range(60):
                if re.search(found, postfix.log()):
                    break
                time.sleep(0.05)
            assert re.search(found, postfix.log()), postfix.log()


# --- which stage, which outcome ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server_tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = authority.issue("scripted", "127.0.0.1", "localhost")
    context.load_cert_chain(leaf.certificate, leaf.key)
    context.load_verify_locations(authority.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Bench:
    """Sends through a scripted server, one way or another."""

    def __init__(self, authority: Authority, leaf: Leaf, tls: ssl.SSLContext) -> None:
        self.authority, self.leaf, self.tls = authority, leaf, tls

    @asynccontextmanager
    async def against(
        self, script: Script, timing: Sending = QUICK, routing: dict[str, Any] | None = None, **more: Any
    ) -> AsyncIterator[tuple[SmtpSender, ScriptedServer]]:
        async with scripted_smtp(self.tls, script) as server:
            tls = "implicit" if script.tls == "implicit" else "starttls"
            one = route(self.authority, self.leaf, server.port, tls, **(routing or {}))
            async with sending({"asso": one}, timing, **more) as sender:
                yield sender, server


@pytest.fixture
def bench(authority: Authority, leaf: Leaf, server_tls: ssl.SSLContext) -> Bench:
    return Bench(authority, leaf, server_tls)


LARGE = MAIL + b"ligne\r\n" * 1_000_000  # more than all the buffers between here and there


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data"])
async def test_a_cut_before_the_content_is_temporary(bench: Bench, stage: str) -> None:
    async with bench.against(Script(cut_at=stage)) as (sender, server):
        with pytest.raises(Temporary):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert server.mails == []


@pytest.mark.parametrize("mischief", [{"cut_at": "body"}, {"hang_at": "body"}])
async def test_a_cut_or_silence_inside_the_content_is_temporary(bench: Bench, mischief: dict[str, Any]) -> None:
    async with bench.against(Script(**mischief, body_bytes=1000), IMPATIENT) as (sender, server):
        with pytest.raises(Temporary, match="in the content"):
            await sender.send("asso", OURS, THEIRS, Whole(LARGE))
        assert server.mails == []


@pytest.mark.parametrize("size", [MAIL, LARGE])
async def test_a_cut_after_the_dot_is_uncertain(bench: Bench, size: bytes) -> None:
    async with bench.against(Script(cut_at="dot")) as (sender, server):
        with pytest.raises(UncertainDelivery, match="no answer after the final dot"):
            await sender.send("asso", OURS, THEIRS, Whole(size))
        assert len(server.mails) == 1


async def test_silence_after_the_dot_is_uncertain(bench: Bench) -> None:
    patience = timedelta(milliseconds=300)
    async with bench.against(Script(hang_at="dot"), answer_after_dot=patience) as (sender, server):
        with pytest.raises(UncertainDelivery):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert len(server.mails) == 1


@pytest.mark.parametrize("nonsense", ["pas une réponse", "354 encore", "150 bientôt"])
async def test_nonsense_after_the_dot_is_uncertain(bench: Bench, nonsense: str) -> None:
    async with bench.against(Script(replies={"dot": nonsense})) as (sender, _):
        with pytest.raises(UncertainDelivery):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data"])
async def test_silence_before_the_content_is_temporary(bench: Bench, stage: str) -> None:
    async with bench.against(Script(hang_at=stage), IMPATIENT) as (sender, server):
        async with asyncio.timeout(3):
            with pytest.raises(Temporary):
                await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert server.mails == []


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(("code", "error"), [("450 4.2.1", Temporary), ("550 5.7.1", Permanent)])
async def test_4xx_is_temporary_and_5xx_permanent(bench: Bench, stage: str, code: str, error: type[HubError]) -> None:
    async with bench.against(Script(replies={stage: f"{code} non"})) as (sender, _):
        with pytest.raises(error, match=code):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "auth"])
async def test_a_refused_session_is_temporary_even_with_5xx(bench: Bench, stage: str) -> None:
    script = Script(replies={stage: "554 5.7.1 certificat inconnu"})
    async with bench.against(script, routing={"sasl": "external"}) as (sender, server):
        with pytest.raises(Temporary, match=r"554 5\.7\.1"):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert not any(command.startswith("MAIL") for command in server.commands)


@pytest.mark.parametrize("code", ["251 sera transmis", "252 on verra"])
async def test_251_and_252_are_no_failures(bench: Bench, code: str) -> None:
    async with bench.against(Script(replies={"rcpt": code})) as (sender, server):
        assert (await sender.send("asso", OURS, THEIRS, Whole(MAIL))) == "250 2.0.0 Ok: queued as 00001"
        assert len(server.mails) == 1


# --- one connection, mail after mail ----------------------------------------------------------------------------


async def test_a_connection_that_the_server_closed_is_opened_again(bench: Bench) -> None:
    async with bench.against(Script(close_after_mail=True)) as (sender, server):
        for _ in range(3):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert len(server.mails) == server.connections == 3


@pytest.mark.parametrize("mischief", [{"cut_at": "mail"}, {"replies": {"mail": "421 4.4.2 inactif"}}])
async def test_a_kept_connection_that_proves_dead_is_replaced_once(bench: Bench, mischief: dict[str, Any]) -> None:
    async with bench.against(Script()) as (sender, server):
        await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        server.turn_bad(Script(**mischief))  # the connection that is open; a new one finds a good server
        assert (await sender.send("asso", OURS, THEIRS, Whole(MAIL))).startswith("250")
        assert (server.connections, len(server.mails)) == (2, 2)


async def test_a_new_connection_that_dies_at_mail_is_not_tried_for_ever(bench: Bench) -> None:
    async with bench.against(Script(cut_at="mail")) as (sender, server):
        with pytest.raises(Temporary, match="MAIL"):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert server.connections == 1


async def test_an_idle_connection_says_quit(bench: Bench) -> None:
    brief = QUICK.model_copy(update={"idle_close": timedelta(milliseconds=100)})
    async with bench.against(Script(), brief) as (sender, server):
        await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        await asyncio.sleep(0.3)
        assert server.commands[-1] == "QUIT"
        await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert server.connections == 2


async def test_mails_that_wait_hear_at_once_that_the_operator_is_away(bench: Bench) -> None:
    async with bench.against(Script(hang_at="greeting"), IMPATIENT) as (sender, server):
        async with asyncio.timeout(1.5):
            sent = [sender.send("asso", OURS, THEIRS, Whole(MAIL)) for _ in range(20)]
            outcomes = await asyncio.gather(*sent, return_exceptions=True)
        assert all(isinstance(outcome, Temporary) for outcome in outcomes)
        assert server.connections == 1


async def test_a_cancelled_sending_leaves_no_half_dialogue(bench: Bench) -> None:
    async with bench.against(Script(hang_at="rcpt", only_connection=1)) as (sender, server):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert (server.connections, len(server.mails)) == (2, 1)


async def test_mailboxes_share_a_connection_only_when_line_and_credentials_are_the_same(
    authority: Authority, leaf: Leaf, server_tls: ssl.SSLContext
) -> None:
    async with scripted_smtp(server_tls, Script()) as server:
        routes = {
            "a": route(authority, leaf, server.port, line="operateur"),
            "b": route(authority, leaf, server.port, line="operateur"),
            "c": route(authority, leaf, server.port, line="operateur", sasl="plain", username="c", password="x"),
            "d": route(authority, leaf, server.port),
        }
        async with sending(routes) as sender:
            for mailbox in "abcd":
                await sender.send(mailbox, OURS, THEIRS, Whole(MAIL))
        assert (server.connections, len(server.mails)) == (3, 4)


# --- TLS and credentials ----------------------------------------------------------------------------------------


async def test_an_operator_that_never_answers_is_left_alone_for_a_while(authority: Authority, leaf: Leaf) -> None:
    """Else each mail costs the whole deadline, and a worker's hands are full of them (complaints.md, row 13)."""
    calls = 0

    async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(30)
        writer.close()

    async with await asyncio.start_server(count, "127.0.0.1", 0) as hole:
        port = hole.sockets[0].getsockname()[1]
        timing = Sending(connect_timeout=timedelta(seconds=0.5), command_timeout=timedelta(seconds=0.5))
        async with sending({"asso": route(authority, leaf, port)}, timing) as sender:
            began = time.monotonic()
            for _ in range(20):
                with pytest.raises(Temporary) as raised:
                    await sender.send("asso", OURS, THEIRS, Whole(MAIL))
            assert time.monotonic() - began < 1.5
            assert calls == 1
            assert raised.value.retry_in is not None
            await asyncio.sleep(raised.value.retry_in.total_seconds() + 0.05)
            with pytest.raises(Temporary):
                await sender.send("asso", OURS, THEIRS, Whole(MAIL))
            assert calls == 2


async def test_a_missing_password_stops_its_own_mailbox_until_it_is_there(
    authority: Authority, leaf: Leaf, server_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    def password() -> str:
        if not (tmp_path / "password").exists():
            raise Misconfigured("password:1 - the password file cannot be read")
        return "x"

    async with scripted_smtp(server_tls, Script()) as server:
        routes = {
            "a": route(authority, leaf, server.port, sasl="plain", username="a", make_password=password),
            "b": route(authority, leaf, server.port),
        }
        async with sending(routes) as sender:
            with pytest.raises(Temporary, match="cannot be read"):
                await sender.send("a", OURS, THEIRS, Whole(MAIL))
            await sender.send("b", OURS, THEIRS, Whole(MAIL))
            (tmp_path / "password").touch()
            await _sent_within(sender, "a")
        assert len(server.mails) == 2


async def _sent_within(sender: SmtpSender, mailbox: str, seconds: float = 20) -> None:
    """An operator that proved unreachable is left alone for a multiple of what the attempt took."""
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(Temporary):
            await sender.send(mailbox, OURS, THEIRS, Whole(MAIL))
            return
        assert time.monotonic() < until, "still left alone"
        await asyncio.sleep(0.05)


async def test_without_starttls_nothing_is_said(bench: Bench) -> None:
    async with bench.against(Script(tls="none"), routing={"sasl": "plain", "username": "u", "password": "p"}) as (
        sender,
        server,
    ):
        with pytest.raises(Temporary, match="STARTTLS is not offered") as refused:
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert [command.partition(" ")[0] for command in server.commands] == ["EHLO"]
        assert server.mails == []
    assert "rien n'a été envoyé" in refused.value.public


async def test_what_was_said_in_clear_behind_starttls_is_not_believed(bench: Bench) -> None:
    """RH-03: taken for the answer to the second EHLO, the size that was slipped in would refuse every mail."""
    injected = {"starttls": "220 2.0.0 ready\r\n250-pirate.example\r\n250 SIZE 10"}
    async with bench.against(Script(tls="starttls", replies=injected)) as (sender, server):
        await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert len(server.mails) == 1
        assert server.encrypted[0].startswith("EHLO ")


async def test_all_but_ehlo_and_starttls_is_said_under_tls(bench: Bench) -> None:
    login = {"sasl": "plain", "username": "bal", "password": LOGIN_PASSWORD}
    async with bench.against(Script(tls="starttls"), routing=login) as (sender, server):
        await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert [command.partition(" ")[0] for command in server.commands[:2]] == ["EHLO", "STARTTLS"]
        assert server.commands[2:] == server.encrypted
        assert server.encrypted[1] == "AUTH PLAIN AGJhbABtb3RkZXBhc3NlLWZpY3RpZg=="


async def test_bytes_injected_before_tls_are_not_believed(bench: Bench) -> None:
    injected = "220 2.0.0 ready\r\n250-injecte\r\n250 SIZE 1"
    async with bench.against(Script(tls="starttls", replies={"starttls": injected})) as (sender, server):
        assert (await sender.send("asso", OURS, THEIRS, Whole(MAIL))).startswith("250 2.0.0")
        assert len(server.mails) == 1


async def test_external_says_that_the_certificate_is_the_identity(bench: Bench) -> None:
    async with bench.against(Script(), routing={"sasl": "external", "username": OURS}) as (sender, server):
        await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert server.commands[1] == "AUTH EXTERNAL ="


async def test_login_is_said_in_two_steps(bench: Bench) -> None:
    login = {"sasl": "login", "username": "bal", "password": LOGIN_PASSWORD}
    async with bench.against(
        Script(replies={"auth": "334 UGFzc3dvcmQ6", "bw90zgvwyxnzzs1mawn0awy=": ""}), routing=login
    ) as (
        sender,
        server,
    ):
        with pytest.raises(Temporary):  # the script knows no second step: it answers 250, which is not 235
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        assert server.commands[1:3] == ["AUTH LOGIN YmFs", "bW90ZGVwYXNzZS1maWN0aWY="]


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_nothing_is_said_to_whom_the_vetting_refuses(bench: Bench, tls: Any) -> None:
    async def vet(certificate: bytes) -> None:
        assert certificate
        raise Untrusted("peer-revoked", "revoked", "Le certificat de l'opérateur a été révoqué.")

    async with bench.against(Script(tls=tls)) as (_, server):
        endpoint = Endpoint(host="127.0.0.1", port=server.port, tls=tls)
        find_way = way_to(endpoint, lambda: bench.authority.client_context(bench.leaf), vet)
        async with sending({"asso": Route(find_way=find_way)}) as sender:
            with pytest.raises(Untrusted, match="revoked"):
                await sender.send("asso", OURS, THEIRS, Whole(MAIL))
        said = [command.split(" ")[0] for command in server.commands]
    assert said == ([] if tls == "implicit" else ["EHLO", "STARTTLS"])


async def test_a_certificate_that_cannot_be_loaded_is_temporary(authority: Authority) -> None:
    def broken() -> ssl.SSLContext:
        raise Misconfigured("client.p12:1 - the password is wrong, or this is no PKCS#12 file")

    endpoint = Endpoint(host="127.0.0.1", port=9, tls="implicit")
    async with sending({"asso": Route(find_way=way_to(endpoint, broken))}) as sender:
        with pytest.raises(Temporary, match="password is wrong"):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))


# --- what goes out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "a\r\nRCPT TO:<e@v.example>@hopital.mssante.example",
        "a@hopital.mssante.example>\r\nDATA",
        "a@hopital.mssante.example\n",
        "a@hopital.mssante.example\0",
        '"a b"@hopital.mssante.example',
        '"a" "b"@hopital.mssante.example',
        "Nom <a@hopital.mssante.example>",
        "a@hopital.mssante.example, b@hopital.mssante.example",
        "é@hopital.mssante.example",
        "a@hôpital.mssante.example",
        "ⓐ@hopital.mssante.example",
        "a@[127.0.0.1]",
        "@x.example:a@hopital.mssante.example",
        "a@hopital.mssante.example SIZE=1",
        "a",
        "",
    ],
)
async def test_an_address_that_could_say_more_than_itself_is_permanent(bench: Bench, address: str) -> None:
    async with bench.against(Script()) as (sender, server):
        with pytest.raises(Permanent, match="plain ASCII address"):
            await sender.send("asso", OURS, address, Whole(MAIL))
        if address:  # as a sender, "" is the empty return path
            with pytest.raises(Permanent, match="plain ASCII address"):
                await sender.send("asso", address, THEIRS, Whole(MAIL))
        assert server.connections == 0


@pytest.mark.parametrize("ending", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r"])
async def test_a_bare_line_end_cannot_smuggle_a_second_mail(bench: Bench, ending: bytes) -> None:
    smuggled = MAIL + ending + b"MAIL FROM:<e@v.example>\r\n"
    async with bench.against(Script()) as (sender, server):
        with pytest.raises(Permanent, match="bare CR or LF"):
            await sender.send("asso", OURS, THEIRS, Whole(smuggled))
        with pytest.raises(Permanent, match="bare CR or LF"):  # also when it hides where two pieces meet
            await sender.send("asso", OURS, THEIRS, InTwo(smuggled, len(MAIL) + 1))
        assert server.mails == []
        assert (await sender.send("asso", OURS, THEIRS, Whole(MAIL))).startswith("250")
        assert server.mails == [MAIL]


async def test_the_content_goes_out_byte_for_byte_with_dots_doubled(bench: Bench) -> None:
    raw = b".H: 1\r\n\r\n.\r\n..\r\nMAIL FROM:<x>\r\n.\r\n\xff\x00 sans fin"
    async with bench.against(Script()) as (sender, server):
        await sender.send("asso", "", THEIRS, Whole(raw))
        assert server.mails == [b"..H: 1\r\n\r\n..\r\n...\r\nMAIL FROM:<x>\r\n..\r\n\xff\x00 sans fin\r\n"]
        assert f"MAIL FROM:<> SIZE={len(raw)} BODY=8BITMIME" in server.commands
        assert f"RCPT TO:<{THEIRS}>" in server.commands


async def test_parameters_are_said_only_when_the_server_knows_them(bench: Bench) -> None:
    async with bench.against(Script(extensions=())) as (sender, server):
        await sender.send("asso", OURS, THEIRS, Whole(MAIL + b"\xe9"))
        assert f"MAIL FROM:<{OURS}>" in server.commands


async def test_a_mail_over_the_announced_size_is_permanent_and_stays_here(bench: Bench) -> None:
    async with bench.against(Script(extensions=("SIZE 1000",))) as (sender, server):
        with pytest.raises(Permanent, match="takes 1000") as refused:
            await sender.send("asso", OURS, THEIRS, Whole(MAIL + b"x" * 2000))
        assert [command.partition(" ")[0] for command in server.commands] == ["EHLO"]
    assert "plus grand" in refused.value.public


# --- what the operator is asked to tell (RFC 3461)

ASK = DsnAsked(envelope_id="0a1b.2")
OFFERED = ("SIZE 10000000", "DSN")


async def test_a_notice_is_asked_of_a_server_that_offers_it(bench: Bench) -> None:
    plus = "a+b=c@hopital.mssante.example"
    async with bench.against(Script(extensions=OFFERED)) as (sender, server):
        await sender.send("asso", OURS, plus, Whole(MAIL), ASK)
        assert f"MAIL FROM:<{OURS}> SIZE={len(MAIL)} RET=HDRS ENVID=0a1b.2" in server.commands
        asked = "NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@hopital.mssante.example"
        assert f"RCPT TO:<{plus}> {asked}" in server.commands


@pytest.mark.parametrize(
    ("offered", "routing", "sender_address", "ask"),
    [
        (("SIZE 10000000",), {}, OURS, ASK),  # not offered
        (OFFERED, {"asks_dsn": False}, OURS, ASK),  # switched off for this operator
        (OFFERED, {}, "", ASK),  # a mail that must not come back
        (OFFERED, {}, OURS, None),
    ],
)
async def test_no_notice_is_asked_otherwise(
    bench: Bench, offered: tuple[str, ...], routing: dict[str, Any], sender_address: str, ask: DsnAsked | None
) -> None:
    async with bench.against(Script(extensions=offered), routing=routing) as (sender, server):
        await sender.send("asso", sender_address, THEIRS, Whole(MAIL), ask)
        assert not any(word in command for command in server.commands for word in ("NOTIFY", "ORCPT", "ENVID", "RET="))
        assert len(server.mails) == 1


@pytest.mark.parametrize("refused", ["ENVID", "ORCPT"])
async def test_an_operator_that_refuses_what_it_offers_gets_the_mail_without(bench: Bench, refused: str) -> None:
    async with bench.against(Script(extensions=OFFERED, refuses=refused)) as (sender, server):
        for _ in range(3):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL), ASK)
        assert len(server.mails) == 3
        assert sum(refused in command for command in server.commands) == 1  # not tried again on this connection
        assert server.connections == 1


async def test_a_recipient_refused_with_parameters_and_without_is_refused(bench: Bench) -> None:
    async with bench.against(Script(extensions=OFFERED, replies={"rcpt": "501 5.1.3 no"})) as (sender, server):
        with pytest.raises(Permanent, match=r"501 5\.1\.3"):
            await sender.send("asso", OURS, THEIRS, Whole(MAIL), ASK)
        assert [command.partition(" ")[0] for command in server.commands].count("RCPT") == 2
        assert server.mails == []


async def test_a_real_postfix_tells_what_became_of_each_mail(authority: Authority, leaf: Leaf) -> None:
    """From our parameters to its notices and back to the sending, by the envelope id and by the headers alone."""
    gone = "parti@hopital.mssante.example"
    at = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
    sent_to = tuple(SentTo(recipient=one, rung=Rung.SUBMITTED, at=at) for one in (THEIRS, gone))
    mine = SentMail(
        id="c" * 32, message="m", mailbox="asso", message_id="<1@asso.mssante.example>", composed_at=at,
        sha256="", size=0, kind="crd", sent_to=sent_to,
    )  # fmt: skip
    known = f"virtual_mailbox_maps = inline:{{ {{ {THEIRS} = box/ }}, {{ {OURS} = box/ }} }}"
    more = f"{known}\nsmtpd_reject_unlisted_recipient = no\n"  # `gone` is refused after it was taken
    domains = ("hopital.mssante.example", "asso.mssante.example")
    with running_postfix(authority, domains=domains, more=more) as postfix:
        async with sending({"asso": route(authority, leaf, postfix.implicit_port)}) as sender:
            for recipient in (THEIRS, gone):
                ask = DsnAsked(envelope_id=envelope_id(mine, recipient))
                await sender.send("asso", OURS, recipient, Whole(MAIL), ask)
        mails = await asyncio.to_thread(postfix.mails, 3)
    told = {}
    for raw in mails:
        parsed = parse(raw, Limits(), Codes.from_tables({}))
        if parsed.report is not None:
            by_headers = replace(parsed, report=replace(parsed.report, original_envelope_id=None))
            assert keys_of(parsed)[0].startswith(mine.id)
            for one in (parsed, by_headers):
                (news,) = correlate(one, MessageClass.DSN, [mine]).news
                told[news.recipient] = (news.rung, news.status)
    assert told == {THEIRS: (Rung.DELIVERED, ""), gone: (Rung.FAILED, "5.1.1")}


async def test_what_the_server_says_is_kept_without_addresses_and_numbers(bench: Bench) -> None:
    said = f"550 5.1.1 <{THEIRS}>: 279035121518989@patient.mssante.fr 279035121518989 inconnu"
    async with bench.against(Script(replies={"rcpt": said})) as (sender, _):
        with pytest.raises(Permanent) as refused:
            await sender.send("asso", OURS, THEIRS, Whole(MAIL))
    assert refused.value.private == "RCPT refused: 550 5.1.1 <…>: <…> … inconnu"


async def test_an_unknown_mailbox_has_no_way_out(bench: Bench) -> None:
    async with bench.against(Script()) as (sender, _):
        with pytest.raises(Permanent, match="no way out"):
            await sender.send("inconnue", OURS, THEIRS, Whole(MAIL))


async def test_the_real_sender_and_the_recording_one_are_both_senders(bench: Bench) -> None:
    async with bench.against(Script()) as (real, _):
        fake = RecordingSender()
        doors: list[Sender] = [real, fake]
        for door in doors:
            assert (await door.send("asso", OURS, THEIRS, Whole(MAIL))).startswith("250")
        fake.outcomes.append(Temporary("450"))
        with pytest.raises(Temporary):
            await fake.send("asso", OURS, THEIRS, Whole(MAIL))
        assert len(fake.sent) == 1
