"""Caps on what a server may send (libs.md §2): each ends the connection with a code."""

from __future__ import annotations

import asyncio

import pytest

from hub.imap.failures import ConnectionLost
from tests.edges.scripted_imap import Peer
from tests.edges.sessions import PIECE, in_clear


async def test_an_endless_line_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NOOP")
        peer.say(b"* OK ")
        for _ in range(100):
            peer.say(b"x" * 100_000)
            await peer.writer.drain()

    async with in_clear(script) as (session, _, _):
        with pytest.raises(ConnectionLost, match="line-cap"):
            await session.noop()


async def test_a_literal_of_two_gigabytes_is_cut_off_when_it_is_announced() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID FETCH")
        peer.say("* 1 FETCH (UID 1 BODY[]<0> {2147483648}")
        await peer.silence()

    async with in_clear(script) as (_, folder, _):
        with pytest.raises(ConnectionLost, match="literal-cap"):
            await folder.raws([1], PIECE)


async def test_an_answer_of_a_hundred_thousand_lines_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NOOP")
        peer.say(b"* 1 FETCH (FLAGS ())\r\n" * 100_000)
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        with pytest.raises(ConnectionLost, match="answer-cap"):
            await session.noop()


async def test_more_bytes_than_a_batch_may_hold_are_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID FETCH")
        for uid in range(1, 30):
            peer.say(b"* %d FETCH (UID %d BODY[]<0> {900000}\r\n" % (uid, uid) + b"x" * 900_000 + b")\r\n")
            await peer.writer.drain()

    async with in_clear(script) as (_, folder, _):
        with pytest.raises(ConnectionLost, match="answer-cap"):
            await folder.raws(range(1, 51), PIECE)


async def test_a_flood_of_exists_wakes_once_and_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("IDLE")
        peer.say("+ idling")
        for n in range(100_000):
            peer.say(b"* %d EXISTS\r\n" % n)
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        with pytest.raises(ConnectionLost, match="answer-cap"):
            await session.idle(60, asyncio.Event())


async def test_broken_numbers_of_messages_do_no_harm() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NOOP")
        peer.say("* EXISTS")
        peer.say("* " + "9" * 5_000 + " EXISTS")
        peer.say("* -1 EXISTS")
        await peer.ok()
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        await session.noop()
        assert session.exists == 9_999_999_999
