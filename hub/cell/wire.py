"""What passes between the hub and its child: orders once, then request and answer in turn, each behind a header of
fixed size that says how long it is. Lengths are bytes, big endian. After an answer come the large documents that it
names, one after the other: whoever takes them need not hold them whole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from hub.message import Limits, ParsedMessage

# Length, `Words`, whether the bytes of documents are wanted, lengths of the name (0: a mail) and of the type codes (a
# line each) that follow.
REQUEST = struct.Struct(">QB?HI")
ANSWER = struct.Struct(">QBQ")  # length, Verdict, resident memory of the child


class Verdict(IntEnum):
    READY = 0  # the child has started; empty
    READ = 1  # an encoded Answered
    NO_MEMORY = 2  # the memory limit was hit and survived; empty
    FAILED = 3  # the name of an exception type: a fault of ours, not of the message


class Words(IntEnum):
    """Which PDFs are read for their text."""

    NONE = 0
    ALL = 1
    OF_THESE_TYPES = 2  # and those without a declared type


LARGE = 256 * 1024  # bytes of a document that no longer travels inside the message


@dataclass(frozen=True, slots=True)
class Answered:
    """`large`: place among the documents, and length, of those whose bytes follow."""

    message: ParsedMessage
    large: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a child needs to know before it reads. `memory` in bytes; `processor` in seconds of processor time a
    message; `alarm` in seconds a message: the child ends itself then, for the case that the hub died and cannot."""

    limits: Limits
    memory: int
    processor: float
    alarm: float
    codes_dir: str
