"""`python -m bench.submitter PORT TLS LOGIN PASSWORD FROM TO SESSIONS MESSAGES SIZE`: mails over TLS after AUTH PLAIN.

What `smtp-source` cannot do. Each session logs in once and sends one mail after the other, commands pipelined; prints
the seconds from the first connection to the last 250. TLS is implicit or starttls.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import ssl
import sys
import time
from collections.abc import Iterator


class _Session:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def heard(self, code: bytes) -> None:
        while True:
            line = await self._reader.readline()
            if not line.startswith(code):
                raise RuntimeError(f"{code!r} expected: {line!r}")
            if line[3:4] != b"-":
                return

    async def ask(self, said: bytes, *codes: bytes) -> None:
        self._writer.write(said)
        for code in codes:
            await self.heard(code)

    async def upgrade(self, context: ssl.SSLContext) -> None:
        await self._writer.start_tls(context)

    def close(self) -> None:
        self._writer.close()


async def _session(words: list[str], numbers: Iterator[int], padding: bytes) -> None:
    port, tls, login, password, sender, recipient = words[:6]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opened = await asyncio.open_connection("127.0.0.1", int(port), ssl=context if tls == "implicit" else None)
    session = _Session(*opened)
    await session.heard(b"220")
    if tls == "starttls":
        await session.ask(b"EHLO banc.example\r\n", b"250")
        await session.ask(b"STARTTLS\r\n", b"220")
        await session.upgrade(context)
    await session.ask(b"EHLO banc.example\r\n", b"250")
    said = base64.b64encode(f"\0{login}\0{password}".encode())
    await session.ask(b"AUTH PLAIN " + said + b"\r\n", b"235")
    for number in numbers:
        head = f"From: <{sender}>\r\nTo: <{recipient}>\r\nMessage-ID: <{number}.{time.time_ns()}@banc.example>\r\n"
        envelope = f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n"
        await session.ask(envelope.encode(), b"250", b"250", b"354")
        await session.ask(head.encode() + b"Subject: banc\r\n\r\n" + padding + b".\r\n", b"250")
    session.close()


async def _run(words: list[str]) -> float:
    sessions, messages, size = map(int, words[6:])
    padding = (b"x" * 76 + b"\r\n") * (size // 78)
    numbers = iter(itertools.islice(itertools.count(), messages))
    began = time.perf_counter()
    await asyncio.gather(*(_session(words, numbers, padding) for _ in range(sessions)))
    return time.perf_counter() - began


if __name__ == "__main__":
    print(asyncio.run(_run(sys.argv[1:])))
