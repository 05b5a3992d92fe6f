"""Why `imap/protocol.py` replaces what it replaces: stock aioimaplib 2.0.3 fails so. When one of these tests fails,
aioimaplib was mended and the replacement may go."""

from __future__ import annotations

import asyncio

import pytest
from aioimaplib.aioimaplib import SELECTED, Command, FetchCommand, IMAP4ClientProtocol


class _Transport:
    def write(self, raw: bytes) -> None:
        pass


class _CountingPattern:
    calls = 0

    def match(self, line: bytes) -> None:
        self.calls += 1


def _stock() -> IMAP4ClientProtocol:
    protocol = IMAP4ClientProtocol(asyncio.get_running_loop())
    protocol.transport = _Transport()
    protocol.state = SELECTED
    return protocol


async def test_stock_recurses_once_a_line() -> None:
    protocol = _stock()
    protocol.pending_async_commands["NOOP"] = Command("NOOP", "A1")
    with pytest.raises(RecursionError):
        protocol.data_received(b"* 1 EXPUNGE\r\n" * 2_000)


async def test_stock_looks_at_all_lines_again_for_each_line() -> None:
    command = FetchCommand("A1", "1:*", "(FLAGS)")
    for number in range(50):
        command.append_to_resp(b"%d FETCH (FLAGS ())" % number)
    counting = _CountingPattern()
    command.FETCH_MESSAGE_DATA_RE = counting
    command.wait_data()  # asked after every line
    assert counting.calls == 50


async def test_stock_removes_stars_inside_strings() -> None:
    protocol = _stock()
    protocol.pending_async_commands["FETCH"] = command = FetchCommand("A1", "1", "(ENVELOPE)")
    protocol.data_received(b'* 1 FETCH (ENVELOPE ("Re: a* b * c"))\r\n')
    assert b"".join(command.response.lines) == b'1 FETCH (ENVELOPE ("Re: ab c"))'


async def test_stock_tells_nobody_that_the_connection_is_lost() -> None:
    protocol = _stock()
    waiting = asyncio.ensure_future(protocol.execute(Command("NOOP", protocol.new_tag())))
    await asyncio.sleep(0)
    protocol.connection_lost(ConnectionResetError())
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done
    waiting.cancel()


async def test_stock_sends_folder_names_as_they_are() -> None:
    assert str(Command("SELECT", "A1", "Mon dossier")) == "A1 SELECT Mon dossier"
