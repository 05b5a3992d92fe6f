"""What a client sends, until it is taken; and how its commands are answered when they come together."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from hub.smtp.dots import Undotter, span_of_dots
from hub.smtp.inflow import LINE_MOST, PIECE, UNTAKEN_MOST, Inflow
from hub.smtp.lines import Refused
from hub.smtp.server import Conversation


class Wire(asyncio.Transport):
    """A client that never answers by itself: what was written to it, and whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_read = True

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return b"".join(self.written[-1:]).startswith(b"421")

    def close(self) -> None:
        """`is_closing` says it."""

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


def inflow(*received: bytes, is_mail: bool = False) -> tuple[Inflow, Wire]:
    made, wire = Inflow(), Wire()
    made.transport = wire
    if is_mail:
        made.begin_mail()
    for one in received:
        made.add(one)
    return made, wire


async def test_lines_come_one_by_one_however_they_were_cut() -> None:
    flow, _ = inflow(b"NO", b"OP\r\nRSET\r", b"\nQ")
    assert flow.has_line
    assert [await flow.line(), await flow.line()] == [b"NOOP", b"RSET"]
    assert not flow.has_line
    assert not flow.is_empty


@pytest.mark.parametrize("line", [b"NOOP\n", b"NO\rOP\r\n", b"NO\0OP\r\n", b"x" * (LINE_MOST + 1), b"\n"])
async def test_an_odd_line_ends_the_conversation(line: bytes) -> None:
    flow, _ = inflow(line)
    with pytest.raises(Refused) as refused:
        await flow.line()
    assert refused.value.answer.startswith("421")


async def test_a_mail_comes_in_good_pieces_and_its_end_at_once() -> None:
    flow, _ = inflow(is_mail=True)
    waiting = asyncio.ensure_future(flow.piece())
    await asyncio.sleep(0)
    for _ in range(3):
        flow.add(b"x" * (PIECE // 4))
        await asyncio.sleep(0)
        assert not waiting.done()
    flow.add(b"x" * (PIECE // 4))
    assert await waiting == b"x" * PIECE
    for cut in (b"y\r\n.\r\n", b".\r\n"), (b"y\r\n.", b"\r\n"), (b"y\r\n.\r", b"\n"):
        waiting = asyncio.ensure_future(flow.piece())
        await asyncio.sleep(0)
        for part in cut:
            flow.add(part)
        await asyncio.wait_for(waiting, 1)


async def test_what_was_sent_with_data_belongs_to_the_mail_and_what_follows_the_end_to_the_lines() -> None:
    flow, _ = inflow(b"DATA\r\nSub")
    assert await flow.line() == b"DATA"
    flow.begin_mail()
    flow.add(b"ject: x\r\n\r\n.\r\nNO")
    assert await flow.piece() == b"Sub"
    undotter = Undotter()
    undotter.feed(b"Sub" + await flow.piece())
    flow.add(b"OP\r\n")
    flow.end_mail(undotter.rest)
    assert await flow.line() == b"NOOP"
    assert flow.is_empty


async def test_a_client_that_sends_faster_than_is_taken_is_not_read_for_a_while() -> None:
    for is_mail in (True, False):
        flow, wire = inflow(b"x" * (UNTAKEN_MOST + 1), is_mail=is_mail)
        assert not wire.is_read
        if is_mail:
            await flow.piece()
        else:
            waiting = asyncio.ensure_future(flow._more())
            await asyncio.sleep(0)
            waiting.cancel()
        assert wire.is_read


@pytest.mark.parametrize(("raw", "span"), [(b"", (0, 0)), (b"ab", (0, 0)), (b".", (0, 1)), (b"a.b.c", (1, 4))])
def test_the_span_of_dots(raw: bytes, span: tuple[int, int]) -> None:
    assert span_of_dots(raw) == span


def talk(silence: timedelta = timedelta(seconds=30)) -> tuple[Conversation, Wire]:
    limits = SimpleNamespace(message_most=1000, silence_most=silence, login_within=timedelta(seconds=30))
    desk: Any = SimpleNamespace(
        limits=limits, sessions=Counter(), talks=set(), is_closing=False, has_room_for=lambda peer: True
    )
    conversation, wire = Conversation(desk, "porte.example", "none", None), Wire()
    conversation.connection_made(wire)
    return conversation, wire


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_answers_to_commands_that_came_together_leave_together() -> None:
    conversation, wire = talk()
    await turns()
    assert wire.written == [b"220 porte.example ESMTP\r\n"]
    conversation.data_received(b"NOOP\r\nRSET\r\nMAIL FROM:<a@b.example>\r\nNO")
    await turns()
    assert [line[:3] for line in wire.written[1].split(b"\r\n")] == [b"250", b"250", b"530", b""]
    conversation.data_received(b"OP\r\n")
    await turns()
    assert len(wire.written) == 3
    conversation.connection_lost(None)


async def test_what_was_not_said_yet_is_said_before_goodbye() -> None:
    conversation, wire = talk()
    await turns()
    conversation.data_received(b"NOOP\r\nNOOP\nNOOP\r\n")
    await turns()
    assert [line[:3] for line in wire.written[1].split(b"\r\n")] == [b"250", b"421", b""]
    conversation.connection_lost(None)


async def test_answers_held_back_are_bounded() -> None:
    conversation, wire = talk()
    await turns()
    conversation.data_received(b"NOOP\r\n" * 2_000)
    await turns()
    assert max(map(len, wire.written)) < 5_000
    assert b"".join(wire.written).count(b"250 ") == 2_000
    conversation.connection_lost(None)


async def test_silence_is_counted_from_the_last_word() -> None:
    conversation, wire = talk(timedelta(seconds=0.3))
    await asyncio.sleep(0.2)
    conversation.data_received(b"NOOP\r\n")
    await asyncio.sleep(0.2)
    assert not wire.is_closing()
    await asyncio.sleep(0.25)
    assert wire.is_closing()
    conversation.connection_lost(None)


async def test_a_shorter_wait_is_not_longer_for_the_one_before() -> None:
    conversation, wire = talk(timedelta(seconds=30))
    await turns()
    conversation._reset_timeout(0.05)
    await asyncio.sleep(0.2)
    assert wire.is_closing()
    conversation.connection_lost(None)
