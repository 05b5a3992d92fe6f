"""How tests reach their servers: a context made at each connection, and who vets the peer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from hub.ports import FindWay, Way
from hub.settings import Endpoint

Vet = Callable[[bytes], Awaitable[None]]


def way_to(
    endpoint: Endpoint,
    make_context: Callable[[], ssl.SSLContext],
    vet: Vet | None = None,
    lasts: Callable[[], bool] = lambda: True,
) -> FindWay:
    async def find_way() -> Way:
        return Way(endpoint=endpoint, context=await asyncio.to_thread(make_context), vet=vet, lasts=lasts)

    return find_way
