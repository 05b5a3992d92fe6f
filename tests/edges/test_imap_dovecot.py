"""The session and its folder against a real Dovecot: TLS, authentication, moves, IDLE, cuts, big messages."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psutil
import pytest

from hub.imap.failures import ConnectionLost, PeerRefused
from hub.imap.folder import Folder
from hub.imap.grammar import folder_name
from hub.imap.opening import Credentials, open_session
from hub.imap.session import Woken
from hub.ports import Way
from hub.raw import Whole
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.proxy import fault_proxy
from tests.pki import Authority
from tests.ways import imap_of

ADDRESS = "secretariat@asso.mssante.example"
PIECE = 1024**2


@pytest.fixture(scope="module")
def by_certificate(authority: Authority) -> Iterator[Dovecot]:
    with running_dovecot(authority, "certificate") as dovecot:
        yield dovecot


@pytest.fixture(scope="module")
def by_password(authority: Authority) -> Iterator[Dovecot]:
    with running_dovecot(authority, "password") as dovecot:
        yield dovecot


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("authzid", ["", ADDRESS])
async def test_dovecot_takes_external_by_client_certificate(by_certificate: Dovecot, tls: str, authzid: str) -> None:
    operator = by_certificate.operator("implicit" if tls == "implicit" else "starttls")
    context = by_certificate.context(ADDRESS)
    session = await open_session(
        Way(endpoint=imap_of(operator), context=context), Credentials("external", authzid), 5, 5
    )
    folder = await Folder.select(session, "INBOX")
    assert folder.selected.takes("$HubAccepted")
    await session.logout()


async def test_dovecot_refuses_who_has_no_certificate(by_certificate: Dovecot, authority: Authority) -> None:
    operator = by_certificate.operator()
    with pytest.raises((PeerRefused, ConnectionLost)):
        await open_session(
            Way(endpoint=imap_of(operator), context=authority.client_context()), Credentials("external", ADDRESS), 5, 5
        )


@pytest.mark.parametrize(("tls", "sasl"), [("starttls", "plain"), ("implicit", "login"), ("starttls", "login")])
async def test_dovecot_takes_passwords_inside_tls_only(by_password: Dovecot, tls: str, sasl: str) -> None:
    operator = by_password.operator("implicit" if tls == "implicit" else "starttls")
    context = by_password.context(ADDRESS)
    right = Credentials("plain" if sasl == "plain" else "login", ADDRESS, Dovecot.PASSWORD)
    session = await open_session(Way(endpoint=imap_of(operator), context=context), right, 5, 5)
    await Folder.select(session, "INBOX")
    await session.logout()


async def test_a_wrong_password_needs_a_human(by_password: Dovecot) -> None:
    wrong = Credentials("plain", ADDRESS, "faux")
    with pytest.raises(PeerRefused, match="authenticationfailed"):
        await open_session(
            Way(endpoint=imap_of(by_password.operator()), context=by_password.context(ADDRESS)), wrong, 10, 10
        )


@asynccontextmanager
async def folder_of(dovecot: Dovecot, address: str, port: int | None = None) -> AsyncIterator[Folder]:
    operator = dovecot.operator(port=port)
    session = await open_session(
        Way(endpoint=imap_of(operator), context=dovecot.context(address)),
        Credentials("plain", address, dovecot.PASSWORD),
        5,
        5,
    )
    try:
        yield await Folder.select(session, "INBOX")
    finally:
        session.close()


async def test_messages_are_moved_to_a_folder_of_any_name(by_password: Dovecot) -> None:
    address = "mouvement@asso.mssante.example"
    by_password.deliver(address, b"Subject: un\r\n\r\nx\r\n", b"Subject: deux\r\n\r\nx\r\n")
    target = "Boîte d'accueil & Cie"
    async with folder_of(by_password, address) as folder:
        assert await folder.moved([1, 99], target) == {1, 99}
        assert await folder.uids_from(1) == (2,)
        with by_password.other_client(address) as client:
            assert client.select(folder_name(target)) == ("OK", [b"1"])


async def test_a_message_appended_is_read_back_byte_for_byte(by_password: Dovecot) -> None:
    address = "depot@asso.mssante.example"
    raw = b"Subject: copie\r\nMessage-ID: <1@example>\r\n\r\n" + bytes(range(32, 127)) + b"\r\n"
    async with folder_of(by_password, address) as folder:
        assert (await folder.session.append('"INBOX"', Whole(raw), ["\\Seen"])).endswith(" 1")
        assert await folder.raws([1], PIECE) == {1: raw}
        (listed,) = await folder.listing([1])
        assert listed.size == len(raw)
        assert "\\Seen" in listed.flags
        assert await folder.message_id(1) == "<1@example>"


async def test_an_arrival_ends_the_idle(by_password: Dovecot) -> None:
    address = "attente@asso.mssante.example"
    async with folder_of(by_password, address) as folder:
        await folder.uids_from(1)
        asyncio.get_running_loop().call_later(0.2, by_password.deliver, address, b"Subject: x\r\n\r\n")
        assert await folder.session.idle(10, asyncio.Event()) is Woken.ARRIVAL
        assert await folder.uids_from(1) == (1,)
        assert await folder.session.idle(0.1, asyncio.Event()) is Woken.QUIET
        stop = asyncio.Event()
        stop.set()
        assert await folder.session.idle(10, stop) is Woken.STOP


async def test_a_cut_anywhere_in_a_literal_gives_no_part_of_a_message(by_password: Dovecot) -> None:
    address = "coupure@asso.mssante.example"
    by_password.deliver(address, b"Subject: x\r\n\r\n" + b"y" * 40_000)
    async with fault_proxy(by_password.imaps_port) as proxy:
        for count in (1, 500, 20_000, 39_000):
            async with folder_of(by_password, address, port=proxy.port) as folder:
                proxy.cut_after(count)
                with pytest.raises(ConnectionLost):
                    await folder.raws([1], PIECE)


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_black_hole_in_any_direction_meets_our_deadline(by_password: Dovecot, direction: str) -> None:
    address = "trou@asso.mssante.example"
    async with fault_proxy(by_password.imaps_port) as proxy, folder_of(by_password, address, proxy.port) as folder:
        folder.session.set_deadline(0.5)
        proxy.swallow("up" if direction == "up" else "down")
        started = time.monotonic()
        with pytest.raises(ConnectionLost, match="timeout"):
            await folder.session.noop()
        assert time.monotonic() - started < 2


async def test_a_message_of_fifty_megabytes_takes_less_than_thirty_two_of_memory(by_password: Dovecot) -> None:
    address = "enorme@asso.mssante.example"
    line = b"0123456789abcdef" * 4 + b"\r\n"
    by_password.deliver(address, b"Subject: gros\r\n\r\n" + line * (50 * 1024**2 // len(line)))
    process = psutil.Process()
    received = peak = 0

    async def write(piece: bytes) -> None:
        nonlocal received, peak
        received += len(piece)
        peak = max(peak, process.memory_info().rss)

    async with folder_of(by_password, address) as folder:
        folder.session.set_deadline(30)
        (listed,) = await folder.listing([1])
        gc.collect()
        before = process.memory_info().rss
        assert await folder.raw(1, write, PIECE, 100 * 1024**2, listed.size) == received == listed.size
    assert peak - before < 32 * 1024**2
