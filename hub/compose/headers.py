"""Writes header lines: RFC 2047 where a word is not ASCII, folded, and proof against injection.

Text in, `bytes` with CRLF out. Control characters and line ends of any alphabet become blanks, so no value can
start a header of its own. Written by hand because composing with `EmailMessage` costs fifty times more
(performance.md §5).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_FOLD = 76  # RFC 2047 §2: a line with an encoded word has at most 76 characters
_PIECE_MOST = 63  # characters of one encoded word: with `=?utf-8?q?` and `?=` 75 (RFC 2047 §2)
_PLAIN_MOST = 70  # a longer run without blank is cut into encoded words
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_SAFE_OCTETS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")  # RFC 2047 §5 (3)
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")


def one_line(text: str) -> str:
    """The text on one line: control characters, line and paragraph separators are blanks, runs of blanks one."""
    if text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text).split())


def text_header(name: str, text: str) -> bytes:
    """An unstructured header (Subject): words that are not ASCII are encoded, the others stay readable."""
    return _folded(name, _encoded(one_line(text)))


def plain_header(name: str, value: str) -> bytes:
    """A structured header whose value is ASCII already; anything else in it becomes `?`. Folded at blanks."""
    return _folded(name, one_line(value).encode("ascii", "replace").decode().split(" "))


def address_header(name: str, address: str, display_name: str = "") -> bytes:
    """`Name: Display Name <address>` (ECO.2.2.7)."""
    bare = f"<{''.join(one_line(address).split()).strip('<>')}>".encode("ascii", "replace").decode()
    shown = one_line(display_name)
    if not shown:
        words = []
    elif not shown.isascii() or "=?" in shown:
        words = _encoded(shown, every_word=True)
    elif _ATOMS.fullmatch(shown):
        words = shown.split(" ")
    else:
        words = ['"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"']
    return _folded(name, [*words, bare])


def address_list(name: str, addresses: Iterable[str]) -> bytes:
    """`Name: <one@…>, <other@…>`, bare addresses."""
    bare = [
        f"<{''.join(one_line(address).split()).strip('<>')}>".encode("ascii", "replace").decode()
        for address in addresses
    ]
    return _folded(name, [*(f"{one}," for one in bare[:-1]), *bare[-1:]])


def ids_header(name: str, ids: Iterable[str]) -> bytes:
    """In-Reply-To, References: message ids, one a line; b"" when none is left."""
    kept = [one for one in map(message_id, ids) if one]
    return f"{name}: {(chr(13) + chr(10) + ' ').join(kept)}\r\n".encode("ascii") if kept else b""


def message_id(value: str | None) -> str | None:
    """A message id with its brackets, blanks gone; None when it is none that could stand in a header."""
    bare = "".join((value or "").split()).strip("<>")
    bracketed = f"<{bare}>"
    return bracketed if _MESSAGE_ID.fullmatch(bracketed) else None


def _folded(name: str, words: list[str]) -> bytes:
    lines, here = [], f"{name}:"
    for word in words:
        if len(here) + 1 + len(word) > _FOLD and here != f"{name}:":
            lines.append(here)
            here = ""
        here += f" {word}"
    return "\r\n".join([*lines, here]).encode("ascii") + b"\r\n"


def _encoded(text: str, every_word: bool = False) -> list[str]:
    """The words of a line, those that need it as encoded words. Neighbours that need it are encoded together, since
    a blank between two encoded words is not shown (RFC 2047 §6.2)."""
    words: list[str] = []
    run: list[str] = []
    for word in [*text.split(" "), None]:
        if word is not None and (every_word or not word.isascii() or "=?" in word or len(word) > _PLAIN_MOST):
            run.append(word)
            continue
        if run:
            words += _encoded_words(" ".join(run))
            run = []
        if word is not None:
            words.append(word)
    return words


def _encoded_words(text: str) -> list[str]:
    """Q encoding, cut between characters, never inside one (RFC 2047 §5)."""
    words, here, length = [], "", 0
    for character in text:
        octets = character.encode("utf-8", "replace")
        piece = "_" if character == " " else "".join(chr(o) if o in _SAFE_OCTETS else f"={o:02X}" for o in octets)
        if length + len(piece) > _PIECE_MOST:
            words.append(f"=?utf-8?q?{here}?=")
            here, length = "", 0
        here += piece
        length += len(piece)
    return [*words, f"=?utf-8?q?{here}?="]
