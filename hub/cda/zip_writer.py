"""A zip as APPNOTE.TXT 6.3 describes it, whole in memory: entries in, bytes out, the same for the same input.

Why not zipfile: it cannot be told that an entry is base64 of something packed already (a PDF in a CDA), in which
deflate looks for repetitions that are not there. Huffman coding alone gives about the same size in a quarter of the
time, and that time was half of the composition of a mail. No zip64, no encryption, no comment: a mail needs none.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_NEEDS, _MADE_BY = 20, 3 << 8 | 20  # version 2.0: folders and deflate; made on Unix, whose modes follow
_FILE_MODE, _FOLDER_MODE = 0o100644 << 16, 0o40755 << 16 | 0x10  # the last bit: a folder for DOS too


class Packing(Enum):
    """How an entry is packed: not at all; by deflate; by its Huffman coding alone."""

    STORED = "stored"
    DEFLATED = "deflated"
    CODED = "coded"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a folder when the name ends in a slash. Names are ASCII."""

    name: str
    raw: bytes = field(repr=False)
    packing: Packing = Packing.STORED


def zipped(entries: Iterable[Entry], made_at: datetime) -> bytes:
    """The archive, its entries in order. `made_at` is written as it reads: a zip knows no zone, and seconds by twos."""
    day = (made_at.year - 1980) << 9 | made_at.month << 5 | made_at.day
    time = made_at.hour << 11 | made_at.minute << 5 | made_at.second // 2
    files: list[bytes] = []
    directory: list[bytes] = []
    at = 0
    for entry in entries:
        name, packed = entry.name.encode("ascii"), _packed(entry)
        method = 0 if entry.packing is Packing.STORED else zlib.DEFLATED
        sizes = (zlib.crc32(entry.raw), len(packed), len(entry.raw))
        local = _LOCAL.pack(b"PK\x03\x04", _NEEDS, 0, method, time, day, *sizes, len(name), 0)
        mode = _FOLDER_MODE if entry.name.endswith("/") else _FILE_MODE
        shared = (_NEEDS, 0, method, time, day, *sizes, len(name), 0, 0, 0, 0, mode, at)
        directory += (_CENTRAL.pack(b"PK\x01\x02", _MADE_BY, *shared), name)
        files += (local, name, packed)
        at += len(local) + len(name) + len(packed)
    count, size = len(directory) // 2, sum(map(len, directory))
    return b"".join((*files, *directory, _END.pack(b"PK\x05\x06", 0, 0, count, count, size, at, 0)))


def _packed(entry: Entry) -> bytes:
    if entry.packing is Packing.STORED:
        return entry.raw
    strategy = zlib.Z_HUFFMAN_ONLY if entry.packing is Packing.CODED else zlib.Z_DEFAULT_STRATEGY
    packer = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    return packer.compress(entry.raw) + packer.flush()
