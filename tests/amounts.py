"""How many examples a property test tries: few in `make check`, many with HUB_PROPERTIES=thorough."""

from __future__ import annotations

import os

MANY_TIMES = 40


def examples(quick: int) -> int:
    return quick * (MANY_TIMES if os.environ.get("HUB_PROPERTIES") == "thorough" else 1)
