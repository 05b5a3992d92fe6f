"""winmail.dat (MS-OXTNEF) unfolded: its attachments and the text of its body.

tnefparse decodes; before it does, the stream is walked here and only the objects that matter are given to it: it copies
the rest of the stream for every object (quadratic), and loops as often as a hostile recipient table says.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from hub.parse.doubts import Doubts
from hub.parse.parameters import safe_name
from hub.parse.text import strip_html, to_text

OBJECTS_MOST = 2_000
COPIES_MOST = 2 * 1024**3  # bytes that tnefparse would copy; a stream of 40 attachments of 1 MB needs 0.1 GB

_OBJECT = struct.Struct("<BHHI")  # level, name, type, length of the value; a checksum of 2 bytes follows the value
_SIGNATURE = b"\x78\x9f\x3e\x22"
_ATTACHMENT = 2  # level
_LONG_NAME = 0x3707  # PidTagAttachLongFilename
_OBJECT_DATA = 0x3701  # PidTagAttachDataObject
_EMBEDDED = b"\x07\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"  # IID_IMessage: a stream inside
_EMBEDDED_DEEP = 10
_NAMED, _MANY = 0x8000, 0x1000
_SIZES = {
    2: 2,
    11: 2,
    3: 4,
    4: 4,
    10: 4,
    5: 8,
    6: 8,
    7: 8,
    20: 8,
    64: 8,
    72: 16,
}  # by property type (MS-OXCDATA §2.11.1)
_VARIABLE = frozenset({0, 13, 30, 31, 258})
_BODY, _MAPI, _ATTACHED_MAPI, _CODEPAGE = 0x800C, 0x9003, 0x9005, 0x9007


@dataclass(frozen=True, slots=True)
class Unfolded:
    """`files` are (name, content); `readable` is False when the stream is broken or too much."""

    readable: bool
    body: str = ""
    files: tuple[tuple[str | None, bytes], ...] = ()


def unfold(raw: bytes) -> Unfolded:
    reduced = _reduced(raw)
    if reduced is None:
        return Unfolded(False)
    from tnefparse import TNEF  # few mails need it: imported by the first that does

    try:
        stream = TNEF(reduced, do_checksum=False)
        files = tuple((_name(item), _bytes(item.data)) for item in stream.attachments)
        return Unfolded(True, _body(stream.body, stream.htmlbody), files)
    except Exception:  # tnefparse promises nothing about broken streams; whatever it raises, it is unreadable
        return Unfolded(False)


def _reduced(raw: bytes, depth: int = 0) -> bytes | None:
    """The same stream with body, properties, codepage and attachments only; None when it is no stream or too long."""
    if not raw.startswith(_SIGNATURE):
        return None
    kept, at, objects, copies = [raw[:6]], 6, 0, 0
    while at + _OBJECT.size <= len(raw):
        level, name, _, length = _OBJECT.unpack_from(raw, at)
        stop = at + _OBJECT.size + length + 2
        objects += 1
        if level == _ATTACHMENT or name in (_BODY, _MAPI, _CODEPAGE):
            kept.append(raw[at:stop])
            copies += len(raw) - at
        if objects > OBJECTS_MOST or copies > COPIES_MOST or level not in (1, _ATTACHMENT) or stop > len(raw):
            return None
        if name in (_MAPI, _ATTACHED_MAPI) and not _is_possible(raw, at + _OBJECT.size, stop - 2, depth):
            return None
        at = stop
    if raw[at:].strip(b"\0"):  # the head of an object that is not there
        return None
    return b"".join(kept) + b"\0"  # tnefparse stops one byte early


def _is_possible(raw: bytes, at: int, stop: int, depth: int) -> bool:
    """Whether a list of properties holds as many of them, and each as many values, as it says (MS-OXTNEF §2.1.3.4):
    tnefparse believes any number. Messages embedded in it are looked through too, it reads them unasked."""
    try:
        return _walked(raw, at, stop, depth)
    except (struct.error, IndexError):  # a number that is not there
        return False


def _walked(raw: bytes, at: int, stop: int, depth: int) -> bool:
    (count,) = struct.unpack_from("<I", raw, at)
    at += 4
    if count > (stop - at) // 4:
        return False
    for _ in range(count):
        if at >= stop:
            return True
        kind, name = struct.unpack_from("<HH", raw, at)
        at = _past_its_name(raw, at + 4) if name >= _NAMED else at + 4
        sort, is_many = kind & ~_MANY, bool(kind & _MANY)
        size = _SIZES.get(sort)
        if size is None and sort not in _VARIABLE:
            return True  # tnefparse goes no further either
        values = 1
        if is_many or size is None:
            (values,) = struct.unpack_from("<I", raw, at)
            at += 4
        if values * (size or 4) > stop - at:
            return False
        if size is not None:
            at += values * size + (2 if size == 2 and values % 2 else 0)
            continue
        for _value in range(values):
            (length,) = struct.unpack_from("<I", raw, at)
            if name == _OBJECT_DATA and raw.startswith(_EMBEDDED, at + 4):
                inner = raw[at + 4 + len(_EMBEDDED) : at + 4 + length]
                if depth >= _EMBEDDED_DEEP or _reduced(inner, depth + 1) is None:
                    return False
            at += 4 + length + -length % 4
            if at > stop + 3:
                return False
    return True


def _past_its_name(raw: bytes, at: int) -> int:
    """Past the GUID of a named property, and its number or its name."""
    by_name, length = struct.unpack_from("<II", raw, at + 16)
    return at + 24 + (length + -length % 4 if by_name else 0)


def _name(item: Any) -> str | None:
    """The long name, else the short one. Read past `item.name`, which knows UTF-8 only and raises."""
    written = [prop.data for prop in item.mapi_attrs if prop.name == _LONG_NAME]
    return next((name for value in (*written, item._name) if (name := safe_name(_text(value)))), None)


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, (bytes, bytearray)) else b""


def _body(plain: object, page: object) -> str:
    text = _text(plain)
    return text or strip_html(_text(page))


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        value = value[0] if value else ""
    if isinstance(value, bytes):  # the stream names its codepage elsewhere, and often wrongly
        value = to_text(value, None, Doubts(), "")
    return str(value or "").replace("\0", "").strip()
