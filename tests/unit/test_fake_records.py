"""The fake records keep the contract of the real ones."""

from __future__ import annotations

from typing import cast
from uuid import uuid4

import pytest
from sqlalchemy.engine import Connection

from hub.message import (
    Outcome,
    Usager,
)
from hub.ports import Effect
from tests.fakes_records import MemoryRecords
from tests.records_contract import USAGERS, AnyRecords, Clock, RecordsContract, Room
from tests.subjects_contract import SubjectsContract, SubjectsRoom


def _memory_room() -> Room:
    records = MemoryRecords(known=USAGERS, clock=Clock())

    async def run(effect: Effect) -> Outcome:
        return effect(cast(Connection, None))

    def add(more: list[Usager]) -> None:
        records.known = (*records.known, *more)

    return Room(cast(AnyRecords, records), run, lambda: uuid4().hex, add)


class TestMemoryRecords(RecordsContract):
    @pytest.fixture
    def room(self) -> Room:
        return _memory_room()


class TestMemorySubjects(SubjectsContract):
    @pytest.fixture
    def subjects_room(self) -> SubjectsRoom:
        records = MemoryRecords(known=USAGERS, clock=Clock())

        def add(more: list[Usager]) -> None:
            records.known = (*records.known, *more)

        def answer(message_id: str, usager: str, how: str) -> None:
            records.answered.append((message_id, usager))

        return SubjectsRoom(records, add, answer)
