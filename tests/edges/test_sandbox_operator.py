"""The fake operator as its clients meet it: over TLS, with a certificate or without, by foreign clients and by ours."""

from __future__ import annotations

import asyncio
import imaplib
import signal
import smtplib
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest

from hub import settings
from hub.imap.folder import Folder
from hub.imap.opening import Credentials, open_session
from hub.imap.session import Woken
from hub.ports import Way
from hub.sandbox import people
from hub.sandbox.authority import Authority
from hub.sandbox.operator import FakeOperator

RAW = "From: <a@b.example>\r\nSubject: essai\r\nMessage-ID: <1@b.example>\r\nX-MSS-NIL: ABC1\r\n\r\nÉté.\r\n".encode()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def operator(tmp_path: Path, certificates: Authority) -> AsyncIterator[FakeOperator]:
    running = FakeOperator(tmp_path, certificates)
    await running.start()
    yield running
    await running.stop()


def _context(operator: FakeOperator, structure: people.Structure | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(operator.authority.ca_file))
    if structure is not None:
        leaf = operator.client(structure)
        context.load_cert_chain(leaf.certificate, leaf.key)
    return context


def _imap(operator: FakeOperator, structure: people.Structure | None, authzid: str = "") -> imaplib.IMAP4:
    context = _context(operator, structure)
    client = imaplib.IMAP4_SSL("localhost", operator.imap_port, ssl_context=context, timeout=10)
    client.authenticate("EXTERNAL", lambda _: authzid.encode())
    return client


def _submit(operator: FakeOperator, who: people.Structure | None, sender: str, to: str, raw: bytes = RAW) -> None:
    context = _context(operator, who)
    with smtplib.SMTP_SSL("localhost", operator.smtp_port, context=context, timeout=10) as client:
        client.sendmail(sender, [to], raw)


async def test_a_mail_sent_by_its_owner_lies_in_the_mailbox_with_its_trace(operator: FakeOperator) -> None:
    sender, to = people.HOSPITAL.address, people.TILLEULS.address
    await asyncio.to_thread(_submit, operator, people.HOSPITAL, sender, to)
    [kept] = await operator.messages(to)
    assert kept.startswith(f"Return-Path: <{sender}>\r\nReceived: ".encode())
    assert kept.endswith(RAW)
    [taken] = operator.submissions
    assert (taken.sender, taken.recipients, taken.product_reference) == (sender, (to,), "ABC1")
    assert [path.read_bytes() for path in operator.folder.glob("boites/*/*.eml")] == [kept]


async def test_an_unknown_recipient_is_refused_with_550(operator: FakeOperator) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await asyncio.to_thread(
            _submit, operator, people.HOSPITAL, people.HOSPITAL.address, "personne@ailleurs.mssante.example"
        )
    assert [code for code, _ in refused.value.recipients.values()] == [550]


async def test_nobody_sends_for_another_structure(operator: FakeOperator) -> None:
    with pytest.raises(smtplib.SMTPSenderRefused):
        await asyncio.to_thread(_submit, operator, people.ASE, people.HOSPITAL.address, people.TILLEULS.address)


async def test_a_receipt_goes_under_the_empty_path(operator: FakeOperator) -> None:
    await asyncio.to_thread(_submit, operator, people.TILLEULS, "", people.HOSPITAL.address)
    [kept] = await operator.messages(people.HOSPITAL.address)
    assert kept.startswith(b"Return-Path: <>\r\n")


async def test_without_a_certificate_no_door_opens(operator: FakeOperator) -> None:
    with pytest.raises((OSError, smtplib.SMTPException)):
        await asyncio.to_thread(_submit, operator, None, "", people.TILLEULS.address)
    with pytest.raises((OSError, imaplib.IMAP4.abort)):
        await asyncio.to_thread(_imap, operator, None)
    assert await operator.messages(people.TILLEULS.address) == []


