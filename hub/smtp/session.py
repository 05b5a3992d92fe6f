"""Opens a connection to a submission server: TCP, TLS, who answers is vetted, log-in; in that order, whatever it says.

Mutual TLS from the first message byte on, implicit or by a mandatory STARTTLS (RH-02): in clear only EHLO and STARTTLS
are said. `opened` gives the connection to the door out; `look` only looks at what is offered, and leaves. Failures:
Temporary (no connection, no TLS, a session that is refused), Untrusted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import aiosmtplib

from hub.errors import Misconfigured, Temporary
from hub.ports import Opening, Reached, Way, nobody_told
from hub.smtp import answers, opening
from hub.smtp.route import Route

BROKEN = (aiosmtplib.SMTPException, OSError, TimeoutError)  # ssl.SSLError is an OSError
QUIT_SECONDS = 3.0


async def opened(
    route: Route, connect_seconds: float, seconds: float, reached: Reached = nobody_told
) -> tuple[aiosmtplib.SMTP, Way]:
    """A connection that is encrypted, verified both ways and allowed to send, and the way that it took. `seconds` bound
    each answer; `reached` is told how far it came. Raises Temporary, Untrusted."""
    try:
        way = await route.find_way()
        password = await asyncio.to_thread(route.make_password or (lambda: route.password))
    except Misconfigured as error:
        raise Temporary(error.private, answers.SESSION_REFUSED) from None
    smtp = aiosmtplib.SMTP(
        hostname=way.server_name,
        use_tls=way.endpoint.tls == "implicit",
        start_tls=False,  # STARTTLS is said below, where its absence has a name of its own
        tls_context=way.context,
        timeout=seconds,
        local_hostname=opening.local_name(),
    )
    try:
        await _greet(smtp, way, connect_seconds, reached)
        await _log_in(smtp, route, password)
        reached(Opening.OPEN, None)
    except aiosmtplib.SMTPResponseException as error:
        abort(smtp)
        raise answers.refusal("session", error.code, error.message, session=True) from None
    except BROKEN as error:
        abort(smtp)
        raise opening.unopened(way.endpoint, error) from None
    except BaseException:
        abort(smtp)
        raise
    return smtp, way


async def look(route: Route, connect_seconds: float, seconds: float, reached: Reached) -> Mapping[str, str]:
    """What the server offers to whoever is logged in (EHLO): names in small letters, with their values. Nothing is
    sent. Raises Temporary, Untrusted."""
    smtp, _ = await opened(route, connect_seconds, seconds, reached)
    offered = dict(smtp.esmtp_extensions)
    with contextlib.suppress(*BROKEN):
        await smtp.execute_command(b"QUIT", timeout=QUIT_SECONDS)
    abort(smtp)
    return offered


def abort(smtp: aiosmtplib.SMTP) -> None:
    if isinstance(smtp.transport, asyncio.WriteTransport):
        smtp.transport.abort()
    smtp.close()


async def _greet(smtp: aiosmtplib.SMTP, way: Way, connect_seconds: float, reached: Reached) -> None:
    async with asyncio.timeout(connect_seconds):
        sock = await opening.connected(way.endpoint)
        reached(Opening.CONNECTED, None)
        await smtp.connect(sock=sock, timeout=connect_seconds)
    if way.endpoint.tls == "starttls":
        await smtp.ehlo()
        if not smtp.supports_extension("starttls"):
            raise Temporary("STARTTLS is not offered: nothing was sent", answers.INSECURE)
        reached(Opening.OFFERED, None)
        await smtp.starttls(timeout=connect_seconds)
    await opening.vetted(way, smtp.transport, lambda handshake: reached(Opening.SECURED, handshake))
    reached(Opening.BELIEVED, None)
    await smtp.ehlo()


async def _log_in(smtp: aiosmtplib.SMTP, route: Route, password: str) -> None:
    if route.sasl == "plain":
        await smtp.auth_plain(route.username, password)
    elif route.sasl == "login":
        await smtp.auth_login(route.username, password)
    elif route.sasl == "external":  # RFC 4422 app. A: an empty identity means the one of the certificate
        reply = await smtp.execute_command(b"AUTH", b"EXTERNAL", b"=")
        if reply.code == 334:
            reply = await smtp.execute_command(b"")
        if reply.code != 235:
            raise aiosmtplib.SMTPAuthenticationError(reply.code, reply.message)
