"""The submission door with real clients and raw ones: what it takes, what it refuses, and what it keeps."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from tests.edges.doors import ASE, DIRECTION, DOCTOR, PASSWORD, SECRETARIAT, OpenDoor, door, mail, plain, raw_client
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import sql_bench

__all__ = ["door", "postgres_template", "sql_bench", "sqlite_template"]


async def run(work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(work, *arguments)


def send(door: OpenDoor, raw: bytes, *recipients: str, tls: str = "implicit", login: str = "camille") -> Any:
    """What smtplib says of it: refused recipients, or the exception."""
    with door.client(tls, login) as client:
        return client.sendmail(SECRETARIAT, list(recipients or (ASE,)), raw)


# --- accepted -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_a_mail_is_in_the_spool_before_its_250(door: OpenDoor, tls: str) -> None:
    assert await run(lambda: send(door, mail(), ASE, DOCTOR, tls=tls)) == {}
    (row,) = await door.messages()
    assert (row.door, row.mailbox, row.sender, row.state) == ("smtp", "secretariat", SECRETARIAT, "ACCEPTED")
    assert (row.recipients.split("\n"), row.submitted_by) == ([ASE, DOCTOR], "camille")
    assert (row.message_id, row.peer, row.size) == ("<1@mecs.example>", "127.0.0.1", len(mail()))
    assert await door.raws() == [mail()]
    assert door.hints == [row.id]


async def test_the_journal_tells_who_sent_how_many_and_no_address(door: OpenDoor) -> None:
    await run(send, door, mail(), ASE, "quelquun@ailleurs.example")
    (entry,) = await door.journal("accept")
    assert (entry.author, entry.request) == (
        "camille",
        "smtp secretariat 2 recipient(s), 1 outside the trust space",
    )
    assert not any("@" in entry.request + entry.answer for entry in await door.journal())


async def test_recipients_outside_the_trust_space_are_kept_for_the_answer_that_they_need(door: OpenDoor) -> None:
    assert await run(send, door, mail(), ASE, "quelquun@ailleurs.example") == {}
    (row,) = await door.messages()
    assert row.recipients.split("\n") == [ASE, "quelquun@ailleurs.example"]


@pytest.mark.parametrize(
    "address",
    [
        "pas-une-adresse",
        "a b@hopital.mssante.example",
        "m\u00e9decin@hopital.mssante.example",
        '"a b"@hopital.mssante.example',
        "a@[127.0.0.1]",
        "a@localhost",
        "@relais.example:a@hopital.mssante.example",
        "a@-hopital.example",
        "a@b.fr\0",
        "",
    ],
)
async def test_an_impossible_address_is_refused_and_the_others_go(door: OpenDoor, address: str) -> None:
    client = await raw_client(door)
    await client.ask(f"MAIL FROM:<{SECRETARIAT}>")
    assert (await client.ask(f"RCPT TO:<{ASE}>")).startswith("250 ")
    answer = await client.ask(f"RCPT TO:<{address}>".encode() + b"\r\n")
    assert answer[:3] in ("501", "553") or ("\0" in address and answer.startswith("421 ")), answer
    if not answer.startswith("421 "):
        await client.ask("DATA")
        assert (await client.ask(mail() + b".\r\n")).startswith("250 ")
        (row,) = await door.messages()
        assert row.recipients == ASE


async def test_a_recipient_named_twice_is_one(door: OpenDoor) -> None:
    await run(send, door, mail(), ASE, ASE.upper())
    (row,) = await door.messages()
    assert row.recipients == ASE


async def test_a_receipt_of_a_mail_program_has_no_sender_and_goes_by_its_author(door: OpenDoor) -> None:
    def work() -> Any:
        with door.client() as client:
            return client.sendmail("", [ASE], mail())

    assert await run(work) == {}
    (row,) = await door.messages()
    assert (row.sender, row.mailbox) == ("", "secretariat")


async def test_a_mail_of_a_test_mailbox_is_marked(door: OpenDoor) -> None:
    def work() -> Any:
        with door.client(login="alex") as client:
            return client.sendmail(DIRECTION, [ASE], mail(author=DIRECTION))

    await run(work)
    (row,) = await door.messages()
    assert (row.test, row.mailbox) == (True, "direction")


async def test_commands_sent_ahead_are_answered_in_order(door: OpenDoor) -> None:
    client = await raw_client(door)
    await client.say(f"MAIL FROM:<{SECRETARIAT}>", f"RCPT TO:<{ASE}>", "RCPT TO:<>", "DATA")
    assert [(await client.hear())[:3] for _ in range(4)] == ["250", "250", "553", "354"]
    await client.say(mail() + b".\r\nRSET\r\nQUIT\r\n")
    assert [(await client.hear())[:3] for _ in range(3)] == ["250", "250", "221"]
    assert await door.raws() == [mail()]


async def test_dots_are_undone_and_an_empty_mail_has_no_author(door: OpenDoor) -> None:
    client = await raw_client(door)
    for body, expected in ((b"..un\r\n...\r\n", b".un\r\n..\r\n"), (b"", b"")):
        await client.say(f"MAIL FROM:<{SECRETARIAT}>", f"RCPT TO:<{ASE}>", "DATA")
        assert [(await client.hear())[:3] for _ in range(3)] == ["250", "250", "354"]
        head = mail("") if body else b""
        await client.say(head + body + b".\r\n")
        assert (await client.hear())[:3] == ("250" if expected else "550")
    assert await door.raws() == [mail("..".join(["", ""]).replace("..", ".un\r\n..\r\n"))]


# --- the same mail again --------------------------------------------------------------------------------------------


async def test_a_mail_sent_again_after_a_lost_250_is_the_same_message(door: OpenDoor) -> None:
    for _ in range(2):
        await run(send, door, mail(), ASE, DOCTOR)
    await run(send, door, mail(), DOCTOR, ASE)
    assert len(await door.messages()) == 1
    assert len(door.hints) == 1
    assert [entry.action for entry in await door.journal("accept", "twin")] == ["accept", "twin", "twin"]


async def test_the_same_mail_to_others_or_by_others_is_another(door: OpenDoor) -> None:
    await run(send, door, mail(), ASE)
    await run(send, door, mail(), DOCTOR)
    await run(lambda: send(door, mail(), ASE, login="alex"))
    assert len(await door.messages()) == 3


async def test_the_same_mail_a_week_later_is_meant(door: OpenDoor) -> None:
    await run(send, door, mail())
    for _ in range(2):
        door.bench.clock.tick(days=7, seconds=1)
        await run(send, door, mail())
        await run(send, door, mail())
    assert len(await door.messages()) == 3


async def test_the_same_mail_on_many_connections_at_once_is_one_message(door: OpenDoor) -> None:
    await asyncio.gather(*(run(send, door, mail()) for _ in range(12)))
    assert len(await door.messages()) == 1


async def test_many_mails_at_once_are_all_there(door: OpenDoor) -> None:
    raws = [mail(f"n° {number}\r\n".encode().decode("latin-1"), message_id=f"<{number}@x>") for number in range(30)]
    await asyncio.gather(*(run(send, door, raw) for raw in raws))
    assert sorted(await door.raws()) == sorted(raws)
    assert len(set(door.hints)) == 30


# --- TLS ------------------------------------------------------------------------------------------------------------


async def test_nothing_is_heard_before_tls(door: OpenDoor) -> None:
    client = await raw_client(door, tls=False, user=None)
    offers = await client.ask("EHLO essai")
    assert "STARTTLS" in offers
    assert "AUTH" not in offers
    assert (await client.ask(f"AUTH PLAIN {plain('camille')}")).startswith("538 ")
    for command in (f"MAIL FROM:<{SECRETARIAT}>", f"RCPT TO:<{ASE}>", "DATA", "VRFY a"):
        assert (await client.ask(command)).startswith("530 5.7.0"), command


async def test_commands_slipped_in_before_tls_are_never_obeyed(door: OpenDoor) -> None:
    """STARTTLS injection: what a man in the middle adds in clear must not count as if it came encrypted."""
    client = await raw_client(door, tls=False, user=None)
    await client.ask("EHLO essai")
    await client.say("STARTTLS\r\nRSET\r\nMAIL FROM:<x@y.example>")
    assert (await client.hear()).startswith("421 5.5.1")
    assert await client.hear() == ""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_tls_is_refused(door: OpenDoor) -> None:
    context = ssl.create_default_context(cafile=str(door.authority.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    def work() -> None:
        smtplib.SMTP_SSL("localhost", door.implicit_port, timeout=20, context=context)

    with pytest.raises((ssl.SSLError, OSError)):
        await run(work)


async def test_what_was_said_before_starttls_is_forgotten(door: OpenDoor) -> None:
    def work() -> tuple[int, bytes]:
        client = smtplib.SMTP("localhost", door.starttls_port, timeout=20)
        client.ehlo()
        client.docmd("STARTTLS")
        assert client.sock is not None
        client.sock = door.authority.client_context().wrap_socket(client.sock, server_hostname="localhost")
        client.file = None
        answer = client.docmd(f"AUTH PLAIN {plain('camille')}")
        client.close()
        return answer

    assert (await run(work))[0] == 503  # EHLO first, RFC 3207 §4.2


# --- rights ---------------------------------------------------------------------------------------------------------


async def test_nobody_sends_without_logging_in(door: OpenDoor) -> None:
    client = await raw_client(door, user=None)
    await client.ask("EHLO essai")
    assert (await client.ask(f"MAIL FROM:<{SECRETARIAT}>")).startswith("530 5.7.0")


@pytest.mark.parametrize("sender", [DIRECTION, "autre@mecs.mssante.example", ASE])
async def test_nobody_sends_from_a_mailbox_that_is_not_theirs(door: OpenDoor, sender: str) -> None:
    def work() -> None:
        with door.client() as client:
            client.sendmail(sender, [ASE], mail(author=sender))

    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        await run(work)
    assert (refused.value.smtp_code, await door.messages()) == (550, [])


@pytest.mark.parametrize(
    "head",
    [
        f"From: <{DIRECTION}>",
        f"From: <{SECRETARIAT}>, <{DIRECTION}>",
        f"From: <{SECRETARIAT}>\r\nFrom: <{DIRECTION}>",
        f'From: "{SECRETARIAT}" <{DIRECTION}>',
        f"From : <{DIRECTION}>",
        "From: Secretariat",
        "Subject: sans auteur",
        f"Subject: x\r\n\r\nFrom: <{SECRETARIAT}>",
    ],
)
async def test_the_author_in_the_mail_is_that_of_the_envelope(door: OpenDoor, head: str) -> None:
    with pytest.raises(smtplib.SMTPDataError) as refused:
        await run(send, door, f"{head}\r\nTo: <{ASE}>\r\n\r\nBonjour\r\n".encode())
    assert refused.value.smtp_code == 550
    assert (await door.messages(), door.hints) == ([], [])


async def test_the_author_may_be_written_in_capitals(door: OpenDoor) -> None:
    assert await run(send, door, mail(author=SECRETARIAT.upper())) == {}


async def test_a_right_taken_away_ends_on_an_open_connection(door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.smtp.desk.RIGHTS_FOR", 0.0)
    client = await raw_client(door)
    assert (await client.ask(f"MAIL FROM:<{SECRETARIAT}>")).startswith("250 ")
    await client.ask("RSET")
    await door.users.revoke("camille", "secretariat", by="essai")
    assert (await client.ask(f"MAIL FROM:<{SECRETARIAT}>")).startswith("550 5.7.1")
    await door.users.grant("camille", "secretariat", by="essai")
    assert (await client.ask(f"MAIL FROM:<{SECRETARIAT}>")).startswith("250 ")
    await client.ask("RSET")
    await door.users.close_user("camille", by="essai")
    assert (await client.ask(f"MAIL FROM:<{SECRETARIAT}>")).startswith("550 5.7.1")


# --- logging in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("mechanism", ["PLAIN", "login"])
async def test_both_ways_to_log_in_with_and_without_a_first_answer(door: OpenDoor, mechanism: str, first: bool) -> None:
    from base64 import b64encode

    client = await raw_client(door, user=None)
    await client.ask("EHLO essai")
    answers = (
        [plain("camille")] if mechanism == "PLAIN" else [b64encode(b).decode() for b in (b"CAMILLE", PASSWORD.encode())]
    )
    opening = f"AUTH {mechanism} {answers.pop(0)}" if first else f"AUTH {mechanism}"
    answer = await client.ask(opening)
    for one in answers:
        assert answer.startswith("334 "), answer
        answer = await client.ask(one)
    assert answer.startswith("235 "), answer


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("AUTH CRAM-MD5", "504"),
        ("AUTH PLAIN !!!", "501"),
        ("AUTH PLAIN " + plain("camille")[:8], "501"),
        ("AUTH PLAIN =", "501"),
        ("AUTH", "504"),
    ],
)
async def test_an_odd_login_is_told(door: OpenDoor, line: str, code: str) -> None:
    client = await raw_client(door, user=None)
    await client.ask("EHLO essai")
    assert (await client.ask(line)).startswith(code)


async def test_a_login_can_be_stopped(door: OpenDoor) -> None:
    client = await raw_client(door, user=None)
    await client.ask("EHLO essai")
    assert (await client.ask("AUTH LOGIN")).startswith("334 ")
    assert (await client.ask("*")).startswith("501 ")
    assert (await client.ask(f"AUTH PLAIN {plain('camille')}")).startswith("235 ")
    assert (await client.ask(f"AUTH PLAIN {plain('camille')}")).startswith("503 ")


async def test_an_address_that_fails_too_often_is_not_heard_any_more(door: OpenDoor) -> None:
    door.desk._failures = type(door.desk._failures)(2, 3600, door.desk.ticks)
    client = await raw_client(door, user=None)
    await client.ask("EHLO essai")
    for login in ("camille", "personne"):
        assert (await client.ask(f"AUTH PLAIN {plain(login, 'faux faux faux')}")).startswith("535 5.7.8")
    assert (await client.ask(f"AUTH PLAIN {plain('camille')}")).startswith("421 4.7.0")