async def test_a_clear_text_client_is_told_to_start_tls_first(operator: FakeOperator) -> None:
    def speak_in_clear() -> tuple[int, bytes]:
        with smtplib.SMTP("localhost", operator.smtp_starttls_port, timeout=10) as client:
            client.ehlo()
            return client.mail(people.HOSPITAL.address)

    code, _ = await asyncio.to_thread(speak_in_clear)
    assert code == 530

    def log_in_in_clear() -> None:
        client = imaplib.IMAP4("localhost", operator.imap_starttls_port, timeout=10)
        try:
            client.authenticate("EXTERNAL", lambda _: people.TILLEULS.address.encode())
        finally:
            client.shutdown()

    with pytest.raises(imaplib.IMAP4.error):
        await asyncio.to_thread(log_in_in_clear)


async def test_starttls_opens_both_doors(operator: FakeOperator) -> None:
    def send() -> None:
        with smtplib.SMTP("localhost", operator.smtp_starttls_port, timeout=10) as client:
            client.starttls(context=_context(operator, people.ASE))
            client.sendmail(people.ASE.address, [people.TILLEULS.address], RAW)

    def count() -> bytes:
        with imaplib.IMAP4("localhost", operator.imap_starttls_port, timeout=10) as client:
            client.starttls(_context(operator, people.TILLEULS))
            client.authenticate("EXTERNAL", lambda _: b"")
            return client.select()[1][0] or b""

    await asyncio.to_thread(send)
    assert await asyncio.to_thread(count) == b"1"


async def test_a_certificate_opens_only_the_mailboxes_of_its_structure(operator: FakeOperator) -> None:
    with pytest.raises(imaplib.IMAP4.error):
        await asyncio.to_thread(_imap, operator, people.HOSPITAL, people.TILLEULS.address)


async def test_a_password_is_worth_nothing_without_the_right_certificate(operator: FakeOperator) -> None:
    password = operator.password_file.read_text()

    def log_in(structure: people.Structure, word: str) -> str:
        context = _context(operator, structure)
        with imaplib.IMAP4_SSL("localhost", operator.imap_port, ssl_context=context, timeout=10) as client:
            return client.login(people.TILLEULS.address, word)[0]

    assert await asyncio.to_thread(log_in, people.TILLEULS, password) == "OK"
    for structure, word in ((people.TILLEULS, "autre"), (people.HOSPITAL, password)):
        with pytest.raises(imaplib.IMAP4.error):
            await asyncio.to_thread(log_in, structure, word)


async def test_pieces_keywords_and_folders_work_as_the_watcher_needs_them(operator: FakeOperator) -> None:
    await operator.deliver(people.TILLEULS.address, RAW)

    def use() -> None:
        with _imap(operator, people.TILLEULS) as client:
            flags = client.select()[1]
            assert flags == [b"1"]
            assert any(b"\\*" in (line or b"") for line in client.response("PERMANENTFLAGS")[1])
            uid = client.uid("SEARCH", "1:*")[1][0].decode()
            answer = client.uid("FETCH", uid, "(UID BODY.PEEK[]<6.20>)")[1][0]
            assert isinstance(answer, tuple)
            assert answer[1] == RAW[6:26]
            client.uid("STORE", uid, "+FLAGS.SILENT", "($HubAccepted)")
            assert client.uid("SEARCH", "KEYWORD", "$HubAccepted")[1] == [uid.encode()]
            client.create("Traites")
            client.uid("MOVE", uid, "Traites")
            assert client.uid("SEARCH", "ALL")[1] == [b""]
            assert client.select("Traites")[1] == [b"1"]

    await asyncio.to_thread(use)
    assert await operator.messages(people.TILLEULS.address) == [RAW]


async def test_a_session_in_idle_hears_of_a_delivery_within_a_second(operator: FakeOperator) -> None:
    context = _context(operator, people.TILLEULS)
    reader, writer = await asyncio.open_connection("localhost", operator.imap_port, ssl=context)
    await reader.readline()
    for command in (b"a AUTHENTICATE EXTERNAL =\r\n", b"b SELECT INBOX\r\n"):
        writer.write(command)
        while not (await asyncio.wait_for(reader.readline(), 5)).startswith(command[:1] + b" OK"):
            pass
    writer.write(b"c IDLE\r\n")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"+")
    began = monotonic()
    await operator.deliver(people.TILLEULS.address, RAW)
    assert b"1 EXISTS" in await asyncio.wait_for(reader.readline(), 5)
    assert monotonic() - began < 1
    writer.write(b"DONE\r\nd LOGOUT\r\n")
    await reader.read()
    writer.close()


