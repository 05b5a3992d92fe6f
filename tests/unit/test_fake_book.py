"""The fake address book keeps the contract of the real one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.book_contract import NOW, BookContract, BookRoom, is_member
from tests.fakes_book import MemoryBook
from tests.fakes_records import MemoryRecords
from tests.records_contract import LEA, TOM


class TestMemoryBook(BookContract):
    @pytest.fixture
    async def book_room(self) -> BookRoom:
        book = MemoryBook(clock=lambda: NOW, is_member=is_member)
        records = MemoryRecords(known=(replace(LEA, territory="Vallée du Nord"), TOM), book=book)
        return await BookRoom(book, book, records).fill()
