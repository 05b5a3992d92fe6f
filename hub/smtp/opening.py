"""The socket below a connection, and why none came to be. No SMTP here."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable

from hub.errors import Temporary
from hub.ports import Handshake, Way
from hub.settings import Endpoint
from hub.smtp import answers


async def connected(endpoint: Endpoint) -> socket.socket:
    """A connected socket to the first address that answers; TCP_NODELAY, or TLS mails go five times slower."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("no address")
    for family, kind, proto, _, address in await loop.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise failure


async def vetted(
    way: Way, transport: asyncio.BaseTransport | None, shaken: Callable[[Handshake], None] = lambda _: None
) -> None:
    """Nothing more is said to whoever is not believed; `shaken` is told before what TLS was agreed. Raises Untrusted;
    Temporary when there is no TLS."""
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    leaf = tls.getpeercert(binary_form=True) if tls is not None else None
    if tls is None or not leaf:
        raise Temporary(f"{way.endpoint.host}:{way.endpoint.port}: no TLS", answers.INSECURE)
    shaken(Handshake(tls.version() or "", (tls.cipher() or ("",))[0], leaf))
    if way.vet is not None:
        await way.vet(leaf)


def unopened(endpoint: Endpoint, error: BaseException) -> Temporary:
    """Why no connection came to be, in one line; a certificate's fault is named (RH-09)."""
    causes = [error]
    while len(causes) < 5 and (cause := causes[-1].__cause__ or causes[-1].__context__):
        causes.append(cause)
    where = f"{endpoint.host}:{endpoint.port}"
    for one in causes:
        if isinstance(one, ssl.SSLCertVerificationError):
            return Temporary(f"{where}: server certificate: {one.verify_message}", answers.INSECURE)
        if isinstance(one, ssl.SSLError):
            return Temporary(f"{where}: TLS: {one.reason or type(one).__name__}", answers.INSECURE)
    if any(isinstance(one, TimeoutError) for one in causes):
        return Temporary(f"{where}: no connection: timed out", answers.UNREACHABLE)
    reason = next((one.strerror for one in causes if isinstance(one, OSError) and one.strerror), type(error).__name__)
    return Temporary(f"{where}: no connection: {reason}", answers.UNREACHABLE)


def local_name() -> str:
    """What EHLO says: the machine's name, never looked up (a slow resolver would hold the connection)."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9.-]{1,255}", name) else "localhost"
