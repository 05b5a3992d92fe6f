"""The submission door when something is wrong: sizes, budgets, smuggling, slow and rude clients, full disks, a database
that is away, a stop in the middle, a kill at any instant."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import smtplib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub import journal
from hub.cli.start import init
from hub.errors import DiskFailed, Temporary
from tests.edges.disks import small_disk
from tests.edges.doors import (
    ASE,
    PASSWORD,
    SECRETARIAT,
    OpenDoor,
    Raw,
    door,
    mail,
    opened_door,
    plain,
    raw_client,
)
from tests.edges.engines import migrated, sqlite_template
from tests.edges.ports import free_port
from tests.edges.spools import SqlBench
from tests.edges.test_submission import run, send
from tests.pki import Authority

__all__ = ["door", "sqlite_template"]


@pytest.fixture
def sql_bench(tmp_path: Path, sqlite_template: Path) -> Any:
    file = tmp_path / "hub.db"
    shutil.copy(sqlite_template, file)
    made = SqlBench(f"sqlite:///{file}", tmp_path)
    yield made
    made.close()


async def begun(door: OpenDoor, **more: Any) -> Raw:
    """A client that may send its mail now."""
    client = await raw_client(door, **more)
    await client.say(f"MAIL FROM:<{SECRETARIAT}>", f"RCPT TO:<{ASE}>", "DATA")
    assert [(await client.hear())[:3] for _ in range(3)] == ["250", "250", "354"]
    return client


async def until(is_so: Callable[[], bool]) -> bool:
    """Whether it came to be so, within five seconds."""
    for _ in range(50):
        if is_so():
            return True
        await asyncio.sleep(0.1)
    return is_so()


# --- sizes ----------------------------------------------------------------------------------------------------------


async def test_a_mail_announced_too_large_is_refused_before_it_is_sent(door: OpenDoor) -> None:
    client = await raw_client(door)
    offers = await client.ask("EHLO essai")
    assert f"SIZE {door.desk.limits.message_most}" in offers
    answer = await client.ask(f"MAIL FROM:<{SECRETARIAT}> SIZE={door.desk.limits.message_most + 1} BODY=8BITMIME")
    assert answer.startswith("552 5.3.4 Message trop grand (2 Mo au plus)")
    assert (await client.ask(f"MAIL FROM:<{SECRETARIAT}> SIZE={door.desk.limits.message_most}")).startswith("250 ")


async def test_a_mail_that_turns_out_too_large_is_refused_at_its_end_and_leaves_nothing(door: OpenDoor) -> None:
    client = await begun(door)
    await client.say(mail(), b"x" * 76 + b"\r\n")
    for _ in range(40):
        await client.say((b"y" * 76 + b"\r\n") * 1_000)
    await client.say(b".\r\n")
    assert (await client.hear()).startswith("552 5.3.4")
    assert await door.messages() == []
    assert [one for one in door.bench.folder.rglob("*") if one.is_file()] == []
    assert (await client.ask("NOOP")).startswith("250 ")


async def test_one_that_never_ends_is_cut_off(door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.smtp.server.OVERRUN_MOST", 64 * 1024)
    client = await begun(door)
    with contextlib.suppress(ConnectionError):
        await client.say(b"z" * (3 * 1024**2))
        assert (await client.hear())[:3] in ("421", "")
    assert await until(lambda: not door.desk.talks)
    assert await door.messages() == []


async def test_a_large_mail_is_kept_sealed_in_a_file_of_its_own(door: OpenDoor) -> None:
    raw = mail("".join(f"ligne {number} {'x' * 60}\r\n" for number in range(20_000)))
    await run(send, door, raw)
    assert await door.raws() == [raw]
    (file,) = [one for one in door.bench.folder.rglob("*") if one.is_file()]
    assert b"ligne 1" not in file.read_bytes()


# --- smuggling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\n"])
async def test_no_odd_ending_lets_a_second_mail_in(door: OpenDoor, ending: bytes) -> None:
    client = await begun(door)
    inner = f"MAIL FROM:<{SECRETARIAT}>\r\nRCPT TO:<{ASE}>\r\nDATA\r\n".encode() + mail(message_id="<2@faux>")
    await client.say(mail("un") + ending + inner + b"\r\n.\r\n")
    assert (await client.hear()).startswith("550 5.6.0")
    assert (await client.ask("NOOP")).startswith("250 ")
    assert await door.messages() == []


@pytest.mark.parametrize("command", [b"NOOP\n", b"NO\rOP\r\n", b"NOOP\0\r\n", b"NOOP" + b"x" * 20_000 + b"\r\n"])
async def test_a_command_that_ends_oddly_ends_the_conversation(door: OpenDoor, command: bytes) -> None:
    client = await raw_client(door)
    assert (await client.ask(command)).startswith("421 5.5.2")
    assert await client.hear() == ""


# --- budgets --------------------------------------------------------------------------------------------------------


async def test_a_user_who_sends_too_much_waits(sql_bench: SqlBench, authority: Authority) -> None:
    async with opened_door(sql_bench, authority, messages_a_minute=3) as door:
        for number in range(3):
            await run(send, door, mail(message_id=f"<{number}@x>"))
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            await run(send, door, mail())
        assert refused.value.smtp_code == 450
        assert await run(lambda: send(door, mail(), login="alex")) == {}  # nobody else waits for it


async def test_bytes_are_counted_too(sql_bench: SqlBench, authority: Authority) -> None:
    async with opened_door(sql_bench, authority, bytes_an_hour=1_000) as door:
        await run(send, door, mail("x" * 900 + "\r\n", message_id="<1@x>"))
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            await run(send, door, mail("x" * 900 + "\r\n", message_id="<2@x>"))
        assert refused.value.smtp_code == 450


async def test_a_mail_has_so_many_recipients_and_no_more(sql_bench: SqlBench, authority: Authority) -> None:
    async with opened_door(sql_bench, authority, recipients_most=2) as door:
        refused = await run(lambda: send(door, mail(), *(f"{n}@hopital.mssante.example" for n in range(3))))
        assert [code for code, _ in refused.values()] == [452]


async def test_too_many_connections_are_told_to_come_back(sql_bench: SqlBench, authority: Authority) -> None:
    async with opened_door(sql_bench, authority, sessions_each=2) as door:
        first, _second = await raw_client(door), await raw_client(door)
        reader, writer = await asyncio.open_connection(
            "localhost", door.implicit_port, ssl=door.authority.client_context()
        )
        third = Raw(reader, writer)
        assert (await third.hear()).startswith("421 4.3.2")
        await first.ask("QUIT")
        await asyncio.sleep(0.2)
        assert (await raw_client(door)) is not None


# --- slow and rude clients ------------------------------------------------------------------------------------------


async def test_silence_ends_a_conversation_and_one_who_never_logs_in(sql_bench: SqlBench, authority: Authority) -> None:
    within: dict[str, Any] = {"silence_most": timedelta(seconds=0.5), "login_within": timedelta(seconds=1)}
    async with opened_door(sql_bench, authority, **within) as door:
        quiet = await raw_client(door)
        assert (await quiet.hear()).startswith("421 4.4.2")
        idler = await raw_client(door, user=None)
        with contextlib.suppress(ConnectionError):
            for _ in range(30):
                if not (await idler.ask("NOOP")).startswith("250 "):
                    break
                await asyncio.sleep(0.2)
        assert await until(lambda: not door.desk.talks)


async def test_a_client_that_drips_does_not_hold_the_others(sql_bench: SqlBench, authority: Authority) -> None:
    async with opened_door(sql_bench, authority, message_within=timedelta(seconds=2)) as door:
        slow = [await begun(door) for _ in range(5)]

        async def drip(client: Raw) -> str:
            for byte in mail():
                await client.say(bytes([byte]))
                await asyncio.sleep(0.1)
                if client.reader.at_eof():
                    break
            return await client.hear()

        drips = [asyncio.create_task(drip(client)) for client in slow]
        for number in range(5):
            await asyncio.wait_for(run(send, door, mail(message_id=f"<{number}@x>")), 5)
        ends = await asyncio.gather(*drips, return_exceptions=True)
        assert all(isinstance(end, ConnectionError) or str(end).startswith("421 4.4.2") for end in ends), ends
        assert len(await door.messages()) == 5


async def test_a_client_that_hangs_up_in_the_middle_leaves_nothing(door: OpenDoor) -> None:
    client = await begun(door)
    await client.say(mail() + b"x" * 300_000)
    await client.close()
    await until(lambda: not door.desk.talks)
    assert (door.desk.talks, door.desk.sessions.total()) == (set(), 0)
    assert await door.messages() == []


async def test_one_who_hangs_up_after_the_dot_is_accepted_once(door: OpenDoor) -> None:
    client = await begun(door)
    await client.say(mail() + b".\r\n")
    await client.close()
    for _ in range(50):
        if await door.messages() and not door.desk.commits:
            break
        await asyncio.sleep(0.1)
    await run(send, door, mail())  # it never heard its 250, and says it again
    assert len(await door.messages()) == 1
    assert len(door.hints) == 1


async def test_a_program_that_guesses_is_shown_out(door: OpenDoor) -> None:
    client = await raw_client(door)
    answers = [await client.ask(f"GUESS{number}") for number in range(3)]
    assert all(answer.startswith("502 ") for answer in answers)
    answers = [await client.ask("GUESS") for _ in range(7)]
    assert answers[-1].startswith("421 4.7.0")


# --- what fails on our side -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DiskFailed("full", "enospc"), "452 4.3.1"),
        (Temporary("database: away"), "451 4.3.0"),
        (ValueError("texte du message"), "451 4.3.0"),
    ],
)
async def test_what_cannot_be_kept_now_is_answered_so_that_it_comes_again(
    door: OpenDoor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, code: str
) -> None:
    async def fails(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(door.spool._database, "write", fails)
        client = await begun(door)
        await client.say(mail() + b".\r\n")
        assert (await client.hear()).startswith(code)
    assert await door.messages() == []
    assert "texte du message" not in caplog.text
    await client.say(f"MAIL FROM:<{SECRETARIAT}>", f"RCPT TO:<{ASE}>", "DATA", mail() + b".\r\n")
    assert [(await client.hear())[:3] for _ in range(4)] == ["250", "250", "354", "250"]


async def test_a_full_disk_is_452_and_the_mail_comes_later(
    tmp_path: Path, sqlite_template: Path, authority: Authority
) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        shutil.copy(sqlite_template, disk.folder / "hub.db")
        bench = SqlBench(f"sqlite:///{disk.folder / 'hub.db'}", disk.folder)
        async with opened_door(bench, authority) as door:
            raw = mail("x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 5_000)
            await run(send, door, raw)
            disk.fill()
            with pytest.raises(smtplib.SMTPDataError) as refused:
                await run(send, door, raw.replace(b"<1@", b"<2@"))
            assert refused.value.smtp_code == 452
            disk.free()
            await run(send, door, raw.replace(b"<1@", b"<2@"))
            assert len(await door.messages()) == 2
        bench.close()


async def test_an_author_check_that_fails_is_ours_and_temporary(
    door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: bytes) -> Any:
        raise RuntimeError

    monkeypatch.setattr(door.desk, "_heading", fails)
    with pytest.raises(smtplib.SMTPDataError) as refused:
        await run(send, door, mail())
    assert refused.value.smtp_code == 451


# --- stopping -------------------------------------------------------------------------------------------------------


async def test_a_stop_lets_a_mail_end_and_sends_the_others_away(door: OpenDoor) -> None:
    busy, idle = await begun(door), await raw_client(door)
    await busy.say(mail()[:50])
    closing = asyncio.create_task(door.served.close(timedelta(seconds=10)))
    assert (await idle.hear()).startswith("421 4.3.2")
    await busy.say(mail()[50:] + b".\r\n")
    assert (await busy.hear()).startswith("250 ")
    await asyncio.wait_for(closing, 10)
    assert len(await door.messages()) == 1
    with pytest.raises(OSError):
        await asyncio.open_connection("localhost", door.implicit_port)


async def test_a_stop_does_not_wait_for_ever(door: OpenDoor) -> None:
    busy = await begun(door)
    await busy.say(mail()[:50])
    await asyncio.wait_for(door.served.close(timedelta(seconds=0.3)), 10)
    assert (await busy.hear()).startswith("421 4.3.2")
    assert await door.messages() == []


async def test_a_stop_waits_for_a_commit(door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, going = door.spool._database.write, asyncio.Event()

    async def slow(work: Any, **more: Any) -> Any:
        going.set()
        await asyncio.sleep(0.5)
        return await honest(work, **more)

    monkeypatch.setattr(door.spool._database, "write", slow)
    client = await begun(door)
    await client.say(mail() + b".\r\n")
    await going.wait()
    await door.served.close(timedelta(0))
    assert (await client.hear()).startswith("250 ")
    assert len(await door.messages()) == 1


# --- kill -9 --------------------------------------------------------------------------------------------------------

_SETTINGS = """\
site: {{name: "MECS d'essai (fictive)", product_reference: ESSAI1}}
operators:
  - name: operateur
    imap: {{host: localhost, port: 1, tls: implicit}}
    smtp: {{host: localhost, port: 1, tls: implicit}}
    ca_file: {ca}
    certificate: {{file: {both}}}
