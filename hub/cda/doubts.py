"""How the readers of this room speak of doubts: a grave one holds the message, a mild one is only shown.

`Unreadable` travels inside the room when a file cannot be read at all; the public readers turn it into a defect and
never let it out. Details name elements, numbers and codes, never content.
"""

from __future__ import annotations

import re

from hub.message import Defect

_HARMLESS = re.compile(r"[A-Za-z0-9_.:/-]{1,60}")


class Unreadable(Exception):
    """A file of an archive, or an archive, that is refused with a reason."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.defect = Defect(code, detail, grave=True)


def grave(code: str, detail: str = "") -> Defect:
    return Defect(code, detail, grave=True)


def mild(code: str, detail: str = "") -> Defect:
    return Defect(code, detail)


def shown(code: str) -> str:
    """A code that may stand in a detail: only what looks like one, since anything may be written in its place."""
    return code if _HARMLESS.fullmatch(code) else "(other)"
