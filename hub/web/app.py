"""The application: two pages for machines, one for people. No page of documentation, no CORS, no script, nothing that a
browser could keep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.alerts import Gatherer
from hub.trust.inventory import Inventory
from hub.web.certificates import STYLE, STYLE_PATH, page
from hub.web.metrics import exposition
from hub.web.moments import Moments
from hub.wiring import House, now

_HEADERS = (
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_READS = ["GET", "HEAD"]


def make_app(house: House, ticks: Callable[[], float] = time.monotonic) -> ASGIApp:
    settings = house.settings
    moments = Moments(settings, Gatherer(settings, house.spool, house.records), now, ticks)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    @app.api_route("/health", methods=_READS)
    async def health() -> Response:
        """200 `ok`; 503 and the codes of the urgent alerts, one a line (`hub status` says more)."""
        urgent = (await moments.now()).urgent
        return PlainTextResponse("".join(f"{code}\n" for code in urgent or ("ok",)), 503 if urgent else 200)

    @app.api_route("/metrics", methods=_READS)
    async def metrics() -> Response:
        return Response(exposition(settings, await moments.now()), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    inventory = Inventory(settings)

    @app.api_route("/certificates", methods=_READS)
    async def certificates() -> Response:
        at = now()
        return HTMLResponse(page(await asyncio.to_thread(inventory.items, at), settings, at))

    @app.api_route(STYLE_PATH, methods=_READS)
    async def style() -> Response:
        return Response(STYLE, media_type="text/css")

    return SafeHeaders(app)


class SafeHeaders:
    """Around everything, the answers to errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)
