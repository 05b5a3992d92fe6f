"""What a human wrote in the mail itself: the plain text, else the HTML stripped to text, cut at `BODY_MOST`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hub.parse.doubts import Doubts
from hub.parse.leaf import Leaf
from hub.parse.sort import is_attached
from hub.parse.text import strip_html, to_text

BODY_MOST = 100_000  # characters


def body_of(leaves: Iterable[Leaf], tnef_body: str, doubts: Doubts) -> str:
    """Texts of the mail itself come first, then that of winmail.dat, then its HTML; a mail that only carries another
    one has the text of that one."""
    shown = [leaf for leaf in leaves if not leaf.around.returned and not is_attached(leaf)]
    own = [leaf for leaf in shown if not leaf.around.forwarded]
    carried = [leaf for leaf in shown if leaf.around.forwarded]
    for texts in (
        _plain(own, doubts),
        iter([tnef_body]),
        _html(own, doubts),
        _plain(carried, doubts),
        _html(carried, doubts),
    ):
        if body := _joined(texts):
            return body
    return ""


def _joined(texts: Iterator[str]) -> str:
    kept, size = [], 0
    for text in texts:
        if text.strip():
            kept.append(text.strip())
            size += len(text)
        if size >= BODY_MOST:
            break
    return "\n\n".join(kept)[:BODY_MOST]


def _plain(leaves: list[Leaf], doubts: Doubts) -> Iterator[str]:
    return (leaf_text(leaf, BODY_MOST, doubts) for leaf in leaves if leaf.media_type == "text/plain")


def _html(leaves: list[Leaf], doubts: Doubts) -> Iterator[str]:
    """HTML is mostly markup: more of it is looked at than is kept."""
    pages = (leaf for leaf in leaves if leaf.media_type in ("text/html", "application/xhtml+xml"))
    return (strip_html(leaf_text(leaf, 10 * BODY_MOST, doubts)) for leaf in pages)


def leaf_text(leaf: Leaf, most: int, doubts: Doubts) -> str:
    """The beginning of a text leaf, line ends as `\\n`. A long one is cut at a line end, so that no character of
    several bytes is cut."""
    raw = leaf.content
    if len(raw) > 4 * most:
        raw = raw[: raw.rfind(b"\n", 0, 4 * most) + 1 or 4 * most]
    text = to_text(raw, leaf.charset, doubts, f"part {leaf.path}")
    return text.replace("\r\n", "\n").replace("\0", "")[:most]
