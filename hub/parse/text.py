"""Bytes to text: charsets, RFC 2047 encoded words, HTML stripped to what a human would read.

Everything is linear in the size of its input and never raises. The rule for bytes of a doubtful charset (libs.md §6,
measured: guessers are wrong on short French texts): the declared charset, else strict UTF-8, else cp1252 with
replacement; a declared charset that is unknown or does not fit leaves a doubt.
"""

from __future__ import annotations

import binascii
import codecs
import html
import re
import unicodedata
from functools import lru_cache

from hub.parse.doubts import Doubts

# Codecs that a mail may name, by their canonical Python name. An allow-list: Python also calls `punycode`, `idna`
# (both quadratic), `unicode_escape` and `rot13` text encodings.
_CHARSETS = frozenset(
    {"ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "mac-roman", "koi8-r"}
    | {"koi8-u", "gb2312", "gbk", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr", "iso2022_jp", "cp949"}
    | {f"iso8859-{n}" for n in range(1, 17)}
    | {f"cp{n}" for n in (437, 850, 852, 858, 860, 863, 865, 866, *range(1250, 1259))}
)
_ALIASES = {
    "x-mac-roman": "mac-roman",
    "ansi": "cp1252",
    "x-ansi": "cp1252",
    "x-cp1252": "cp1252",
    "ansi_1252": "cp1252",
}
_CHARSET_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,39}")

# Both forms of RFC 2047 §2. Blanks inside the text are against the rule and usual. Each `[^?]*` ends at the next
# question mark, so the whole search is linear.
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([BbQq])\?([^?]*)\?=")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
# What turns the reading direction, or ends a line where none is seen.
_HIDDEN_SIGNS = re.compile(r"[\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff]")

_C1 = re.compile(r"[\x80-\x9f]")  # what cp1252 texts show when they are read as ISO 8859-1

KEPT_MOST = 500  # bytes of a header whose reading is kept: a subject is asked for twice, authors write again
HTML_MOST = 2_000_000  # characters of HTML looked at; a body for human eyes is shorter


@lru_cache(maxsize=256)
def codec_of(charset: str) -> str | None:
    """The Python codec of a declared charset, None when it is unknown or not one for mail."""
    name = charset.strip().lower()
    if not _CHARSET_FORM.fullmatch(name):
        return None
    try:
        codec = codecs.lookup(_ALIASES.get(name, name)).name
    except (LookupError, ValueError):
        return None
    return codec if codec in _CHARSETS else None


def to_text(raw: bytes, charset: str | None, doubts: Doubts, detail: str) -> str:
    """`raw` by the rule above. What is called ISO 8859-1 or ASCII and holds bytes of cp1252 is read as cp1252."""
    if raw.isascii() and charset is None:
        return raw.decode("ascii")
    if charset:
        codec = codec_of(charset)
        if codec is None:
            doubts.add("unknown-charset", detail)
        else:
            try:
                text = raw.decode(codec)
                if codec != "iso8859-1" or not _C1.search(text):
                    return text
                return raw.decode("cp1252", "replace")
            except UnicodeError:
                doubts.add("bad-charset", detail)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        if not charset:
            doubts.add("bad-charset", detail)
        return raw.decode("cp1252", "replace")


def header_text(value: bytes, doubts: Doubts, detail: str) -> str:
    """The value of an unstructured header: encoded words decoded, 8-bit bytes by the rule, controls made blanks, signs
    that turn the reading direction dropped."""
    if value.isascii() and b"=?" not in value and (plain := value.decode("ascii")).isprintable():
        return plain.strip()
    text, codes = _decoded_before(value) if len(value) <= KEPT_MOST else _decoded(value)
    for code in codes:
        doubts.add(code, detail)
    return text


def _decoded(value: bytes) -> tuple[str, tuple[str, ...]]:
    """(the text, the codes of the doubts about it)."""
    doubts = Doubts()
    text = to_text(value, None, doubts, "")
    if "=?" in text:
        text = decode_words(text, doubts)
    if not text.isprintable():
        text = _HIDDEN_SIGNS.sub("", _CONTROLS.sub(" ", text))
    return text.strip(), tuple(doubt.code for doubt in doubts.all())


_decoded_before = lru_cache(maxsize=256)(_decoded)


def decode_words(text: str, doubts: Doubts, detail: str = "") -> str:
    """RFC 2047. Blanks between two words vanish (§6.2); neighbours of one charset are joined as bytes before they
    are decoded, since many writers cut inside a character."""
    pieces: list[str] = []
    pending: list[bytes] = []
    charset, at = "", 0

    def flush() -> None:
        if pending:
            pieces.append(to_text(b"".join(pending), charset or None, doubts, detail))
            pending.clear()

    for word in _WORD.finditer(text):
        between = text[at : word.start()]
        named = word[1].split("*", 1)[0].lower()  # RFC 2231 §5: charset*language
        if between.strip() or not pending:
            flush()
            pieces.append(between)
        elif named != charset:
            flush()
        charset, at = named, word.end()
        pending.append(_word_bytes(word[2], word[3]))
    flush()
    pieces.append(text[at:])
    return "".join(pieces)


def _word_bytes(encoding: str, text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(raw.replace(b" ", b"_"), header=True)
    kept = _NOT_BASE64.sub(b"", raw)
    return binascii.a2b_base64(kept[: len(kept) - 1 if len(kept) % 4 == 1 else None] + b"==")


def clean_line(text: str, most: int) -> str:
    """One printable line, NFC, at most `most` characters; what could turn the reading direction is removed."""
    if text.isascii() and text.isprintable():
        return text[:most].strip()
    line = unicodedata.normalize("NFC", _CONTROLS.sub(" ", text[: 4 * most]))
    if line.isprintable():  # so says Python of a line without a sign of these categories
        return line[:most].strip()
    return "".join(c for c in line if unicodedata.category(c) not in ("Cf", "Cs", "Zl", "Zp"))[:most].strip()


# --- HTML -----------------------------------------------------------------------------------------------------------

_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9]{0,15})")
_LINES = frozenset(  # elements that begin a line
    {"address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "footer", "form", "header", "hr", "li", "ol"}
    | {"p", "pre", "section", "table", "tbody", "td", "th", "title", "tr", "ul", "h1", "h2", "h3", "h4", "h5", "h6"}
)
_HIDDEN = frozenset({"script", "style", "head", "template"})
# `html.unescape` gives the digits to int(), which refuses more than 4,300 of them.
_LONG_REFERENCE = re.compile(r"&#(?:[xX][0-9A-Fa-f]{7,}|[0-9]{8,});?")


def strip_html(source: str) -> str:
    """The text of an HTML body. Own scanner: `html.parser` of Python 3.11 is quadratic on broken markup
    (CVE-2025-6069). Scripts, styles and comments are dropped, nothing is fetched, an open tag at the end is dropped."""
    source = source[:HTML_MOST]
    lower = re.sub("[A-Z]+", lambda found: found[0].lower(), source)  # str.lower() may change the length
    pieces: list[str] = []
    unclosed: set[str] = set()
    at = 0
    while at >= 0 and (start := source.find("<", at)) >= 0:
        pieces.append(source[at:start])
        at, left = _after_markup(lower, start, unclosed)
        pieces.append(left)
    if at >= 0:
        pieces.append(source[at:])
    text = html.unescape(_LONG_REFERENCE.sub("\ufffd", "".join(pieces)))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _after_markup(lower: str, start: int, unclosed: set[str]) -> tuple[int, str]:
    """Where the markup that begins at `start` ends (-1: never), and what it leaves in the text. `unclosed` remembers
    the elements known to have no end, so that their end is looked for once."""
    if lower.startswith("<!--", start):
        end = lower.find("-->", start + 4)
        return (end + 3 if end >= 0 else -1), ""
    tag = _TAG.match(lower, start)
    if tag is None and not lower.startswith(("<!", "<?", "</"), start):
        return start + 1, "<"
    end = lower.find(">", start)
    if end < 0:
        return -1, ""
    if tag and tag[1] in _HIDDEN and lower[start + 1] != "/" and tag[1] not in unclosed:
        close = lower.find(f"</{tag[1]}>", end)
        if close >= 0:
            return close + len(tag[1]) + 3, ""
        unclosed.add(tag[1])
    return end + 1, "\n" if tag and tag[1] in _LINES else ""
