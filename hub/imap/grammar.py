"""The words of IMAP: what we write (strings, folder names, UID sets) and what we read (answers cut by `wire`).

Pure functions. Only literals, numbers, flags and dates are read: ENVELOPE and BODYSTRUCTURE are never asked for, since
a quoted string is the server's retelling of a header, not the header. Bad answers raise SurpriseOnWire.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from hub.imap.wire import Answer, SurpriseOnWire

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(rb" ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$")
_TOKEN = re.compile(
    rb'\s*(?:([()])|"((?:[^"\\]|\\.)*)"|(BODY\[[^\]]*\](?:<\d+>)?|[^\s()"]+))', re.IGNORECASE | re.DOTALL
)
# What nearly every item of an answer looks like: `UID 5`, `INTERNALDATE "…"`, `FLAGS (\Seen $Mark)`.
_PLAIN_ITEM = re.compile(rb'[( ]([A-Za-z0-9.]+) (?:(\d+)|"([^"\\]*)"|\(([^\s()"\[\]]*(?: [^\s()"\[\]]+)*)\))(?=[ )])')
_FETCH = re.compile(rb"\* \d+ FETCH ", re.IGNORECASE)
_SECTION = re.compile(rb"BODY\[([^\]]*)\](?:<(\d+)>)?$", re.IGNORECASE)
_CODE = re.compile(rb"\[([A-Za-z0-9.-]{1,32})(?: ([^\]]*))?\]")
# Both begin with a line's end, which `re` jumps to; what begins with an option or with `^` is tried at every byte.
_MESSAGE_ID = re.compile(rb"\nmessage-id[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE)
_END_OF_HEADER = re.compile(rb"\n\r?\n")
UID_MOST = 2**32 - 1  # RFC 3501 §9: UIDs and UIDVALIDITY are nz-numbers of 32 bits
WORDS_MOST = 1_000  # flags of one message, and other words of one FETCH answer: memory, not line length, is the limit
MESSAGE_ID_MOST = 998  # characters kept: RFC 5322 §2.1.1, one line


# --- what we write ------------------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    """An IMAP quoted string. Raises ValueError on what it cannot hold: CR, LF, NUL, 8-bit (RFC 3501 §9)."""
    if not text.isascii() or any(c in text for c in "\r\n\0"):
        raise ValueError("not expressible as a quoted string")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def folder_name(name: str) -> str:
    """A folder's name in modified UTF-7 (RFC 3501 §5.1.3), quoted. Raises ValueError on control characters."""
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise ValueError("a folder name holds no control character")
    out: list[str] = []
    for run in re.findall(r"[\x20-\x7e]+|[^\x20-\x7e]+", name):
        if run.isascii():
            out.append(run.replace("&", "&-"))
        else:
            code = base64.b64encode(run.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
            out.append(f"&{code}-")
    return quoted("".join(out))


def uid_set(uids: Iterable[int]) -> str:
    """`1:3,7` for 1, 2, 3, 7. At least one UID."""
    ranges: list[list[int]] = []
    for uid in sorted(set(uids)):
        if ranges and uid == ranges[-1][1] + 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in ranges)


def written_date(at: datetime) -> str:
    """INTERNALDATE as APPEND wants it, quoted; `at` is aware."""
    return f'"{at.day:02d}-{_MONTHS[at.month - 1]}-{at.year:04d} {at:%H:%M:%S %z}"'


def day_word(day: date) -> str:
    """As SEARCH wants it (RFC 3501 §9, date)."""
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year:04d}"


# --- what we read -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One FETCH answer. None stands for what it did not say; `body` is a literal, `origin` where it starts."""

    uid: int | None = None
    size: int | None = None
    flags: frozenset[str] | None = None
    received_at: datetime | None = None
    body: bytes | None = None
    origin: int = 0


def read_fetch(answer: Answer) -> Fetched | None:
    """None when the answer is no FETCH. Raises SurpriseOnWire."""
    start = _FETCH.match(answer[0])
    if start is None:
        return None
    items = _plain_items(answer, start.end()) or _items(answer, start.end())
    body: bytes | None = None
    origin = 0
    for name, value in items:
        if (section := _SECTION.match(name)) and isinstance(value, bytes):
            body, origin = value, int(section.group(2) or 0)
    named = {name.upper(): value for name, value in items}
    flags = named.get(b"FLAGS")
    date = named.get(b"INTERNALDATE")
    return Fetched(
        uid=_number(named.get(b"UID")),
        size=_number(named.get(b"RFC822.SIZE")),
        flags=frozenset(f.decode("ascii", "replace") for f in flags) if isinstance(flags, tuple) else None,
        received_at=read_date(date) if isinstance(date, bytes) else None,
        body=body,
        origin=origin,
    )


