"""The fake filer keeps the contract of the real one."""

from __future__ import annotations

import pytest

from tests.fakes_filer import MemoryFiler
from tests.filer_contract import FilerContract, Shelf


class TestMemoryFiler(FilerContract):
    @pytest.fixture
    def shelf(self) -> Shelf:
        filer = MemoryFiler()

        async def seen(mailbox: str, folder: str) -> list[bytes] | None:
            filed = filer.folders.get((mailbox, folder))
            return None if filed is None else [one.raw for one in filed]

        return Shelf(filer, "dossiers", "direction", seen)
