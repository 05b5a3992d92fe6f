"""Fetches by HTTP what the trust space publishes: lists of revoked certificates, OCSP answers, member domains, the
directory. The only file that knows httpx.

A URL flows in, bytes or a file flow out; `FetchFailed` (Temporary, with a short `code`) whatever goes wrong. Every
exchange has one deadline for all of it, however steadily it drips, and a limit in bytes. No redirect is followed, no
variable of the environment is read: what the hub talks to stands in its settings.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hub.errors import Temporary
from hub.settings import Fetching

if TYPE_CHECKING:
    import httpx

_PIECE = 64 * 1024
AGENT = "hub-mssante"


class FetchFailed(Temporary):
    """`code`: `http-STATUS`, `connect`, `tls`, `timeout`, `too-large`, `broken`, `url`; never a part of the answer.
    `retry_in`: how long it asks us to wait (Retry-After)."""

    def __init__(self, code: str, retry_in: timedelta | None = None) -> None:
        super().__init__(f"fetching failed: {code}", retry_in=retry_in)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by lower-case name; `raw` is empty after `head` and `download`."""

    headers: Mapping[str, str]
    raw: bytes = field(default=b"", repr=False)


class Fetcher:
    """`context`: who is trusted behind an https URL; None refuses https. A connection for each exchange: they are rare,
    and hours lie between two."""

    def __init__(self, settings: Fetching, context: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._context = context

    async def get(self, url: str, *, most: int, headers: Mapping[str, str] | None = None) -> Answer:
        """The whole body, at most `most` bytes. Raises FetchFailed."""
        async with self._answered("GET", url, headers=headers) as answer:
            return Answer(_headers(answer), await _whole(answer, most))

    async def post(
        self, url: str, body: bytes, media_type: str, *, most: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Raises FetchFailed."""
        headers = {**(headers or {}), "content-type": media_type}
        async with self._answered("POST", url, headers=headers, body=body) as answer:
            return Answer(_headers(answer), await _whole(answer, most))

    async def head(self, url: str) -> Answer:
        """Raises FetchFailed."""
        async with self._answered("HEAD", url) as answer:
            return Answer(_headers(answer))

    async def download(self, url: str, path: Path, *, most: int, within: float) -> Answer:
        """The body in a new file at `path`, flushed to disk; no file is left when it fails. `within`: seconds for all
        of it. Raises FetchFailed, OSError (the disk)."""
        try:
            async with self._answered("GET", url, within=within) as answer:
                with path.open("xb") as file:
                    size = 0
                    async for piece in answer.aiter_bytes(_PIECE):
                        size += len(piece)
                        if size > most:
                            raise FetchFailed("too-large")
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                return Answer(_headers(answer))
        except BaseException:
            path.unlink(missing_ok=True)  # noqa: ASYNC240  (one name of a local disk)
            raise

    @asynccontextmanager
    async def _answered(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        within: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        import httpx  # 0.1 s: for processes that fetch

        settings = self._settings
        if not url.startswith("http://") and (self._context is None or not url.startswith("https://")):
            raise FetchFailed("url")
        try:
            async with (
                asyncio.timeout(settings.answer_within.total_seconds() if within is None else within),
                httpx.AsyncClient(
                    verify=self._context if self._context is not None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                    proxy=settings.proxy,
                    trust_env=False,
                    follow_redirects=False,
                    timeout=httpx.Timeout(None, connect=settings.connect_timeout.total_seconds()),
                    headers={"user-agent": AGENT},
                ) as client,
                client.stream(method, url, headers=dict(headers or {}), content=body) as answer,
            ):
                if answer.status_code != 200:
                    raise FetchFailed(f"http-{answer.status_code}", _retry_in(answer.headers.get("retry-after", "")))
                yield answer
        except (TimeoutError, httpx.TimeoutException):
            raise FetchFailed("timeout") from None
        except httpx.ConnectError as error:
            raise FetchFailed("tls" if _is_tls(error) else "connect") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise FetchFailed("url") from None
        except (httpx.HTTPError, httpx.StreamError):
            raise FetchFailed("broken") from None


def publisher_context(anchors: Iterable[bytes]) -> ssl.SSLContext:
    """For https: TLS >= 1.2, and a server for which one of `anchors` (DER) vouches, an intermediate too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for anchor in anchors:
        context.load_verify_locations(cadata=anchor)
    return context


def _retry_in(text: str) -> timedelta | None:
    """Seconds (RFC 9110 §10.2.3); a date, which needs two clocks that agree, is left to the back-off."""
    return timedelta(seconds=min(int(text), 86_400)) if text.isdecimal() and len(text) < 9 else None


def _headers(answer: httpx.Response) -> Mapping[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


async def _whole(answer: httpx.Response, most: int) -> bytes:
    pieces, size = [], 0
    async for piece in answer.aiter_bytes(_PIECE):
        size += len(piece)
        if size > most:
            raise FetchFailed("too-large")
        pieces.append(piece)
    return b"".join(pieces)


def _is_tls(error: BaseException) -> bool:
    """httpx keeps what happened below as the cause or the context of its own error."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, ssl.SSLError):
            return True
        below = below.__cause__ or below.__context__
    return False