mailboxes: [{{name: secretariat, address: "{address}", operator: operateur}}]
submission:
  certificate: {{file: {certificate}, key_file: {key}}}
  port: null
  implicit_port: {port}
  messages_a_minute: 100000
  messages_an_hour: 100000
log_level: debug
"""


class Killed:
    """A site whose `hub door` is killed and started again while clients send."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.port, self.folder, self.authority = free_port(), folder, authority
        leaf = authority.issue("porte-tuee", "localhost")
        init(folder)
        (folder / "hub.yaml").write_text(
            _SETTINGS.format(
                ca=authority.ca_file,
                both=leaf.both,
                address=SECRETARIAT,
                certificate=leaf.certificate,
                key=leaf.key,
                port=self.port,
            )
        )
        (folder / "password").write_text(PASSWORD)
        self.command("users", "add", "camille", "--mailbox", "secretariat", "--password-file", str(folder / "password"))
        self.acknowledged: list[str] = []
        self.over = threading.Event()

    def command(self, *words: str) -> str:
        line = [sys.executable, "-m", "hub", *words, "--site", str(self.folder)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "hub", "door", "--site", str(self.folder)])

    def submit(self, name: str) -> None:
        """One mail after the other, each until it has its 250."""
        context = self.authority.client_context()
        for number in range(10**6):
            message_id = f"<{name}.{number}@essai.example>"
            raw = mail("x" * 70 + "\r\n" * (1 + number % 3 * 1_500), message_id=message_id)
            while not self.over.is_set():
                try:
                    with smtplib.SMTP_SSL("localhost", self.port, timeout=10, context=context) as client:
                        client.login("camille", PASSWORD)
                        client.sendmail(SECRETARIAT, [ASE], raw)
                    self.acknowledged.append(message_id)
                    break
                except (OSError, smtplib.SMTPException):
                    self.over.wait(0.05)
            if self.over.is_set():
                return


