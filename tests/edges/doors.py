"""A submission door on loopback for the tests: real listeners, real spool and users on SQLite (or what a test gives),
two fictional users. Import the fixture `door`; `opened_door` makes one with other limits or engines.

`camille` may send from `secretariat`, `alex` from `secretariat` and `direction`; both passwords are `PASSWORD`.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from hub import journal
from hub.message import Limits as ReadingLimits
from hub.parse.heading import read_heading
from hub.records.users import SqlUsers
from hub.settings import Secret
from hub.smtp.desk import Box, Limits, SubmissionDesk
from hub.smtp.listening import Listener, SubmissionDoor
from hub.spool import SqlSpool
from hub.spool.statements import ENVELOPE_COLUMNS
from hub.trust.tls import server_context
from tests.edges.ports import free_port
from tests.edges.spools import SqlBench
from tests.pki import Authority
from tests.quiet import SECRETS, password

DOMAIN = "mecs.mssante.example"
SECRETARIAT, DIRECTION = f"secretariat@{DOMAIN}", f"direction@{DOMAIN}"
ASE, DOCTOR = "ase@departement.mssante.example", "medecin@hopital.mssante.example"
PASSWORD = password("quatre mots sans rapport")
BOXES = (Box(name="secretariat", address=SECRETARIAT), Box(name="direction", address=DIRECTION, test=True))
LIMITS = Limits(
    message_most=2 * 1024**2,
    header_block=256 * 1024,
    recipients_most=100,
    sessions_most=100,
    sessions_each=100,
    login_within=timedelta(seconds=30),
    silence_most=timedelta(seconds=30),
    piece_within=timedelta(seconds=30),
    message_within=timedelta(seconds=60),
    failures_each=50,
    messages_a_minute=1_000,
    messages_an_hour=10_000,
    bytes_an_hour=1024**3,
)
MEMBERS = ("mecs.mssante.example", "departement.mssante.example", "hopital.mssante.example")


def mail(
    body: str = "Bonjour, voici la fiche.\r\n", author: str = SECRETARIAT, message_id: str | None = "<1@mecs.example>"
) -> bytes:
    """A plain mail (fictional), CRLF."""
    head = f"From: Secretariat <{author}>\r\nTo: <{ASE}>\r\nSubject: [dossier 1234] essai\r\n"
    if message_id is not None:
        head += f"Message-ID: {message_id}\r\n"
    raw = f"{head}\r\n{body}".encode()
    SECRETS.add_mail(raw)
    return raw


@dataclass
class OpenDoor:
    bench: SqlBench
    spool: SqlSpool
    users: SqlUsers
    desk: SubmissionDesk
    served: SubmissionDoor
    authority: Authority
    starttls_port: int
    implicit_port: int
    hints: list[str] = field(default_factory=list)

    def client(self, tls: str = "implicit", login: str | None = "camille", password: str = PASSWORD) -> smtplib.SMTP:
        """Connected, encrypted, logged in (unless `login` is None)."""
        context = self.authority.client_context()
        if tls == "implicit":
            client: smtplib.SMTP = smtplib.SMTP_SSL("localhost", self.implicit_port, timeout=20, context=context)
        else:
            client = smtplib.SMTP("localhost", self.starttls_port, timeout=20)
            client.starttls(context=context)
        if login is not None:
            client.login(login, password)
        return client

    async def messages(self) -> list[Any]:
        """The rows of what was accepted, in order."""
        wanted = select(*ENVELOPE_COLUMNS, text("message_id"), text("state")).order_by(text("accepted_at"), text("id"))
        return await self.bench.database.read(lambda c: list(c.execute(wanted).all()))

    async def raws(self) -> list[bytes]:
        return [await self.spool._blobs.get(row.sha256) for row in await self.messages()]

    async def journal(self, *actions: str) -> list[journal.Entry]:
        entries = await self.bench.database.read(lambda c: journal.entries(c, last=1_000))
        return [entry for entry in entries if not actions or entry.action in actions]


@asynccontextmanager
async def opened_door(
    bench: SqlBench, authority: Authority, change: Callable[[OpenDoor], None] | None = None, **limits: Any
) -> AsyncIterator[OpenDoor]:
    """`limits` replace some of LIMITS; `change` is called before the door listens."""
    spool, users = bench.spool(), SqlUsers(bench.database, bench.clock)
    for login, boxes in (("camille", ("secretariat",)), ("alex", ("secretariat", "direction"))):
        await users.add(login, "secretary", PASSWORD, boxes, by="essai")
    hints: list[str] = []

    async def hint(message_id: str) -> None:
        hints.append(message_id)

    reading = ReadingLimits()
    desk = SubmissionDesk(
        users=users,
        spool=spool,
        boxes=BOXES,
        heading=lambda head: read_heading(head, reading),
        is_member=lambda address: address.rpartition("@")[2] in MEMBERS,
        on_accepted=hint,
        limits=replace(LIMITS, **limits),
        clock=bench.clock,
    )
    leaf = authority.issue("door", "localhost", "127.0.0.1")
    context = server_context(Secret(file=leaf.certificate, key_file=leaf.key))
    starttls, implicit = free_port(), free_port()
    listeners = (Listener("127.0.0.1", starttls, "starttls"), Listener("127.0.0.1", implicit, "implicit"))
    served = SubmissionDoor(desk, listeners, "hub.mecs.mssante.example", context)
    door = OpenDoor(bench, spool, users, desk, served, authority, starttls, implicit, hints)
    if change is not None:
        change(door)
    await served.open()
    try:
        yield door
    finally:
        await served.close(timedelta(0))


@pytest.fixture
async def door(sql_bench: SqlBench, authority: Authority) -> AsyncIterator[OpenDoor]:
    async with opened_door(sql_bench, authority) as opened:
        yield opened


class Raw:
    """A client that says exactly what a test wants, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *lines: str | bytes) -> None:
        for line in lines:
            self.writer.write(line if isinstance(line, bytes) else line.encode("latin-1") + b"\r\n")
        await self.writer.drain()

    async def hear(self) -> str:
        """One whole reply; "" when the door closed."""
        heard = ""
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 20)).decode()
            heard += line
            if not line or line[3:4] != "-":
                return heard

    async def ask(self, line: str | bytes) -> str:
        await self.say(line)
        return await self.hear()

    async def close(self) -> None:
        self.writer.close()


async def raw_client(door: OpenDoor, *, tls: bool = True, user: str | None = "camille") -> Raw:
    """After the greeting; with `user`, after EHLO and AUTH."""
    context: ssl.SSLContext | None = door.authority.client_context() if tls else None
    port = door.implicit_port if tls else door.starttls_port
    client = Raw(*await asyncio.open_connection("localhost", port, ssl=context))
    greeting = await client.hear()
    assert greeting.startswith("220 "), greeting
    if user is not None:
        await client.ask("EHLO essai")
        assert (await client.ask(f"AUTH PLAIN {plain(user)}")).startswith("235 ")
    return client


def plain(login: str, password: str = PASSWORD) -> str:
    from base64 import b64encode

    return b64encode(f"\0{login}\0{password}".encode()).decode()


def small_bench(folder: Path, url: str) -> SqlBench:
    return SqlBench(url, folder)
