"""TLS and authentication, on servers that misbehave."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl

import pytest

from hub import settings
from hub.errors import Misconfigured, Permanent, Temporary, Untrusted
from hub.imap.failures import ConnectionLost, PeerRefused
from hub.imap.opening import Credentials, open_session
from hub.ports import Way
from tests.edges.scripted_imap import Peer, scripted, server_context
from tests.edges.sessions import ADDRESS, opened
from tests.pki import Authority
from tests.quiet import password

PASSWORD = password("motdepasse-fictif")


@pytest.mark.parametrize(
    ("greeting", "capabilities", "answer", "code"),
    [
        ("* OK ready", "IDLE", "", "starttls-missing"),
        ("* PREAUTH welcome", "STARTTLS", "", "starttls-preauth"),
        ("* OK ready", "STARTTLS", "NO not now\r\n", "starttls-no"),
        ("* OK ready", "STARTTLS", "BAD what\r\n", "starttls-bad"),
        ("* OK ready", "STARTTLS", "OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "starttls-injection"),
        ("* OK ready", "STARTTLS", "OK go\r\n* half a li", "starttls-injection"),
    ],
)
async def test_without_a_clean_starttls_nothing_is_sent(
    authority: Authority, greeting: str, capabilities: str, answer: str, code: str
) -> None:
    async def script(peer: Peer) -> None:
        peer.say(greeting)
        await peer.capability(capabilities)
        if answer:
            await peer.expect("STARTTLS")
            peer.say(f"{peer.tag} {answer}".encode())
        await peer.silence()

    async with scripted(script) as server:
        with pytest.raises((PeerRefused, ConnectionLost), match=code):
            await opened(
                server.port, authority.client_context(), Credentials("plain", ADDRESS, PASSWORD), "starttls", patience=2
            )
        await asyncio.sleep(0.05)
        assert {line.split(" ")[1] for line in server.heard if line.isascii() and " " in line} <= {
            "CAPABILITY",
            "STARTTLS",
        }


async def test_a_server_of_another_name_or_authority_is_refused(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))
    elsewhere = authority.issue("elsewhere", "ailleurs.example")
    stranger = other.issue("stranger", "localhost")
    for leaf, code in ((elsewhere, "certificate-other-host"), (stranger, "certificate-unknown-authority")):
        async with scripted(Peer.silence, server_context(leaf)) as server:
            with pytest.raises(PeerRefused, match=code):
                await opened(server.port, authority.client_context(), Credentials("none"))


async def test_nothing_is_said_to_whom_the_vetting_refuses(authority: Authority) -> None:
    leaf = authority.issue("vetted", "localhost")
    seen: list[bytes] = []

    async def vet(certificate: bytes) -> None:
        seen.append(certificate)
        raise Untrusted("peer-revoked", "revoked", "Le certificat de l'opérateur a été révoqué.")

    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.silence()

    async with scripted(script, server_context(leaf)) as server:
        endpoint = settings.Endpoint(host="localhost", port=server.port, tls="implicit")
        way = Way(endpoint=endpoint, context=authority.client_context(), vet=vet)
        with pytest.raises(PeerRefused, match="peer-revoked") as raised:
            await open_session(way, Credentials("plain", ADDRESS, PASSWORD), 5, 5)
    assert "révoqué" in raised.value.public
    assert seen == [ssl.PEM_cert_to_DER_cert(leaf.certificate.read_text())]
    assert server.heard == []


async def test_a_context_that_checks_nothing_is_refused(authority: Authority) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    async with scripted(Peer.silence) as server:
        with pytest.raises(PeerRefused, match="checks-nothing"):
            await opened(server.port, context, Credentials("none"))


async def test_the_server_name_may_differ_from_the_host(authority: Authority) -> None:
    leaf = authority.issue("named", "imap.operateur.example")
    async with scripted(Peer.log_in, server_context(leaf)) as server:
        endpoint = settings.Endpoint(
            host="127.0.0.1", port=server.port, tls="implicit", server_name="imap.operateur.example"
        )
        session = await open_session(
            Way(endpoint=endpoint, context=authority.client_context()), Credentials("external"), 5, 5
        )
        assert session.is_authenticated
        session.close()


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ("NO [AUTHENTICATIONFAILED] wrong", Permanent, "authenticate-no-authenticationfailed"),
        ("NO no", Permanent, "authenticate-no"),
        ("BAD unknown mechanism", Permanent, "authenticate-bad"),
        ("NO [UNAVAILABLE] directory is down", Temporary, "authenticate-no-unavailable"),
        ("NO [INUSE] locked", Temporary, "authenticate-no-inuse"),
    ],
)
async def test_a_refused_authentication_says_whether_it_passes(
    authority: Authority, answer: str, kind: type[Exception], code: str
) -> None:
    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("SASL-IR")
        await peer.expect("AUTHENTICATE")
        peer.say(f"{peer.tag} {answer}")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("auth", "localhost"))) as server:
        with pytest.raises(kind) as raised:
            await opened(server.port, authority.client_context(), Credentials("plain", ADDRESS, PASSWORD))
        assert getattr(raised.value, "code", "") == code
        assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    ("credentials", "response"),
    [
        (Credentials("external", ADDRESS), ADDRESS),
        (Credentials("external", ""), ""),
        (Credentials("plain", ADDRESS, "é secret"), f"\0{ADDRESS}\0é secret"),
    ],
)
async def test_the_sasl_response_goes_at_once_or_when_asked(
    authority: Authority, credentials: Credentials, response: str
) -> None:
    encoded = base64.b64encode(response.encode()).decode()

    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("" if peer.number == 1 else "SASL-IR")
        words = await peer.expect("AUTHENTICATE (EXTERNAL|PLAIN)")
        if peer.number == 1:
            peer.say("+ ")
            assert (await peer.reader.readline()).decode() == encoded + "\r\n"
        else:
            assert words.split(" ")[2] == (encoded or "=")
        await peer.ok()
        await peer.capability("")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("sasl", "localhost"))) as server:
        for _ in range(2):
            session = await opened(server.port, authority.client_context(), credentials)
            session.close()


async def test_a_login_is_quoted_and_not_sent_where_it_is_disabled(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("" if peer.number == 1 else "LOGINDISABLED")
        if peer.number == 1:
            assert await peer.expect("LOGIN") == 'LOGIN "bal \\"1\\"" "mot de \\\\passe"'
            await peer.ok()
            await peer.capability("")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("login", "localhost"))) as server:
        context = authority.client_context()
        (await opened(server.port, context, Credentials("login", 'bal "1"', "mot de \\passe"))).close()
        with pytest.raises(PeerRefused, match="login-disabled"):
            await opened(server.port, context, Credentials("login", ADDRESS, "x"))


async def test_a_password_that_login_cannot_carry_is_a_wrong_setting(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("ascii", "localhost"))) as server:
        with pytest.raises(Misconfigured, match="sasl"):
            await opened(server.port, authority.client_context(), Credentials("login", ADDRESS, "é"))


async def test_a_server_that_wants_more_than_the_certificate_is_told_of(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("none", "localhost"))) as server:
        with pytest.raises(PeerRefused, match="authentication-wanted"):
            await opened(server.port, authority.client_context(), Credentials("none"))


async def test_a_greeting_of_bye_and_a_silent_server_are_lost_connections(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            peer.say("* BYE too many connections")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("bye", "localhost"))) as server:
        for code in ("greeting-bye", "timeout"):
            with pytest.raises(ConnectionLost, match=code):
                await opened(server.port, authority.client_context(), Credentials("none"), patience=0.5)


async def test_a_port_that_nobody_serves_is_a_lost_connection(authority: Authority) -> None:
    async with scripted(Peer.silence) as server:
        port = server.port
    with pytest.raises(ConnectionLost, match="connect-econnrefused"):
        await opened(port, authority.client_context(), Credentials("none"), host="127.0.0.1")


async def test_no_secret_and_no_address_is_logged(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(Peer.log_in, server_context(authority.issue("quiet", "localhost"))) as server:
        (await opened(server.port, authority.client_context(), Credentials("plain", ADDRESS, PASSWORD))).close()
    encoded = base64.b64encode(f"\0{ADDRESS}\0{PASSWORD}".encode()).decode()
    for word in (PASSWORD, ADDRESS, encoded):
        assert word not in caplog.text
