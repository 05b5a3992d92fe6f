"""Servers that send too much, in every place: the cap is hit and told, memory and CPU stay bounded, the neighbour is
served meanwhile, and the mailbox is read as soon as the server behaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil
import pytest

from hub.imap.progress import WatcherState
from tests.edges.dovecot import Dovecot
from tests.edges.imap_shop import Shop, at_shop
from tests.edges.scripted_imap import Peer
from tests.edges.watching import address, at_dovecot, dovecot, mail
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

__all__ = ["address", "dovecot"]  # fixtures

ROOM = 32 * 1024**2
TWO_GB = b"{2147483648}\r\n"
X = b"x" * 65_536


def endless(piece: bytes, times: int = 1_600) -> Iterable[bytes]:
    return (piece for _ in range(times))


def headed(head: bytes, times: int = 1_600) -> Iterable[bytes]:
    """A head, then 100 MB of noise that never ends its line or literal."""
    yield head
    yield from endless(X, times)


def literals() -> Iterable[bytes]:
    """One answer of 60 literals, each as long as a body that was asked for."""
    yield b"* 1 FETCH (UID 1"
    for number in range(60):
        yield b" BODY[%d] {1048576}\r\n" % number
        yield from endless(X, 16)


def searches() -> Iterable[bytes]:
    for _ in range(40):
        yield b"* SEARCH" + b" 1 22 333" * 100_000 + b"\r\n"


# what it is: (phase, what is sent there, the code that must be told)
FLOODS: dict[str, tuple[str, Callable[[], Iterable[bytes]], str]] = {
    "literal of 2 GB instead of a listing": (
        "LISTING",
        lambda: headed(b"* 1 FETCH (UID 1 BODY[HEADER] " + TWO_GB),
        "literal-cap",
    ),
    "literal of 2 GB as a body": ("BODY", lambda: headed(b"* 1 FETCH (UID 1 BODY[]<0> " + TWO_GB), "literal-cap"),
    "literal of 2 GB that nobody asked for": ("NOOP", lambda: headed(b"* STATUS " + TWO_GB), "literal-cap"),
    "literal of 2 GB in IDLE": ("IDLING", lambda: headed(b"* 1 FETCH (UID 1 BODY[] " + TWO_GB), "literal-cap"),
    "many literals in one answer": ("BODY", literals, "literal-cap"),
    "endless line": ("SEARCH", lambda: headed(b"* SEARCH "), "line-cap"),
    "endless line in IDLE": ("IDLING", lambda: headed(b"* OK "), "line-cap"),
    "endless greeting": ("GREETING", lambda: headed(b"* OK "), "line-cap"),
    "100,000 lines to a listing": (
        "LISTING",
        lambda: endless(b"* 1 FETCH (UID 1 FLAGS (a) RFC822.SIZE 1)\r\n" * 1_000, 100),
        "answer-cap",
    ),
    "SEARCH answers without end": ("SEARCH", searches, "answer-cap"),
    "a million flags": ("FLAGS", lambda: [b"* 1 FETCH (UID 1 FLAGS (" + b"abcd " * 200_000 + b"))\r\n"], "answer-cap"),
    "capabilities without end": (
        "CAPABILITY",
        lambda: endless(b"* CAPABILITY " + b"A B " * 10_000 + b"\r\n", 100),
        "answer-cap",
    ),
    "EXISTS flood in IDLE": ("IDLING", lambda: endless(b"* 7 EXISTS\r\n" * 1_000, 300), "answer-cap"),
    "RECENT flood in IDLE": ("IDLING", lambda: endless(b"* 7 RECENT\r\n" * 1_000, 300), "answer-cap"),
    "FLAGS flood in IDLE": ("IDLING", lambda: endless(b"* 1 FETCH (FLAGS (\\Seen))\r\n" * 1_000, 300), "answer-cap"),
    "EXISTS flood during a command": ("SEARCH", lambda: endless(b"* 7 EXISTS\r\n" * 1_000, 300), "answer-cap"),
    "flood of continuations": ("IDLING", lambda: endless(b"+ idling\r\n" * 1_000, 300), "answer-cap"),
    "flood of alerts": ("NOOP", lambda: endless(b"* OK [ALERT] read me\r\n" * 1_000, 300), "answer-cap"),
    "UID beyond 32 bits": ("SEARCH", lambda: [b"* SEARCH 4294967296\r\n"], "search-syntax"),
}


def flooding(shop: Shop, phase: str, pieces: Callable[[], Iterable[bytes]]) -> None:
    async def flood(peer: Peer, _: str) -> bool:
        if phase == "IDLING":
            peer.say("+ idling")
        with contextlib.suppress(OSError):
            for piece in pieces():
                peer.say(piece)
                await peer.writer.drain()
                await asyncio.sleep(0)  # this server shares our loop, which `drain` alone never gives back
            if phase != "IDLING":
                await peer.ok()  # some answers are read when the command ends
            await peer.silence()
        raise ConnectionResetError

    shop.on["IDLE" if phase == "IDLING" else phase] = flood


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_meets_a_cap_and_harms_nobody(
    dovecot: Dovecot, address: str, authority: Authority, name: str
) -> None:
    phase, pieces, code = FLOODS[name]
    shop = Shop({1: mail(1)})
    flooding(shop, phase, pieces)
    sick, sound = FakeIntake(), FakeIntake()
    process, peak = psutil.Process(), 0
    async with at_dovecot(dovecot, address, sound) as healthy:
        await healthy.until(lambda: healthy.watcher.progress.state is WatcherState.WAITING)
        gc.collect()
        before = process.memory_info().rss
        async with at_shop(authority, shop, sick, poll=0.5, command_timeout=10) as one:

            def told() -> bool:
                nonlocal peak
                peak = max(peak, process.memory_info().rss)
                return code in [answer for _, answer in sick.connections]

            dovecot.deliver(address, mail(1))
            began = time.monotonic()
            await one.until(told, 20)
            await healthy.until(lambda: len(sound.marks) == 1, 10)
            assert time.monotonic() - began < 20
            assert one.watcher.progress.failed_at is not None
            shop.on.clear()
            await one.until(lambda: len(sick.marks) == 1)
            await one.until(lambda: one.watcher.progress.failures == 0)
        assert healthy.watcher.progress.failed_at is None
    assert list(sick.raws.values()) == [mail(1)]
    assert peak - before < ROOM, f"{(peak - before) / 1024**2:.1f} MiB"


async def test_a_server_that_floods_for_ever_is_met_ever_more_rarely(authority: Authority) -> None:
    # Each connection lets the folder be compared before the flood begins, which starts other failures' delays anew.
    shop = Shop({1: mail(1)})
    flooding(shop, "IDLING", lambda: endless(b"* 7 EXISTS\r\n" * 1_000, 10_000))
    intake = FakeIntake()
    delays: dict[str, Any] = {"backoff_first": 0.1, "backoff_most": 60, "poll": 60}
    async with at_shop(authority, shop, intake, **delays) as one:
        await one.until(lambda: len(intake.marks) == 1)
        await one.until(lambda: shop.idles == 0 and one.watcher.progress.last_error == "answer-cap", 20)
        await asyncio.sleep(6)
        met = len(intake.connections)
    # 0.05 + 0.1 + 0.2 + … s between: seven connections in six seconds at most, however fast the machine.
    assert met <= 2 * 8


async def test_exists_for_nothing_makes_few_looks(authority: Authority) -> None:
    shop = Shop({1: mail(1)})
    looks = 0

    async def counted(_: Peer, __: str) -> bool:
        nonlocal looks
        looks += 1
        return False

    def cry(peer: Peer) -> None:
        peer.say("* 1 EXISTS")

    shop.on["SEARCH"], shop.on_idle = counted, cry
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=30) as one:
        await one.until(lambda: len(intake.marks) == 1)
        await asyncio.sleep(3)
        assert one.watcher.progress.failures == 0
    assert 3 <= looks <= 9  # some at once, then one a second
