"""XML of foreign hand, read as data: no DTD, no entity, no network, no style sheet.

`parse` takes the bytes of a file as they are (byte order mark, leading blanks, UTF-16, a wrong `encoding="utf-16"`) and
gives the root element without comments and processing instructions, so that a text is one piece. It raises Unreadable:
`not-xml`, `doctype`, `too-large` (of tags and attributes). Bounds on the size of the input are the caller's, before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from hub.cda.doubts import Unreadable

Element = etree._Element

_LARGE = 9 * 1024**2  # libxml2 refuses a text node over 10 MB (a PDF over 7.5 MB) unless `huge_tree` is set
_MARKS_MOST = 500_000  # tags and attributes; the largest official sample has 9,000, and each costs 200 bytes of memory
_TEXT_MOST = 1_000  # characters of a title, a name, a code: more is no such thing

# A text of base64 that is cut out before the parser sees it: libxml2 and Python would hold it four times over. What is
# left in its place is its beginning, so that a title of that length reads the same, and a word that tells which it was.
_LIFTED_FROM = 1024**2
_LONG_TEXT = re.compile(rb">([A-Za-z0-9+/=\s]{%d,})(?=<)" % _LIFTED_FROM)
_LIFTED = b"hub-lifted-"

_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff]")

# A charset in which "<!DOCTYPE" is written in ASCII bytes: the look into the prolog would miss it in others.
_ASCII_LIKE = re.compile(r"utf-?8|(us-)?ascii|iso[-_]?8859[-_:]\d{1,2}|latin-?\d|windows-125\d|cp125\d", re.IGNORECASE)
_ENCODING = re.compile(rb"<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")


def _parser(huge: bool, encoding: str | None) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=huge,
        remove_pis=True,
        remove_comments=True,
        encoding=encoding,
    )


# Without `huge_tree`, libxml2 keeps its own bounds (depth, amplification): only a large file gives them up.
_PARSERS = {(huge, encoding): _parser(huge, encoding) for huge in (False, True) for encoding in (None, "utf-8")}


def parse(raw: bytes) -> Element:
    """The root element. Raises Unreadable."""
    text, encoding = plain(raw)
    if _prolog_has_doctype(text):
        raise Unreadable("doctype")
    if len(text) > _MARKS_MOST and text.count(b"<") + text.count(b"=") > _MARKS_MOST:
        raise Unreadable("too-large", "elements")
    try:
        root = etree.fromstring(text, _PARSERS[len(text) > _LARGE, encoding])
    except (etree.XMLSyntaxError, ValueError):
        raise Unreadable("not-xml") from None
    if root is None:
        raise Unreadable("not-xml")
    if root.getroottree().docinfo.internalDTD is not None:
        raise Unreadable("doctype")
    return root


def parse_lifting(raw: bytes) -> tuple[Element, dict[str, memoryview]]:
    """The root element, and the very long texts that were cut out of it by what `text` of their element is now. Raises
    Unreadable."""
    if len(raw) < _LIFTED_FROM or raw[:1] != b"<" or raw[1:2] == b"\0" or _LIFTED in raw:
        return parse(raw), {}
    kept, lifted, at = [], {}, 0
    for number, found in enumerate(_LONG_TEXT.finditer(raw)):
        text = found[1][: 2 * _TEXT_MOST] + _LIFTED + b"%d" % number
        kept += [raw[at : found.start(1)], text]
        lifted[text.replace(b"\r\n", b"\n").decode("ascii").replace("\r", "\n")] = memoryview(raw)[
            slice(*found.span(1))
        ]
        at = found.end(1)
    return parse(b"".join([*kept, raw[at:]]) if lifted else raw), lifted


def plain(raw: bytes) -> tuple[bytes, str | None]:
    """The bytes in a charset like ASCII, and the charset to impose on the parser (None: the one it finds). Raises
    Unreadable when the charset is another."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<"):
        return _from_utf16(raw), "utf-8"
    text = raw.removeprefix(b"\xef\xbb\xbf")
    if text[:1] != b"<":
        text = text.lstrip().removeprefix(b"\xef\xbb\xbf").lstrip()
    declared = _ENCODING.match(text)
    if declared is None or _ASCII_LIKE.fullmatch(name := declared[1].decode("ascii")):
        return text, None
    if name.lower().startswith("utf-16"):  # one byte a character all the same: a text written by a careless program
        return text, "utf-8"
    raise Unreadable("not-xml", "charset")


def _from_utf16(raw: bytes) -> bytes:
    charset = {b"<\x00": "utf-16-le", b"\x00<": "utf-16-be"}.get(raw[:2], "utf-16")
    try:
        return raw.decode(charset).lstrip().encode()
    except UnicodeError:
        raise Unreadable("not-xml", "charset") from None


def _prolog_has_doctype(text: bytes) -> bool:
    at = text.find(b"<")
    while at >= 0:
        if text.startswith(b"<?", at):
            closing, length = text.find(b"?>", at), 2
        elif text.startswith(b"<!--", at):
            closing, length = text.find(b"-->", at + 4), 3
        else:
            return text[at : at + 9].upper() == b"<!DOCTYPE"
        if closing < 0:
            return False
        at = text.find(b"<", closing + length)
    return False


def first(node: Element | None, *path: str) -> Element | None:
    """The first child of each tag in turn (`{namespace}name`), None as soon as one is absent."""
    for tag in path:
        if node is None:
            return None
        node = next(node.iterchildren(tag), None)
    return node


def children(node: Element | None, tag: str) -> Iterator[Element]:
    return iter(()) if node is None else node.iterchildren(tag)


def text_of(node: Element | None) -> str:
    """All text below an element, blanks folded, at most 1,000 characters; empty when there is none."""
    if node is None:
        return ""
    written = node.text or "" if not len(node) else "".join(str(piece) for piece in node.itertext())
    return tidy(written)


def tidy(written: str | None) -> str:
    """Blanks folded, cut; without what a terminal would obey or what turns the reading direction."""
    if not written:
        return ""
    if " " not in written and len(written) <= _TEXT_MOST and written.isprintable():  # one word: ids, codes, most names
        return written
    line = " ".join(written.split())[:_TEXT_MOST]
    return line if line.isprintable() else _OBEYED.sub("", line)


def attribute(node: Element | None, name: str) -> str:
    """An attribute, blanks folded; empty when the element or the attribute is absent."""
    return "" if node is None else tidy(node.get(name))
