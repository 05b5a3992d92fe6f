"""Reads an extraction of the directory as it is published (a ZIP with one text) or as it was put there by hand (the
text).

A file flows in, its lines flow out one by one, never the whole of it. The file is foreign: its size, what it unpacks to
and how many times larger it gets are bounded before and while it is read, a ZIP with more than one member is refused
before its list is loaded, a line has a longest length. What is wrong raises `Refused`.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from hub.errors import Permanent

_PIECE = 1024**2
_LINE_MOST = 64 * 1024  # bytes; an honest line has 170
_RATIO_MOST = 60  # times larger; the real one gets 4.5 times larger, a bomb starts at 1,000
_STAMP = re.compile(r"Extraction_Correspondance_MSSante_(\d{12})(?=\D|$)")
_ZIP = b"PK\x03\x04"
_END = b"PK\x05\x06"  # of the central directory (APPNOTE §4.3.16), 22 bytes and a comment
_END_SIZE, _COMMENT_MOST = 22, 65_535
_ZIP64_LOCATOR, _ZIP64_LOCATOR_SIZE = b"PK\x06\x07", 20
_LIST_MOST = 4096  # bytes of a list of one member


class Refused(Permanent):
    """The extraction is not taken, the last good one stays. `code`: `bad-zip`, `bad-size`, `bad-header`, `bad-lines`,
    `bad-shrunk`, `bad-unreadable`."""

    def __init__(self, what: str, detail: str = "") -> None:
        super().__init__(f"directory: extraction refused: {what} {detail}".rstrip())
        self.code = f"bad-{what}"


@dataclass(frozen=True, slots=True)
class Text:
    """An opened extraction. `name`: that of the text itself; `size`: bytes that it says it has."""

    name: str
    size: int
    file: IO[bytes]

    def lines(self, most: int) -> Iterator[bytes]:
        """Without their ends; the text has at most `most` bytes. Raises Refused."""
        held, size = b"", 0
        try:
            while piece := self.file.read(_PIECE):
                size += len(piece)
                if size > most:
                    raise Refused("size")
                whole, found, rest = (held + piece).rpartition(b"\n")
                if len(rest) > _LINE_MOST:
                    raise Refused("lines", "one is endless")
                held = rest
                if found:
                    yield from whole.split(b"\n")
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise Refused("unreadable", type(error).__name__) from None
        if held:
            yield held


@contextmanager
def opened(path: Path, most: int) -> Iterator[Text]:
    """The text of the file at `path`, a ZIP or not. Raises Refused."""
    with ExitStack() as stack:
        try:
            text = _open(stack, path, most)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error) as error:
            raise Refused("zip", type(error).__name__) from None
        except OSError as error:
            raise Refused("unreadable", error.strerror or type(error).__name__) from None
        yield text


def _open(stack: ExitStack, path: Path, most: int) -> Text:
    file = stack.enter_context(path.open("rb"))
    is_zip = file.read(len(_ZIP)) == _ZIP
    file.seek(0)
    if not is_zip:
        return Text(path.name, _sized(path.stat().st_size, most), file)
    _look_at_the_list(file)
    archive = stack.enter_context(zipfile.ZipFile(file))
    member = _only(archive, most)
    return Text(member.filename.rpartition("/")[2], member.file_size, stack.enter_context(archive.open(member)))


def _look_at_the_list(file: IO[bytes]) -> None:
    """zipfile loads the whole list of members, however many: not before its end said that there is one."""
    size = file.seek(0, 2)
    start = max(0, size - _END_SIZE - _COMMENT_MOST - _ZIP64_LOCATOR_SIZE)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0:
        raise Refused("zip", "no end")
    members, list_size = struct.unpack_from("<HL", tail, at + 10)
    has_zip64 = tail.startswith(_ZIP64_LOCATOR, max(0, at - _ZIP64_LOCATOR_SIZE))
    if members != 1 or list_size > _LIST_MOST or has_zip64:
        raise Refused("zip", "more than one member")
    file.seek(0)


def _only(archive: zipfile.ZipFile, most: int) -> zipfile.ZipInfo:
    (member,) = archive.infolist()
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("zip", "encrypted or unusual")
    if _sized(member.file_size, most) > _RATIO_MOST * max(1, member.compress_size) + _PIECE:
        raise Refused("size", "ratio")
    return member


def _sized(size: int, most: int) -> int:
    if size > most:
        raise Refused("size")
    return size


def published_at(name: str) -> datetime | None:
    """When an extraction was made, by its name (`…_AAAAMMJJhhmm…`, time of Paris); None when the name does not say."""
    found = _STAMP.search(name)
    try:
        local = datetime.strptime(found[1], "%Y%m%d%H%M") if found else None
    except ValueError:
        return None
    return None if local is None else local.replace(tzinfo=ZoneInfo("Europe/Paris")).astimezone(UTC)