async def test_an_unknown_mailbox_cannot_be_filled(operator: FakeOperator) -> None:
    with pytest.raises(KeyError):
        await operator.deliver("personne@ailleurs.mssante.example", RAW)


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_the_hubs_own_session_reads_marks_moves_and_idles(operator: FakeOperator, tls: str) -> None:
    await operator.deliver(people.TILLEULS.address, RAW)
    port = operator.imap_port if tls == "implicit" else operator.imap_starttls_port
    endpoint = settings.Endpoint.model_validate({"host": "localhost", "port": port, "tls": tls})
    credentials = Credentials("external", people.TILLEULS.address)
    session = await open_session(
        Way(endpoint=endpoint, context=_context(operator, people.TILLEULS)), credentials, 10, 10
    )
    folder = await Folder.select(session, "INBOX")
    assert folder.selected.takes("$HubAccepted")
    [uid] = await folder.uids_from(1)
    [listed] = await folder.listing([uid])
    assert (listed.size, listed.received_at is not None) == (len(RAW), True)
    assert await folder.message_id(uid) == "<1@b.example>"
    pieces: list[bytes] = []

    async def write(piece: bytes) -> None:
        pieces.append(piece)

    assert await folder.raw(uid, write, 16, 1024, listed.size) == len(RAW)
    assert b"".join(pieces) == RAW
    assert await folder.flagged([uid], "$HubAccepted") == {uid}
    assert await folder.moved([uid], "Traités") == {uid}
    idle = asyncio.create_task(session.idle(10, asyncio.Event()))
    await asyncio.sleep(0.05)
    await operator.deliver(people.TILLEULS.address, RAW)
    assert await idle is Woken.ARRIVAL
    assert len(await folder.uids_from(uid + 1)) == 1
    await session.logout()


async def test_it_runs_as_a_process_of_its_own_and_ends_when_told(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub.sandbox", str(tmp_path), "--any-port", "--samples", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        lines: list[str] = []
        while not (lines and "hub serve" in lines[-1]):
            line = (await asyncio.wait_for(child.stdout.readline(), 20)).decode()
            assert line, lines
            lines.append(line)
        assert (tmp_path / "site/hub.yaml").is_file()
        assert len(list((tmp_path / "boites" / people.TILLEULS.address).iterdir())) >= 20
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 10) == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def test_what_is_asked_of_a_delivery_is_told(operator: FakeOperator) -> None:
    """RFC 3461, and the receipt of who opens it; the closed mailbox gives back what it took."""
    sender = people.TILLEULS.address
    head = f"From: <{sender}>\r\nMessage-ID: <7@t.example>\r\nDisposition-Notification-To: <{sender}>\r\n"
    raw = f"{head}\r\nx\r\n".encode()

    def submit() -> None:
        context = _context(operator, people.TILLEULS)
        with smtplib.SMTP_SSL("localhost", operator.smtp_port, context=context, timeout=10) as client:
            client.ehlo()
            assert client.has_extn("dsn")
            notify = ["NOTIFY=SUCCESS,FAILURE,DELAY", "ORCPT=rfc822;x"]
            for recipient in (people.ASE.address, people.CLOSED_MAILBOX):
                client.sendmail(sender, [recipient], raw, ["RET=HDRS", "ENVID=aBc.0"], notify)
            client.sendmail(sender, [people.HOSPITAL.address], raw)

    await asyncio.to_thread(submit)
    told: list[bytes] = []
    deadline = monotonic() + 10
    while len(told) < 4 and monotonic() < deadline:
        await asyncio.sleep(0.1)
        told = await operator.messages(sender)
    lines = [line for mail in told for line in mail.splitlines() if line.startswith((b"Action", b"Disposition:"))]
    assert sorted(lines) == [
        b"Action: delivered",
        b"Action: failed",
        b"Disposition: automatic-action/MDN-sent-automatically; processed",
        b"Disposition: manual-action/MDN-sent-manually; displayed",
    ]
    assert sum(b"Original-Envelope-Id: aBc.0\r\n" in mail for mail in told) == 2
    assert await operator.messages(people.ASE.address)
    assert await operator.messages(people.HOSPITAL.address)
