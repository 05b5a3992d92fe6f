"""Reads blocks of fields (`Name: value`, folded lines), the common form of MDN and DSN bodies, however broken.

Bytes in, groups of fields out: a blank line starts a new group. Anything that is no field and no continuation is
passed over. Nothing raises; a body is read up to `MOST` bytes, an honest one has less than 4 KB.
"""

from __future__ import annotations

import re
from email.errors import MessageError
from email.header import decode_header, make_header

MOST = 64 * 1024
_ENCODED_MOST = 4096  # characters; decoding many encoded words is slow (libs.md §10)
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,60})[ \t]*:(.*)", re.DOTALL)
_LINE_END = re.compile(r"\r\n|\r|\n")

Group = list[tuple[str, str]]


def groups_of(raw: bytes) -> list[Group]:
    """The non-empty groups, in order; names in lower case, values unfolded, decoded (RFC 2047) and stripped."""
    groups: list[Group] = []
    here: Group = []
    for line in [*_LINE_END.split(_text(raw[:MOST])), ""]:
        if not line.strip():
            if here:
                groups.append([(name, _decoded(value)) for name, value in here])
            here = []
        elif line[0] in " \t" and here:
            name, value = here[-1]
            here[-1] = (name, f"{value} {line.strip()}")
        elif field := _FIELD.fullmatch(line.strip("\ufeff \t")):
            here.append((field[1].lower(), field[2].strip()))
    return groups


def first(group: Group, *names: str) -> str | None:
    """The first value that is not empty among fields of these names (lower case); None when there is none."""
    return next((value for wanted in names for name, value in group if name == wanted and value), None)


def address_of(value: str | None) -> str | None:
    """The address of `rfc822; someone@domain`, its type and angle brackets gone; None for nothing."""
    if value is None:
        return None
    return value.rpartition(";")[2].strip(" \t<>\"'") or None


def message_id_of(value: str | None) -> str | None:
    """A message id as `<left@right>`: blanks inside gone, missing brackets put back; None for nothing."""
    bare = "".join((value or "").split()).strip("<>")
    return f"<{bare}>" if bare else None


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:  # libs.md §6: cp1252 is what is met when it is not UTF-8
        return raw.decode("cp1252", "replace")


def _decoded(value: str) -> str:
    if "=?" not in value or len(value) > _ENCODED_MOST:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (MessageError, LookupError, UnicodeError, ValueError):
        return value
