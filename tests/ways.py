"""How tests reach their servers: a context made at each connection, and who vets the peer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from hub.ports import FindWay, Way
from hub.settings import Endpoint, Operator

Vet = Callable[[bytes], Awaitable[None]]


def imap_of(operator: Operator) -> Endpoint:
    assert operator.imap is not None
    return operator.imap


def way_to(
    endpoint: Endpoint | None,
    make_context: Callable[[], ssl.SSLContext],
    vet: Vet | None = None,
    lasts: Callable[[], bool] = lambda: True,
) -> FindWay:
    assert endpoint is not None

    async def find_way() -> Way:
        return Way(endpoint=endpoint, context=await asyncio.to_thread(make_context), vet=vet, lasts=lasts)

    return find_way
