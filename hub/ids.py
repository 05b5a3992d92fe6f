"""Ids of rows that grow with the years: 32 hex digits, of which the first eight tell one row from another for people.

Ids of one hour begin alike, so that what is written together lies together in every index and a filing touches as few
pages of a database with a million documents as of a new one. No order is meant: the hours come round every 15 years.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime

SHOWN = 8  # digits that people are told
WHOLE = 32  # digits
NAMED_MOST = 5  # ids named to whoever gave too few digits
HOUR_BITS = 17
_CHANCE_BITS = 128 - HOUR_BITS


def new_id(at: datetime) -> str:
    """An id given at `at` (aware): 17 bits of its hour, 111 of chance."""
    hour = int(at.timestamp() // 3600) % (1 << HOUR_BITS)
    return f"{hour << _CHANCE_BITS | secrets.randbits(_CHANCE_BITS):032x}"


def shown(id: str) -> str:
    """An id for people; `told_apart` where they have to choose between several."""
    return id[:SHOWN]


def told_apart(ids: Collection[str]) -> str:
    """Different ids for people, with as many digits as tell them apart: `3fa4b2c17, 3fa4b2c1d`."""
    digits = next((most for most in range(SHOWN, WHOLE) if len({id[:most] for id in ids}) == len(ids)), WHOLE)
    return ", ".join(sorted(id[:digits] for id in ids))
