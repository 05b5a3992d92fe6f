"""A zip file of foreign hand, opened in memory without trusting what it says of itself.

`open_shelf` reads the directory (standard library) and refuses the whole file with a reason: too many entries, names
that lead elsewhere, links, encryption, doubles, overlaps, bombs. `Shelf.read` gives one file, its size and CRC checked,
and raises Unreadable("bad-zip"). Nothing is written to disk; a zip inside the zip is not opened.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass

from hub.cda.doubts import Unreadable, grave, mild
from hub.message import Defect, Limits

_END, _ENTRY, _LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_RATIO_FROM = 64 * 1024  # below this unpacked size a high ratio harms nobody
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # PKWARE APPNOTE 4.4.4: bits 0, 6 and 13
_UTF8 = 0x800  # 4.4.4, bit 11: the name is UTF-8
_DRIVE = re.compile(r"[A-Za-z]:")
# A control, or a sign that turns the reading direction.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069]")
_JUNK_FOLDERS = frozenset({"__macosx", ".svn", ".git", ".ds_store", "thumbs.db", "desktop.ini"})
# What the standard library lets through on a hostile directory, besides its own error.
_BAD_DIRECTORY = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,
    ValueError,
    OverflowError,
    EOFError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The files of a zip by path (`/` between folders, as written otherwise), without folders and junk."""

    raw: bytes
    files: dict[str, zipfile.ZipInfo]
    defects: tuple[Defect, ...] = ()

    def read(self, path: str) -> bytes:
        """The bytes of one file, exactly as many as the directory says. Raises Unreadable."""
        entry = self.files[path]
        at = entry.header_offset
        local = self.raw[at : at + 30]
        if len(local) < 30 or local[:4] != _LOCAL:
            raise Unreadable("bad-zip", "local header")
        flags, method = struct.unpack_from("<HH", local, 6)
        name_length, extra_length = struct.unpack_from("<HH", local, 26)
        written = self.raw[at + 30 : at + 30 + name_length]
        charset = "ascii" if written.isascii() else "utf-8" if flags & _UTF8 else "cp437"
        name = written.decode(charset, "replace")
        if flags & _ENCRYPTED or method != entry.compress_type or name != entry.orig_filename:
            raise Unreadable("bad-zip", "local header")
        start = at + 30 + name_length + extra_length
        packed = memoryview(self.raw)[start : start + entry.compress_size]
        clear = bytes(packed) if method == zipfile.ZIP_STORED else _inflate(packed, entry.file_size)
        if len(clear) != entry.file_size or zlib.crc32(clear) != entry.CRC:
            raise Unreadable("bad-zip", "size or checksum")
        return clear


def _inflate(packed: memoryview, size: int) -> bytes:
    """One byte more than announced is asked for, so that a longer stream shows (the library's own reader stops)."""
    inflater = zlib.decompressobj(-15)
    try:
        clear = inflater.decompress(packed, size + 1)
    except zlib.error:
        raise Unreadable("bad-zip", "deflate") from None
    if not inflater.eof and len(clear) <= size:
        raise Unreadable("bad-zip", "cut short")
    return clear


def directory_of(raw: bytes) -> bytes | None:
    """The central directory as it lies in the file, None when there is no end record. A zip64 directory, whose place
    the record does not tell, is given as everything before the record."""
    at = raw.rfind(_END, max(0, len(raw) - 65_557))
    if at < 0 or at + 22 > len(raw):
        return None
    (size,) = struct.unpack_from("<I", raw, at + 12)
    return raw[:at] if size == 0xFFFFFFFF else raw[max(0, at - size) : at]


def open_shelf(raw: bytes, limits: Limits) -> Shelf:
    """Raises Unreadable when the file is no zip or has too many entries; every other refusal is found in one pass and
    then leaves no file on the shelf, only grave defects."""
    directory = directory_of(raw)
    if directory is None:
        raise Unreadable("bad-zip", "no directory")
    # Asked before the library parses the directory: it would build an object for each of a million entries.
    if directory.count(_ENTRY) > limits.entries:
        raise Unreadable("too-many-entries")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as opened:
            entries, start_of_directory = opened.infolist(), opened.start_dir
    except _BAD_DIRECTORY:
        raise Unreadable("bad-zip", "directory") from None
    if len(entries) > limits.entries:
        raise Unreadable("too-many-entries")
    return _shelve(raw, entries, start_of_directory, limits)


def _shelve(raw: bytes, entries: list[zipfile.ZipInfo], start_of_directory: int, limits: Limits) -> Shelf:
    found: dict[str, Defect] = {}
    files: dict[str, zipfile.ZipInfo] = {}
    taken: set[str] = set()
    junk = 0
    for entry in entries:
        for defect in _faults(entry):
            found.setdefault(defect.code, defect)
        path = "/".join(part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", "."))
        if is_junk(path):
            junk += 1
        elif not entry.filename.endswith(("/", "\\")):
            folded = path.casefold()
            if folded in taken:
                found.setdefault("duplicate-name", grave("duplicate-name"))
            taken.add(folded)
            files[path] = entry
    bomb = _bomb(entries, start_of_directory, limits)
    if bomb:
        found["bomb"] = grave("bomb", bomb)
    if found:
        return Shelf(raw, {}, tuple(found.values()))
    return Shelf(raw, files, (mild("junk", str(junk)),) if junk else ())


def _faults(entry: zipfile.ZipInfo) -> list[Defect]:
    """What makes the archive unacceptable in one entry. The name is judged as written: the library cuts at NUL."""
    written = entry.orig_filename.replace("\\", "/")
    faults = []
    if (
        not written
        or written[0] == "/"
        or _DRIVE.match(written)
        or _CONTROL.search(written)
        or ".." in written.split("/")
    ):
        faults.append(grave("unsafe-name"))
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        faults.append(grave("link"))
    if entry.flag_bits & _ENCRYPTED:
        faults.append(grave("encrypted"))
    elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        faults.append(grave("bad-zip", "method"))
    return faults


def _bomb(entries: list[zipfile.ZipInfo], start_of_directory: int, limits: Limits) -> str:
    """Why it is a bomb, empty when it is none."""
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if unpacked > limits.unpacked:
        return "size"
    for size, room in [(unpacked, packed), *((entry.file_size, entry.compress_size) for entry in entries)]:
        if size > _RATIO_FROM and size > room * limits.ratio:
            return "ratio"
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            return "overlap"
        end = entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size
    return "overlap" if end > start_of_directory else ""


def is_junk(path: str) -> bool:
    """What file managers and editors leave behind."""
    parts = path.casefold().split("/")
    return not _JUNK_FOLDERS.isdisjoint(parts) or parts[-1].startswith("._") or parts[-1].endswith((".swp", "~"))
