"""A small HTTP server on loopback that answers as a test says, also slowly, wrongly or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # with its query
    headers: Mapping[str, str]  # by lower-case name
    body: bytes = b""


@dataclass(frozen=True)
class Page:
    """`cut`: the connection ends after so many bytes of the body. `drip`: seconds between two bytes of it."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    cut: int | None = None
    drip: float = 0.0


Script = Callable[[Request], Page]


class Pages:
    """`asked` is every request so far; `script` may be replaced at any time."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Request] = []
        self.port = 0
        self.scheme = "http"

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            request = await _read(reader)
            self.asked.append(request)
            await _answer(writer, request, self.script(request))
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


async def _answer(writer: asyncio.StreamWriter, request: Request, page: Page) -> None:
    await asyncio.sleep(page.wait)
    headers = {"content-length": str(len(page.body)), "connection": "close", **page.headers}
    head = f"HTTP/1.1 {page.status} Word\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(head.encode("latin-1") + b"\r\n")
    body = b"" if request.method == "HEAD" else page.body[: page.cut]
    if page.drip:
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(page.drip)
    else:
        writer.write(body)
    await writer.drain()


@asynccontextmanager
async def pages(script: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[Pages]:
    """`context`: that of an https server."""
    served = Pages(script)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=context)
    served.port = server.sockets[0].getsockname()[1]
    served.scheme = "https" if context else "http"
    try:
        yield served
    finally:
        server.close()
