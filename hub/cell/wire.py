"""What passes between the hub and its child: orders once, then request and answer in turn, each behind a header of
fixed size that says how long it is. Lengths are bytes, big endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from hub.message import Limits

REQUEST = struct.Struct(">QBH")  # length, 1 to read the text of PDFs, length of the name that follows (0: a mail)
ANSWER = struct.Struct(">QBQ")  # length, Verdict, resident memory of the child


class Verdict(IntEnum):
    READY = 0  # the child has started; empty
    READ = 1  # an encoded ParsedMessage
    NO_MEMORY = 2  # the memory limit was hit and survived; empty
    FAILED = 3  # the name of an exception type: a fault of ours, not of the message


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a child needs to know before it reads. `memory` in bytes; `alarm` in seconds a message: the child ends
    itself then, for the case that the hub died and cannot."""

    limits: Limits
    memory: int
    alarm: float
    codes_dir: str
