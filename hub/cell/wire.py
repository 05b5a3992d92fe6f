"""What passes between the hub and its child: orders once, then request and answer in turn, each behind a header of
fixed size that says how long it is. Lengths are bytes, big endian. After an answer come the large documents that it
names, one after the other: whoever takes them need not hold them whole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from hub.message import Limits, ParsedMessage

REQUEST = struct.Struct(">QI")  # lengths of the bytes and of the encoded `Task` before them; no task: the `Orders`
ANSWER = struct.Struct(">QBQ")  # length, Verdict, resident memory of the child


class Verdict(IntEnum):
    READY = 0  # the child has started; empty
    READ = 1  # an encoded Answered, or Archived for a copy
    NO_MEMORY = 2  # the memory limit was hit and survived; empty
    FAILED = 3  # the name of an exception type: a fault of ours, not of the message


class Words(IntEnum):
    """Which PDFs are read for their text."""

    NONE = 0
    ALL = 1
    OF_THESE_TYPES = 2  # and those without a declared type


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is wanted of the bytes: a mail read (`name` empty), a file read, or, with `copy_at`, a PDF's PDF/A copy.

    `types`: those of `Words.OF_THESE_TYPES`; `are_wanted`: the bytes of documents; `clues`: of the usager, in PDFs;
    `received_at`: for judging its signature, None to leave that."""

    name: str = ""
    words: Words = Words.ALL
    types: tuple[str, ...] = ()
    are_wanted: bool = False
    clues: bool = False
    received_at: datetime | None = None
    copy_at: datetime | None = None


LARGE = 256 * 1024  # bytes of a document that no longer travels inside the message


@dataclass(frozen=True, slots=True)
class Answered:
    """`large`: place among the documents, and length, of those whose bytes follow."""

    message: ParsedMessage
    large: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a child needs to know before it reads. `memory` in bytes; `processor` in seconds of processor time a
    message; `alarm` in seconds a message: the child ends itself then, for the case that the hub died and cannot.
    `anchors` and `purposes`: by which signatures are judged (`hub.smime.trusted`)."""

    limits: Limits
    memory: int
    processor: float
    alarm: float
    codes_dir: str
    anchors: tuple[bytes, ...] = ()
    purposes: tuple[str, ...] = ()