def test_every_250_survives_kill_9_and_is_there_once(tmp_path: Path, authority: Authority) -> None:
    site = Killed(tmp_path / "site", authority)
    senders = [threading.Thread(target=site.submit, args=(f"c{number}",)) for number in range(6)]
    for sender in senders:
        sender.start()
    try:
        for round_number in range(8):
            process = site.start()
            wanted, until = len(site.acknowledged) + 7, time.monotonic() + 60
            while len(site.acknowledged) < wanted and time.monotonic() < until:
                site.over.wait(0.02)
            site.over.wait(round_number * 0.07)
            process.send_signal(signal.SIGKILL)
            process.wait()
    finally:
        site.over.set()
        for sender in senders:
            sender.join()
    assert len(site.acknowledged) > 50
    with sqlite3.connect(f"file:{site.folder / 'hub.db'}?mode=ro", uri=True) as look:
        kept = [row[0] for row in look.execute("select message_id from message")]
    assert set(site.acknowledged) - set(kept) == set()
    assert len(kept) == len(set(kept))
    with migrated(f"sqlite:///{site.folder / 'hub.db'}") as database:
        verdict = database.read_now(journal.verify)
    assert verdict.broken_at is None


def test_hub_door_stops_in_good_order(tmp_path: Path, authority: Authority) -> None:
    site = Killed(tmp_path / "site", authority)
    process = site.start()
    sender = threading.Thread(target=site.submit, args=("c",))
    sender.start()
    try:
        while len(site.acknowledged) < 3 and process.poll() is None:
            site.over.wait(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        site.over.set()
        sender.join()
        process.kill()
    assert re.search(r"camille\s+secrétariat\s+secretariat\s+ouvert", site.command("users", "list"))
    assert plain("a")
