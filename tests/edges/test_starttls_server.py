"""STARTTLS seen from our submission door: what whoever is on the line may try, and what it gains: nothing.

Each table is a rule of RFC 3207 §4 and of the injection attacks (RH-02, RH-03; CVE-2011-0411, CVE-2021-38371). In clear
the door knows EHLO, NOOP, QUIT and STARTTLS; RSET and HELO are refused with the others, as the RFC wants ("every
command other than NOOP, EHLO, STARTTLS, or QUIT"). After each try nothing is in the spool.
"""

from __future__ import annotations

import asyncio
import shutil
import smtplib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hub.smtp.server import Conversation
from tests.edges.doors import ASE, SECRETARIAT, OpenDoor, Raw, door, mail, plain, raw_client
from tests.edges.engines import sqlite_template
from tests.edges.meddler import Meddling, meddling
from tests.edges.spools import SqlBench

__all__ = ["door", "sqlite_template"]

MAIL, RCPT = f"MAIL FROM:<{SECRETARIAT}>", f"RCPT TO:<{ASE}>"
LOGIN = plain("camille")


@pytest.fixture
def sql_bench(sqlite_template: Path, tmp_path: Path) -> Iterator[SqlBench]:
    """The door's store; which engine it is changes nothing here."""
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    made = SqlBench(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    yield made
    made.close()


@pytest.fixture(autouse=True)
async def nothing_came(door: OpenDoor) -> AsyncIterator[None]:
    """Whatever was tried, no mail was accepted."""
    yield
    assert await door.messages() == []
    assert await door.journal("submit") == []


async def in_clear(door: OpenDoor, *, ehlo: bool = True) -> Raw:
    """On the STARTTLS port, after the greeting and EHLO."""
    client = await raw_client(door, tls=False, user=None)
    if ehlo:
        assert (await client.ask("EHLO essai")).startswith("250")
    return client


async def sealed(client: Raw, door: OpenDoor) -> None:
    """STARTTLS, then TLS on the same connection."""
    assert (await client.ask("STARTTLS")).startswith("220 ")
    await client.writer.start_tls(door.authority.client_context(), server_hostname="localhost")


# --- before TLS


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("EHLO essai", "250"),
        ("NOOP", "250"),
        ("QUIT", "221"),
        ("HELO essai", "530 5.7.0"),
        ("RSET", "530 5.7.0"),
        (MAIL, "530 5.7.0"),
        (f"mail from:<{SECRETARIAT}>", "530 5.7.0"),
        (f"MAIL FROM:<{SECRETARIAT}> AUTH=<>", "530 5.7.0"),
        (RCPT, "530 5.7.0"),
        ("DATA", "530 5.7.0"),
        ("VRFY camille", "530 5.7.0"),
        ("HELP", "530 5.7.0"),
        (f"AUTH PLAIN {LOGIN}", "538 5.7.11"),
        ("AUTH PLAIN", "538 5.7.11"),  # the password is not even asked for
        ("AUTH LOGIN", "538 5.7.11"),
        (f"auth plain {LOGIN}", "538 5.7.11"),
        ("AUTH EXTERNAL =", "538 5.7.11"),
        ("AUTH", "538 5.7.11"),
        ("BDAT 10 LAST", "502"),
        ("EXPN tous", "502"),
        ("XCLIENT NAME=localhost", "502"),
        (LOGIN, "502"),  # the second step of a login that was not begun
        ("STARTTLS now", "501"),
        ("STARTTLS\tnow", "502"),
    ],
)
async def test_in_clear_only_four_commands_are_known(door: OpenDoor, command: str, code: str) -> None:
    client = await in_clear(door)
    assert (await client.ask(command)).startswith(code)


async def test_in_clear_no_login_is_offered(door: OpenDoor) -> None:
    client = await in_clear(door, ehlo=False)
    offers = [line[4:].split(" ")[0] for line in (await client.ask("EHLO essai")).splitlines()]
    assert "STARTTLS" in offers
    assert "AUTH" not in offers


# --- more in the segment of STARTTLS: RFC 3207 §4.2, CVE-2011-0411