Value = bytes | tuple[bytes, ...] | None


def _plain_items(answer: Answer, start: int) -> list[tuple[bytes, Value]]:
    """The same as `_items`, for an answer of plain items only, as most are: a third of the work. Empty for others,
    and for those that are long enough to hold too many words."""
    text, position = answer[0], start
    if len(answer) > 1 or len(text) > WORDS_MOST or text[start : start + 1] != b"(" or b"NIL" in text.upper():
        return []
    items: list[tuple[bytes, Value]] = []
    while found := _PLAIN_ITEM.match(text, position):
        name, number, string, words = found.groups()
        items.append((name, tuple(words.split()) if words is not None else string if number is None else number))
        position = found.end()
    return items if text[position:] == b")" else []


def _items(answer: Answer, start: int) -> list[tuple[bytes, Value]]:
    """Names and values of `(NAME value NAME (a b) NAME {literal})`; lists in lists are flattened."""
    items: list[tuple[bytes, Value]] = []
    name: bytes | None = None
    inner: list[bytes] = []
    depth = 0
    for token, is_sign in tokens(answer, start):
        if is_sign and token == b"(":
            depth += 1
            inner = inner if depth > 2 else []
        elif is_sign:
            depth -= 1
            if depth == 1 and name is not None:
                items.append((name, tuple(inner)))
                name = None
            elif depth == 0:
                return items
        elif depth >= 2:
            inner.append(token or b"")
            if len(inner) > WORDS_MOST:
                raise SurpriseOnWire("answer-cap")
        elif name is None:
            name = token
        else:
            items.append((name, token))
            name = None
            if len(items) > WORDS_MOST:
                raise SurpriseOnWire("answer-cap")
    raise SurpriseOnWire("fetch-syntax")


def tokens(answer: Answer, start: int) -> Iterator[tuple[bytes | None, bool]]:
    """(token, whether it is a parenthesis); None for NIL."""
    for index, part in enumerate(answer):
        if index % 2:
            yield part, False
            continue
        position = start if index == 0 else 0
        while position < len(part):
            found = _TOKEN.match(part, position)
            if found is None:
                if part[position:].strip():
                    raise SurpriseOnWire("fetch-syntax")
                break
            position = found.end()
            sign, string, atom = found.groups()
            if sign is not None:
                yield sign, True
            elif string is not None:
                yield re.sub(rb"\\(.)", rb"\1", string), False
            else:
                yield (None if atom.upper() == b"NIL" else atom), False


def _number(value: Value) -> int | None:
    return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) <= 19 else None


def read_date(text: bytes) -> datetime | None:
    """An INTERNALDATE in UTC; None when it is none (some servers send year 0, and whoever APPENDs may name any)."""
    found = _DATE.match(text)
    if found is None or found.group(2).decode().title() not in _MONTHS:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = (g.decode() for g in found.groups())
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes)) * (-1 if sign == "-" else 1)
    try:
        local = datetime(int(year), _MONTHS.index(month.title()) + 1, int(day), int(hour), int(minute), int(second))
        moment = local.replace(tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if 1970 <= moment.year < 9999 else None  # with these one can count on, in any zone


def read_search(answer: Answer) -> list[int]:
    """The numbers of one SEARCH answer; empty for other answers. Raises SurpriseOnWire."""
    words = answer[0].split()
    if len(words) < 2 or words[1].upper() != b"SEARCH":
        return []
    if not all(word.isdigit() and len(word) <= 10 for word in words[2:]):
        raise SurpriseOnWire("search-syntax")
    found = [int(word) for word in words[2:]]
    if max(found, default=0) > UID_MOST:
        raise SurpriseOnWire("search-syntax")
    return found


def nz_number(text: str) -> int | None:
    """A UIDVALIDITY or UIDNEXT; None when it is none: 0, more than 32 bits, no number."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0
    return number if 0 < number <= UID_MOST else None


def response_code(text: bytes) -> tuple[str, str]:
    """(`UIDNEXT`, `12`) of a status text `[UIDNEXT 12] …`; two empty strings when it has no code."""
    found = _CODE.match(text)
    if found is None:
        return "", ""
    return found.group(1).decode("ascii").upper(), (found.group(2) or b"").decode("ascii", "replace")


def message_id_in(head: bytes) -> str | None:
    """The first Message-ID of a header block, unfolded, as found; None when there is none or it is empty."""
    end = _END_OF_HEADER.search(head)
    found = _MESSAGE_ID.search(b"\n" + head[: end.start() if end else None])
    if found is None:
        return None
    return " ".join(found.group(1).decode("ascii", "replace").split())[:MESSAGE_ID_MOST] or None
