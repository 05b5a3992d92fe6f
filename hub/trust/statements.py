"""What an authority states about its certificates, and how long that counts. `crl` and `ocsp` read the two forms."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from cryptography.hazmat.primitives import hashes

from hub.errors import Temporary

SKEW = timedelta(minutes=5)  # between an authority's clock and ours
SOUND = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class Statement(Protocol):
    """`this_update` (aware): when it was made. `next_update`: until when it counts."""

    @property
    def this_update(self) -> datetime: ...

    @property
    def next_update(self) -> datetime: ...


class StatementRefused(Temporary):
    """It is not what it should be: `code` says why. Nothing of it counts."""

    def __init__(self, code: str) -> None:
        super().__init__(f"statement of an authority refused: {code}")
        self.code = code


def fault_of(statement: Statement, at: datetime) -> str:
    """Why it does not count at that moment: `early`, `ended`; "" when it does."""
    if statement.this_update > at + SKEW:
        return "early"
    return "ended" if statement.next_update <= at else ""
