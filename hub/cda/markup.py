"""XML as text: nested calls in, well-formed text out. Cheaper than a tree that is serialised once (performance.md §3).

Names and attributes are ours; every value is escaped, and characters that XML 1.0 forbids are left out, so that no text
of a user can end an element or make a file that no parser opens.
"""

from __future__ import annotations

import re

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'

_CARE = re.compile('[&<>"\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')  # most values need none
# XML 1.0 §2.2 (a carriage return would come back as a line feed).
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def escaped(text: str) -> str:
    """The text as element content."""
    if _CARE.search(text) is None:
        return text
    clean = _FORBIDDEN.sub("", text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def attributes(values: dict[str, str | None]) -> str:
    """` name="value"` for each; None is left out, line ends and tabulators are blanks."""
    written = ""
    for name, value in values.items():
        if value is None:
            continue
        if _CARE.search(value) is not None:
            value = escaped(value).replace("\t", " ").replace("\n", " ")
        written += f' {name}="{value}"'
    return written


def tag(name: str, /, *content: str, **values: str | None) -> str:
    """An element; `content` is markup already (`escaped` for text), empty strings vanish."""
    inner = "".join(content)
    if inner:
        return f"<{name}{attributes(values)}>{inner}</{name}>"
    return f"<{name}{attributes(values)}/>"


def text_tag(name: str, text: str, /, **values: str | None) -> str:
    """An element around text; nothing when the text is empty."""
    return f"<{name}{attributes(values)}>{escaped(text)}</{name}>" if text else ""
