"""Opens a session: TCP, TLS, authentication; in that order, whatever the server says.

Implicit TLS, or STARTTLS that is mandatory: in clear only the greeting is read, and CAPABILITY and STARTTLS are sent
(RH-02). Then SASL EXTERNAL, PLAIN, LOGIN, or none (the server must greet with PREAUTH, RH-11). Failures: PeerRefused
when a human is needed (no STARTTLS, untrusted certificate, refused authentication), ConnectionLost otherwise.

A refused authentication is PeerRefused unless the server says by a response code of RFC 5530 that it will pass
(UNAVAILABLE, INUSE, LIMIT, THROTTLED, SERVERBUG): repeating wrong credentials often would lock the mailbox.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Literal

from hub import settings
from hub.errors import Misconfigured
from hub.imap.failures import PASSING, CommandRefused, ConnectionLost, PeerRefused
from hub.imap.grammar import quoted
from hub.imap.session import Session
from hub.ports import Opening, Reached, Way, nobody_told

_PASSING = (*PASSING, "serverbug")


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a mailbox authenticates. For `external`, `username` is the authzid, possibly empty (RFC 4422 A)."""

    sasl: Literal["external", "plain", "login", "none"]
    username: str = ""
    password: str = field(default="", repr=False)


def credentials_of(mailbox: settings.Mailbox, operator: settings.Operator) -> Credentials:
    """Read at each connection, so that a changed password file is used. Raises Misconfigured."""
    sasl = mailbox.sasl or operator.opens_by
    username = mailbox.address if mailbox.username is None else mailbox.username
    if sasl not in ("plain", "login"):
        return Credentials(sasl, username)
    if mailbox.password_file is None:
        raise Misconfigured(f"mailbox {mailbox.name}: sasl {sasl} needs password_file")
    try:
        password = mailbox.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"mailbox {mailbox.name}: password_file: {type(error).__name__}") from None
    return Credentials(sasl, username, password)


async def open_session(
    way: Way,
    credentials: Credentials,
    connect_timeout: float,
    command_timeout: float,
    reached: Reached = nobody_told,
) -> Session:
    """An authenticated session, its capabilities known; `connect_timeout` (seconds) bounds each step of opening it,
    `reached` is told how far it came.

    Raises ConnectionLost, PeerRefused, Misconfigured (credentials that the mechanism cannot carry)."""
    session = await Session.connect(way.endpoint.host, way.endpoint.port, connect_timeout)
    try:
        reached(Opening.CONNECTED, None)
        if way.endpoint.tls == "implicit":
            await session.secure(way, reached)
            await session.greeting()
        else:
            await session.greeting()
            await _start_tls(session, way, reached)
        session.set_deadline(command_timeout)
        await session.read_capabilities()
        if not session.is_authenticated:
            await _authenticate(session, credentials)
            await session.read_capabilities()
        reached(Opening.OPEN, None)
        return session
    except BaseException:
        session.close()
        raise


async def _start_tls(session: Session, way: Way, reached: Reached) -> None:
    if session.is_authenticated:  # PREAUTH in clear would skip STARTTLS (CVE-2020-12398)
        raise PeerRefused("starttls-preauth")
    if "STARTTLS" not in await session.read_capabilities():
        raise PeerRefused("starttls-missing")
    reached(Opening.OFFERED, None)
    try:
        await session.command("STARTTLS")
    except CommandRefused as error:
        raise PeerRefused(error.code) from None
    await session.secure(way, reached)


async def _authenticate(session: Session, credentials: Credentials) -> None:
    try:
        match credentials.sasl:
            case "external":
                await _sasl(session, "EXTERNAL", credentials.username)
            case "plain":
                await _sasl(session, "PLAIN", f"\0{credentials.username}\0{credentials.password}")
            case "login":
                await _login(session, credentials)
            case "none":
                raise PeerRefused("authentication-wanted")
    except CommandRefused as error:
        if error.code.rpartition("-")[2] in _PASSING:
            raise ConnectionLost(error.code) from None
        raise PeerRefused(error.code) from None


async def _sasl(session: Session, mechanism: str, response: str) -> None:
    """One message from us, at once when the server takes an initial response (SASL-IR, RFC 4959)."""
    encoded = b64encode(response.encode()).decode()
    if "SASL-IR" in session.capabilities:
        await session.command("AUTHENTICATE", mechanism, encoded or "=")
    else:
        await session.command("AUTHENTICATE", mechanism, replies=(encoded.encode() + b"\r\n",))


async def _login(session: Session, credentials: Credentials) -> None:
    if "LOGINDISABLED" in session.capabilities:
        raise PeerRefused("login-disabled")
    try:
        arguments = quoted(credentials.username), quoted(credentials.password)
    except ValueError:
        raise Misconfigured("LOGIN carries ASCII only: set sasl to plain for this password") from None
    await session.command("LOGIN", *arguments)
