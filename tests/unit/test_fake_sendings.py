"""The fake of what was sent keeps the contract of the real one."""

from __future__ import annotations

import hashlib
from typing import cast
from uuid import uuid4

import pytest
from sqlalchemy.engine import Connection

from hub.message import Outcome
from hub.ports import Effect, StoredBlob
from tests.fakes_sendings import MemorySendings
from tests.sendings_contract import AnySendings, Room, SendingsContract


class TestMemorySendings(SendingsContract):
    @pytest.fixture
    def room(self) -> Room:
        async def run(effect: Effect) -> Outcome:
            return effect(cast(Connection, None))

        async def store(raw: bytes) -> StoredBlob:
            return StoredBlob(hashlib.sha256(raw).hexdigest(), len(raw), "k1")

        return Room(cast(AnySendings, MemorySendings()), run, lambda: uuid4().hex, store)