@pytest.mark.parametrize(
    "behind",
    [
        "NOOP\r\n",
        "RSET\r\nMAIL FROM:<x@y.example>\r\n",
        "EHLO pirate\r\n",
        f"EHLO pirate\r\nAUTH PLAIN {LOGIN}\r\n{MAIL}\r\n{RCPT}\r\nDATA\r\n",
        "QUIT\r\n",
        "half a li",
        "\r\n",
        "\n",
        "\x16\x03\x01\x02\x00",  # a handshake that does not wait for the yes
    ],
)
async def test_what_comes_with_starttls_ends_the_connection(door: OpenDoor, behind: str) -> None:
    client = await in_clear(door)
    await client.say(f"STARTTLS\r\n{behind}".encode("latin-1"))
    assert (await client.hear()).startswith("421 5.5.1")
    assert await client.hear() == ""  # no second answer: none of it was obeyed


async def test_what_comes_before_starttls_in_its_segment_is_answered(door: OpenDoor) -> None:
    """Pipelining up to STARTTLS, which must be the last (RFC 2920 §3.1)."""
    client = await in_clear(door)
    await client.say("NOOP\r\nSTARTTLS")
    assert (await client.hear()).startswith("250 ")
    assert (await client.hear()).startswith("220 ")


@pytest.mark.parametrize(
    "said", ["NOOP\r\n", f"EHLO pirate\r\nAUTH PLAIN {LOGIN}\r\n", "XXXX", f"{MAIL}\r\n{RCPT}\r\n"]
)
async def test_what_comes_in_clear_while_the_yes_leaves_is_thrown_away(
    door: OpenDoor, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """The answer waits for a client that does not read; meanwhile a man in the middle may still speak in clear."""
    push, hear, came = Conversation.push, Conversation.data_received, asyncio.Event()

    async def slow(talk: Conversation, answer: str | bytes, *, at_once: bool = False) -> None:
        await push(talk, answer, at_once=at_once)
        if answer == "220 Ready to start TLS":
            came.clear()
            await came.wait()

    def heard(talk: Conversation, received: bytes) -> None:
        hear(talk, received)
        came.set()

    monkeypatch.setattr(Conversation, "push", slow)
    monkeypatch.setattr(Conversation, "data_received", heard)
    client = await in_clear(door)
    assert (await client.ask("STARTTLS")).startswith("220 ")
    await client.say(said.encode())
    await asyncio.wait_for(came.wait(), 10)
    await client.writer.start_tls(door.authority.client_context(), server_hostname="localhost")
    assert (await client.ask("EHLO essai")).startswith("250-hub.")  # and not what the injected one is answered
    assert (await client.ask(MAIL)).startswith("530 5.7.0")  # nobody logged in
    await client.close()


# --- after TLS: nothing is left of what was before


@pytest.mark.parametrize(
    ("before", "command", "code"),
    [
        ("EHLO essai", f"AUTH PLAIN {LOGIN}", "503"),  # EHLO is to be said again
        ("EHLO essai", MAIL, "530 5.7.0"),
        (f"AUTH PLAIN {LOGIN}", MAIL, "530 5.7.0"),
        (MAIL, RCPT, "530 5.7.0"),
        ("NOOP", "DATA", "530 5.7.0"),
        ("NOOP", "STARTTLS", "503"),
        ("NOOP", "STARTTLS again", "501"),
    ],
)
async def test_nothing_said_in_clear_is_remembered(door: OpenDoor, before: str, command: str, code: str) -> None:
    client = await in_clear(door)
    await client.ask(before)
    await sealed(client, door)
    assert (await client.ask(command)).startswith(code)
    await client.close()


async def test_under_tls_the_login_is_offered_and_starttls_is_not(door: OpenDoor) -> None:
    client = await in_clear(door)
    await sealed(client, door)
    offers = await client.ask("EHLO essai")
    assert "AUTH PLAIN LOGIN" in offers
    assert "STARTTLS" not in offers
    assert (await client.ask(f"AUTH PLAIN {LOGIN}")).startswith("235 ")
    assert (await client.ask("STARTTLS")).startswith("503")  # and once more when somebody is logged in
    assert (await client.ask(MAIL)).startswith("250 ")
    assert (await client.ask("STARTTLS")).startswith("503")  # and in the middle of a mail
    await client.close()


# --- no TLS after the yes


@pytest.mark.parametrize(
    "said", [f"EHLO essai\r\n{MAIL}\r\n{RCPT}\r\n".encode(), b"\x80" * 600, b"\x16\x03\x01\xff\xff" + b"\0" * 600, b""]
)
async def test_no_handshake_no_conversation(door: OpenDoor, said: bytes) -> None:
    client = await in_clear(door)
    assert (await client.ask("STARTTLS")).startswith("220 ")
    await client.say(said)
    client.writer.write_eof()
    told = b""
    with suppress(ConnectionError):
        told = await asyncio.wait_for(client.reader.read(), 10)
    assert told == b"" or told.startswith(b"\x15\x03")  # a TLS alert, and no word of SMTP
    assert await has_nobody(door)


async def test_a_client_that_vanishes_in_the_handshake_leaves_its_place(door: OpenDoor) -> None:
    client = await in_clear(door)
    assert (await client.ask("STARTTLS")).startswith("220 ")
    client.writer.transport.abort()
    assert await has_nobody(door)
    assert not any(door.desk.sessions.values())


async def has_nobody(door: OpenDoor) -> bool:
    for _ in range(100):
        if not door.desk.talks:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_goodbye_right_after_the_handshake_ends_the_conversation(door: OpenDoor) -> None:
    client = await in_clear(door)
    await sealed(client, door)
    client.writer.close()  # close_notify
    assert await has_nobody(door)


# --- the port of implicit TLS


@pytest.mark.parametrize("said", [b"", b"EHLO essai\r\n", b"STARTTLS\r\n", f"AUTH PLAIN {LOGIN}\r\n".encode()])
async def test_the_port_of_implicit_tls_speaks_no_clear_text(door: OpenDoor, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("localhost", door.implicit_port)
    if not said:  # whoever waits for a greeting gets none
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.5)
    writer.write(said)
    with suppress(OSError):
        writer.write_eof()
    told = b""
    with suppress(ConnectionError):
        told = await asyncio.wait_for(reader.read(), 10)
    assert told == b"" or told.startswith(b"\x15\x03")
    writer.close()


async def test_on_the_port_of_implicit_tls_starttls_is_neither_offered_nor_done(door: OpenDoor) -> None:
    client = await raw_client(door, user=None)
    assert "STARTTLS" not in await client.ask("EHLO essai")
    assert (await client.ask("STARTTLS")).startswith("503")
    assert (await client.ask("STARTTLS now")).startswith("501")
    await client.close()


# --- a man in the middle of a mail program that does all right


@pytest.mark.parametrize(
    "instead",
    [b"STARTTLS\r\nEHLO pirate\r\n", f"STARTTLS\r\n{MAIL}\r\n".encode(), b"NOOP\r\n", b"STARTTLS now\r\n"],
)
async def test_a_mail_program_behind_him_sends_nothing(door: OpenDoor, instead: bytes) -> None:
    how = Meddling(up=lambda said: said.replace(b"STARTTLS\r\n", instead))
    async with meddling(door.starttls_port, how) as man:
        with pytest.raises(smtplib.SMTPException):
            await asyncio.to_thread(_send, man.port, door.authority.client_context())
        assert set(man.commands) <= {"ehlo", "STARTTLS", "QUIT"}


def _send(port: int, context: ssl.SSLContext) -> None:
    with smtplib.SMTP("localhost", port, timeout=10) as client:
        client.starttls(context=context)
        client.ehlo()
        client.docmd(f"AUTH PLAIN {LOGIN}")
        client.sendmail(SECRETARIAT, [ASE], mail())


async def test_without_him_the_same_program_is_served(door: OpenDoor) -> None:
    """So the tests before this one fail for him and for nothing else: it gets as far as its sender, who is refused."""
    async with meddling(door.starttls_port, Meddling()) as man:
        with pytest.raises(smtplib.SMTPSenderRefused):
            await asyncio.to_thread(_logged_in, man.port, door.authority.client_context())
        assert man.has_tls


def _logged_in(port: int, context: ssl.SSLContext) -> None:
    with smtplib.SMTP("localhost", port, timeout=10) as client:
        client.starttls(context=context)
        client.ehlo()
        assert client.docmd(f"AUTH PLAIN {LOGIN}")[0] == 235
        client.sendmail("ailleurs@mecs.mssante.example", [ASE], mail())
