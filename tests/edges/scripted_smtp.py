"""An SMTP server that misbehaves on command: cuts, hangs or answers what a test wants, at the stage that it wants.

    async with scripted_smtp(context, Script(cut_at="dot")) as server:
        server.port, server.connections, server.commands, server.mails

Stages, in the order of a dialogue: `greeting`, `ehlo`, `starttls`, `auth`, `mail`, `rcpt`, `data`, `body` (in the
middle of the content), `dot` (the whole mail was read), `rset`, `quit`. `cut_at` resets the connection instead of
answering, `hang_at` never answers, `replies` answers something else, `when_at` is called before the answer.
`only_connection` limits the mischief to the connection of that number (from 1).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Script:
    tls: str = "implicit"  # or "starttls", or "none" (never offered)
    cut_at: str = ""
    hang_at: str = ""
    replies: Mapping[str, str] = field(default_factory=dict)
    when_at: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    refuses: str = ""  # a command that holds this is answered 555, as by a server that does not know its own extension
    only_connection: int = 0  # 0: every connection
    extensions: tuple[str, ...] = ("8BITMIME", "SIZE 10000000")
    body_bytes: int = 1  # how much of the content is read before `body`
    close_after_mail: bool = False  # close the connection after each accepted mail, as servers do with idle clients


class ScriptedServer:
    """What a running server saw. `mails` are contents as received, dots still doubled, without the final dot;
    `recipients` those of each of them."""

    def __init__(self, script: Script, context: ssl.SSLContext | None) -> None:
        self.script = script
        self.port = 0
        self.connections = 0
        self.commands: list[str] = []
        self.encrypted: list[str] = []  # the commands said under TLS
        self.mails: list[bytes] = []
        self.recipients: list[tuple[str, ...]] = []
        self._context = context
        self._talks: dict[asyncio.Task[None], _Talk] = {}

    def turn_bad(self, script: Script) -> None:
        """The connections that are open now follow another script from here on."""
        for talk in self._talks.values():
            talk.script = script

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        talk = self._talks[task] = _Talk(self, self.connections, reader, writer)
        try:
            await talk.run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, _Cut, asyncio.CancelledError):
            pass  # also when stopped: Python 3.11 complains of a cancelled callback of start_server
        finally:
            self._talks.pop(task, None)
            writer.transport.abort()

    async def stop(self) -> None:
        for task in tuple(self._talks):
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)


class _Cut(Exception):
    pass


class _Talk:
    def __init__(
        self, server: ScriptedServer, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        script = server.script
        self.script = script if script.only_connection in (0, number) else Script(tls=script.tls)
        self.encrypted = script.tls == "implicit"
        self.recipients: tuple[str, ...] = ()

    async def run(self) -> None:
        await self.answer("greeting", "220 operateur.mssante.example ESMTP")
        while line := await self.reader.readline():
            command = line.decode("ascii").rstrip("\r\n")
            self.server.commands.append(command)
            if self.encrypted:
                self.server.encrypted.append(command)
            stage = command.partition(" ")[0].lower()
            self.note_envelope(stage, command)
            if stage == "data":
                await self.answer("data", "354 go on")
                await self.content()
            elif stage == "starttls":
                await self.answer("starttls", "220 2.0.0 ready")
                assert self.server._context is not None
                await self.writer.start_tls(self.server._context)
                self.encrypted = True
            elif stage == "ehlo":
                await self.answer("ehlo", self.greeting_lines())
            elif stage == "auth":
                await self.answer("auth", "235 2.7.0 welcome")
            elif stage == "quit":
                await self.answer("quit", "221 2.0.0 bye")
                return
            elif self.script.refuses and self.script.refuses in command:
                await self.answer("refused", "555 5.5.4 parameter not recognized")
            else:
                await self.answer(stage, "250 2.1.0 Ok")

    def note_envelope(self, stage: str, command: str) -> None:
        if stage == "mail":
            self.recipients = ()
        elif stage == "rcpt":
            self.recipients += (command.partition("<")[2].partition(">")[0],)

    def greeting_lines(self) -> str:
        extensions = list(self.script.extensions)
        if self.script.tls == "starttls" and not self.encrypted:
            extensions.append("STARTTLS")
        lines = ["operateur.mssante.example", *extensions]
        return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])

    async def answer(self, stage: str, usual: str) -> None:
        if stage in self.script.when_at:
            self.script.when_at[stage]()
        if stage == self.script.cut_at:
            raise _Cut
        if stage == self.script.hang_at:
            await asyncio.sleep(3600)
        self.writer.write(self.script.replies.get(stage, usual).encode() + b"\r\n")
        await self.writer.drain()

    async def content(self) -> None:
        if not self.script.replies.get("data", "354").startswith("354"):
            return
        if "body" in (self.script.cut_at, self.script.hang_at, *self.script.when_at):
            await self.reader.readexactly(self.script.body_bytes)
            await self.answer("body", "")
        lines: list[bytes] = []
        while (line := await self.reader.readline()) != b".\r\n":
            if not line:
                raise _Cut
            lines.append(line)
        self.server.mails.append(b"".join(lines))
        self.server.recipients.append(self.recipients)
        await self.answer("dot", f"250 2.0.0 Ok: queued as {len(self.server.mails):05d}")
        if self.script.close_after_mail:
            raise _Cut


@asynccontextmanager
async def scripted_smtp(context: ssl.SSLContext | None, script: Script) -> AsyncIterator[ScriptedServer]:
    """A server on a free loopback port for the time of the block. `context` is its TLS (server side)."""
    scripted = ScriptedServer(script, context)
    implicit = context if script.tls == "implicit" else None
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)  # so that a silent server blocks a large mail
    sock.bind(("127.0.0.1", 0))
    listener = await asyncio.start_server(scripted.talk, sock=sock, ssl=implicit)
    scripted.port = listener.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        listener.close()
        await scripted.stop()
        await listener.wait_closed()
