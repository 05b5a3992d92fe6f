"""Structured header values: `type/subtype; name=value…`, RFC 2045 §5.1 and RFC 2231, and the names of files in them.

Tolerant of what is met in the field: blanks and comments anywhere, unquoted blanks, RFC 2047 words inside quotes,
`filename*` in quotes or without a charset, `%C3%A9` without any declaration, raw 8-bit bytes. Linear, never raises.
Values are `str` of latin-1, that is bytes in disguise, until `file_name` decides what they spell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from hub.parse.doubts import Doubts
from hub.parse.text import clean_line, codec_of, decode_words, to_text

KEPT_MOST = 200  # bytes of a value whose reading is kept: `text/plain; charset=utf-8` stands in every mail
NAME_MOST = 150  # characters of a file name, its extension kept

_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*+)"([^;]*)|([^;]*))', re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\])')
_SECTION = re.compile(r"([^*]+)(?:\*([0-9]{1,4}))?(\*)?")
_EXTENDED = re.compile(r"([A-Za-z0-9_.:+-]*)'([A-Za-z0-9-]*)'(.*)", re.DOTALL)
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class Structured:
    """`main` is the value before the first semicolon, lower case; `parameters` in order, names lower case."""

    main: str
    parameters: tuple[tuple[str, str], ...] = ()
    text_after_quote: bool = False

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.parameters if key == name), None)

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.parameters if key == name]


def read_structured(raw: bytes, comments: bool = True) -> Structured:
    """`comments`: take `(…)` after a blank for a comment (RFC 5322 §3.2.2); off where sloppy writers put file names."""
    return (_read_before if len(raw) <= KEPT_MOST else _read)(raw, comments)


def _read(raw: bytes, comments: bool) -> Structured:
    value = raw.decode("latin-1")
    if comments and "(" in value:
        value = without_comments(value)
    main, semicolon, _ = value.partition(";")
    parameters = []
    odd = False
    if semicolon:
        for found in _PARAMETER.finditer(value, len(main)):
            name, quoted, rest, plain = found.groups()
            odd = odd or bool(rest and rest.strip())
            text = plain.strip() if quoted is None else quoted
            if quoted and "\\" in quoted:
                text = _ESCAPE.sub(r"\1", quoted)
            parameters.append((name.lower(), text))
    return Structured("".join(main.split()).lower(), tuple(parameters), odd)


_read_before = lru_cache(maxsize=256)(_read)


def without_comments(value: str) -> str:
    """`value` without its comments, nested ones included; quoted strings are left alone. A comment begins at the
    start, after a blank or after a semicolon: `doc(1).pdf` has none."""
    kept: list[str] = []
    depth, quoted, escaped, before = 0, False, False, " "
    for character in value:
        if escaped:
            escaped = False
        elif character == "\\" and (quoted or depth):
            escaped = True
        elif character == '"' and not depth:
            quoted = not quoted
        elif character == "(" and not quoted and (depth or before in " \t;"):
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            before = " "
            continue
        if not depth:
            kept.append(character)
            before = character
    return "".join(kept)


def file_name(disposition: Structured, content_type: Structured, doubts: Doubts, place: str) -> str | None:
    """The name that the sender gave: `filename` before `name`, the RFC 2231 form before the plain one."""
    for structured, wanted in ((disposition, "filename"), (content_type, "name")):
        written = _written_name(structured, wanted, doubts, place)
        if written and (name := safe_name(written)):
            return name
    return None


def _written_name(structured: Structured, wanted: str, doubts: Doubts, place: str) -> str | None:
    sections: dict[int, tuple[str, bool]] = {}
    plain: str | None = None
    for key, value in structured.parameters:
        if not key.startswith(wanted):
            continue
        found = _SECTION.fullmatch(key)
        if found is None or found[1] != wanted:
            continue
        if found[2] is None and found[3] is None:
            plain = value if plain is None else plain
        else:
            sections.setdefault(int(found[2] or 0), (value, found[3] is not None))
    if sections:
        return _joined(sections, doubts, place)
    return None if plain is None else _plain_name(plain, doubts, place)


def _joined(sections: dict[int, tuple[str, bool]], doubts: Doubts, place: str) -> str:
    """RFC 2231 §3 and §4. The charset stands in the first section; a prefix that is none belongs to the name
    (`L'été d'Éloïse.pdf` written without charset has two apostrophes of its own)."""
    ordered = [sections[number] for number in sorted(sections)]
    charset: str | None = None
    first, extended = ordered[0]
    if extended and (prefix := _EXTENDED.fullmatch(first)) and _is_a_prefix(prefix[1], prefix[3]):
        charset, ordered[0] = prefix[1] or None, (prefix[3], True)
    if not any(section_extended for _, section_extended in ordered):
        return _plain_name("".join(value for value, _ in ordered), doubts, place)
    raw = b"".join(
        unquote_to_bytes(value.encode("latin-1")) if is_extended else value.encode("latin-1")
        for value, is_extended in ordered
    )
    return to_text(raw, charset, doubts, place)


def _is_a_prefix(charset: str, rest: str) -> bool:
    """An unknown charset is still a prefix when it looks like one: a digit in it, as in `utf-9` or `iso-8859-99`."""
    return not charset or codec_of(charset) is not None or (len(charset) > 2 and any(c.isdigit() for c in charset))


def _plain_name(value: str, doubts: Doubts, place: str) -> str:
    text = to_text(value.encode("latin-1"), None, doubts, place)
    if "=?" in text:
        return decode_words(text, doubts, place)
    if " " not in text and _PERCENT.search(text):
        try:
            return unquote_to_bytes(text).decode("utf-8")
        except UnicodeDecodeError:
            return text
    return text


def safe_name(written: str) -> str | None:
    """The last path part of a name, printable, NFC, short enough; None when nothing is left. A name from outside is
    shown and compared, never used as a path."""
    line = clean_line(written, 4_096)
    name = " ".join(line.replace("\\", "/").rsplit("/", 1)[-1].split())
    if not name.strip(". "):
        return None
    if len(name) > NAME_MOST:
        stem, dot, extension = name.rpartition(".")
        name = f"{stem[: NAME_MOST - len(extension) - 1]}.{extension}" if dot and len(extension) <= 10 else name
    return name[:NAME_MOST]
