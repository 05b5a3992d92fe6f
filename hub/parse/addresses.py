"""Address headers: From, To, Disposition-Notification-To, Return-Path (RFC 5322 §3.4).

Own scanner, linear and total: `email.utils.parseaddr("a@good.fr <b@evil.fr>")` gives a@good.fr, and 80 KB of quoted
strings cost it seconds (libs.md §10). An address that can be read in two ways is no address: it is left out, with a
doubt. Addresses are ASCII, as the trust space requires; the domain comes out in lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from hub.parse.doubts import Doubts
from hub.parse.text import clean_line, decode_words, to_text

ADDRESS_MOST = 320  # RFC 5321 §4.5.3.1: 64 for the local part, 255 for the domain
NAME_MOST = 320
KEPT_MOST = 500  # bytes of a header whose reading is kept: the same correspondents write again, to the same mailbox

_TOKEN = re.compile(
    r"""
      "(?P<quoted>(?:[^"\\]|\\.)*+)"
    | "(?P<open>.*)                     # never closed: one look at the rest, not one for each quote in it
    | (?P<space>\s+)
    | <(?P<angle>(?:"(?:[^"\\]|\\.)*+"|[^<>"])*+)>
    | (?P<word>[^\s"()<>,;:\\]+)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ADDRESS = re.compile(
    r"""(?:[A-Za-z0-9!\#$%&'*+/=?^_`{|}~.-]+|"(?:[^"\\\r\n]|\\.)*")"""
    r"@(?P<domain>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f.:]+\])"
)
# `a@b.fr` or `<a@b.fr>` and nothing else, as most headers of one address: no sign in it has a second meaning.
_PLAIN = re.compile(rb"(<)?([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+)(?(1)>)")
_QUOTED_PAIR = re.compile(r"\\(.)")
_SOURCE_ROUTE = re.compile(r"@[^:<>\"]*:")  # obs-route, RFC 5322 §4.4: what counts is what follows
_ANY_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")


@dataclass(frozen=True, slots=True)
class Address:
    """`address` is bare; `name` is decoded, for display only."""

    address: str
    name: str = ""


def read_addresses(value: bytes, doubts: Doubts, header: str) -> tuple[Address, ...]:
    """All addresses of a header, groups opened. What cannot be read in one way only leaves `bad-address`."""
    found, codes = _read_before(value) if len(value) <= KEPT_MOST else _read(value)
    for code in codes:
        doubts.add(code, header)
    return found


def _read(value: bytes) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    """(the addresses, the codes of the doubts about them)."""
    plain = _PLAIN.fullmatch(value)
    if plain and (address := _clean(plain[2].decode("ascii"))):
        return (Address(address),), ()
    scanner = _Scanner()
    for token in _TOKEN.finditer(value.decode("latin-1")):
        scanner.take(token.lastgroup or "", token[token.lastgroup or 0], token[0])
    scanner.end_address()
    return tuple(scanner.found), tuple(doubt.code for doubt in scanner.doubts.all())


_read_before = lru_cache(maxsize=256)(_read)


def read_path(value: bytes, doubts: Doubts) -> str | None:
    """A return path: "" for `<>` (a bounce has none, RFC 5321 §4.5.5), None when it cannot be read."""
    if value.strip() == b"<>":
        return ""
    found = read_addresses(value, doubts, "return-path")
    return found[0].address if len(found) == 1 else None


class _Scanner:
    """Gathers the pieces of one address until a comma ends it."""

    def __init__(self) -> None:
        self.found: list[Address] = []
        self.doubts = Doubts()
        self._in_group = False
        self._reset()

    def _reset(self) -> None:
        self._pieces: list[tuple[str, str]] = []  # (kind, text as written), blanks included
        self._angles: list[str] = []
        self._comment: list[str] = []
        self._depth = 0
        self._escaped = False
        self._bad = False

    def take(self, kind: str, text: str, written: str) -> None:
        if self._depth:
            self._in_comment(written)
        elif kind == "mark":
            self._take_mark(text)
        elif kind == "angle":
            self._angles.append(text)
        elif kind == "open":
            self._bad = True
        else:
            self._pieces.append((kind, text if kind == "quoted" else written))

    def _in_comment(self, written: str) -> None:
        """Inside a comment only parentheses and backslashes count, whatever the token was."""
        for at, character in enumerate(written, 1):
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character in "()":
                self._depth += 1 if character == "(" else -1
                if not self._depth:  # what follows in the token was quoted or not, as one reads it
                    self._bad = self._bad or bool(written[at:].strip())
                    return
            self._comment.append(character)

    def _take_mark(self, mark: str) -> None:
        if mark == "(":
            self._depth = 1
        elif mark == ",":
            self.end_address()
        elif mark == ":" and not self._angles and not self._in_group:
            self._reset()
            self._in_group = True
        elif mark == ";":
            self.end_address()
            self._in_group = False
        else:
            self._bad = True

    def end_address(self) -> None:
        """Settle what was gathered."""
        words = [piece for piece in self._pieces if piece[0] != "space"]
        if words or self._angles or self._bad:
            written = self._angles[0] if self._angles else self._bare()
            address = None if self._bad or len(self._angles) > 1 or self._depth else _clean(written)
            if address is None:
                self.doubts.add("bad-address")
            else:
                self._settle(address)
        self._reset()

    def _bare(self) -> str:
        """`a@b.fr` alone, `"a b"@c.fr`; words apart from each other are not an address."""
        return "".join(f'"{text}"' if kind == "quoted" else text for kind, text in self._pieces)

    def _settle(self, address: str) -> None:
        source = "".join(text for _, text in self._pieces) if self._angles else "".join(self._comment)
        raw = to_text(source.encode("latin-1"), None, self.doubts, "")
        name = clean_line(decode_words(_QUOTED_PAIR.sub(r"\1", raw), self.doubts), NAME_MOST)
        if any(seen.lower() != address.lower() for seen in _ANY_ADDRESS.findall(name)):
            self.doubts.add("misleading-name")
        self.found.append(Address(address, name))


def _clean(written: str) -> str | None:
    address = written.strip()
    if address.startswith("@"):
        address = _SOURCE_ROUTE.sub("", address, count=1).strip()
    found = _ADDRESS.fullmatch(address) if len(address) <= ADDRESS_MOST else None
    if found is None or ".." in found["domain"]:
        return None
    return f"{address[: found.start('domain')]}{found['domain'].lower()}"
