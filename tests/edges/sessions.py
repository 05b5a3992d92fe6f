"""Sessions under test against scripted servers: in clear and selected, or opened over TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from hub import settings
from hub.imap.folder import Folder
from hub.imap.opening import Credentials, open_session
from hub.imap.session import Session
from hub.ports import Way
from tests.edges.scripted_imap import Peer, Scripted, scripted

ADDRESS = "secretariat@asso.mssante.example"
PIECE = 1024**2


@asynccontextmanager
async def in_clear(
    script: Callable[[Peer], Awaitable[None]], deadline: float = 5.0, exists: int = 0
) -> AsyncIterator[tuple[Session, Folder, Scripted]]:
    """A session that is authenticated (PREAUTH) and has selected a folder, for scripts that begin there."""

    async def whole(peer: Peer) -> None:
        peer.say("* PREAUTH ready")
        await peer.capability("IDLE UIDPLUS MOVE")
        await peer.select(exists=exists)
        await script(peer)

    async with scripted(whole) as server:
        session = await Session.connect("127.0.0.1", server.port, deadline)
        try:
            await session.greeting()
            await session.read_capabilities()
            folder = await Folder.select(session, "INBOX")
            session.forget_news()  # of the messages that were there
            yield session, folder, server
        finally:
            session.close()


async def opened(
    port: int,
    context: ssl.SSLContext,
    credentials: Credentials,
    tls: str = "implicit",
    host: str = "localhost",
    patience: float = 5,
) -> Session:
    endpoint = settings.Endpoint.model_validate({"host": host, "port": port, "tls": tls})
    return await open_session(Way(endpoint=endpoint, context=context), credentials, patience, patience)
