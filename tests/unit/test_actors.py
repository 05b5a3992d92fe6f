"""The actor and its room: how many messages are carried at once, in which order, and what a stop waits for."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hub.wiring import House
from hub.worker import actors
from hub.worker.actors import HINTS_AHEAD, _HouseOnTheLoop

AT_ONCE = 3


class Carrying:
    """Messages that are carried until somebody says that one is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self._done: dict[str, asyncio.Event] = {}
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(actors, "_carry", self._carry)
        monkeypatch.setattr(actors, "_loop_thread", lambda: SimpleNamespace(loop=loop))
        house = SimpleNamespace(close=self._close)
        self.actor = _HouseOnTheLoop(cast(House, house), AT_ONCE)
        self.is_closed = False

    async def _carry(self, message_id: str, _house: Any) -> None:
        self.begun.append(message_id)
        await self._done.setdefault(message_id, asyncio.Event()).wait()
        self.ended.append(message_id)

    async def _close(self) -> None:
        self.is_closed = True

    def hint(self, *message_ids: str) -> asyncio.Task[None]:
        """As dramatiq's thread gives it; done when that thread is free again."""
        return asyncio.create_task(asyncio.to_thread(self.actor.carry, *message_ids))

    def done(self, *message_ids: str) -> None:
        for message_id in message_ids:
            self._done.setdefault(message_id, asyncio.Event()).set()


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0.005)


@pytest.fixture
async def carrying(monkeypatch: pytest.MonkeyPatch) -> Carrying:
    return Carrying(monkeypatch)


async def test_the_messages_of_a_hint_are_begun_in_order_as_others_end(carrying: Carrying) -> None:
    await carrying.hint("a", "b", "c", "d", "e")
    await _settled()
    assert carrying.begun == ["a", "b", "c"]
    carrying.done("b")
    await _settled()
    assert carrying.begun == ["a", "b", "c", "d"]
    carrying.done("a", "c")
    await _settled()
    assert carrying.begun == ["a", "b", "c", "d", "e"]
    assert carrying.ended == ["b", "a", "c"]
    carrying.done("d", "e")
    await _settled()


async def test_hints_beyond_those_ahead_stay_with_the_broker(carrying: Carrying) -> None:
    hints = [carrying.hint("a", "b", "c", "d")]
    await _settled()
    hints += [carrying.hint(f"{number}") for number in range(HINTS_AHEAD + 1)]
    await _settled()
    assert sum(hint.done() for hint in hints) == HINTS_AHEAD
    carrying.done("a", "b", "c")
    await asyncio.gather(*hints)
    await _settled()
    assert len(carrying.begun) == 6
    carrying.done("d", *(f"{number}" for number in range(HINTS_AHEAD + 1)))
    await _settled()
    assert sorted(carrying.ended) == sorted(carrying.begun)
    assert len(carrying.ended) == 4 + HINTS_AHEAD + 1


async def test_a_stop_waits_for_every_message_of_the_hints_in_hand(carrying: Carrying) -> None:
    await carrying.hint("a", "b", "c", "d")
    await carrying.hint("e")
    await _settled()
    carrying.actor._stop_by = time.monotonic() + 30
    ending = asyncio.create_task(carrying.actor._end())
    for message_id in "abcde":
        await _settled()
        assert not carrying.is_closed
        carrying.done(message_id)
    await ending
    assert carrying.is_closed
    assert sorted(carrying.ended) == ["a", "b", "c", "d", "e"]


async def test_a_stop_waits_no_longer_than_it_may(carrying: Carrying) -> None:
    await carrying.hint("a", "b", "c", "d")
    await _settled()
    carrying.actor._stop_by = time.monotonic() + 0.1
    await carrying.actor._end()
    assert carrying.is_closed
    carrying.done("a", "b", "c", "d")
    await _settled()
    assert carrying.begun == ["a", "b", "c"]  # nothing begins in a house that is closed


async def test_a_hint_that_comes_after_the_end_is_not_begun(carrying: Carrying) -> None:
    await carrying.actor._end()
    await carrying.hint("late")
    await _settled()
    assert carrying.is_closed
    assert carrying.begun == []
