"""XML from nested calls: names and values in, well-formed UTF-8 bytes out. Prefixes are written as given."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element, tostring

Content = Element | str | None


def node(tag: str, attributes: Mapping[str, str] | None = None, *content: Content) -> Element:
    """An element; text, child elements and None (left out) in order."""
    element = Element(tag, dict(attributes or {}))
    for item in content:
        if isinstance(item, Element):
            element.append(item)
        elif item is not None:
            last = element[-1] if len(element) else None
            if last is None:
                element.text = (element.text or "") + item
            else:
                last.tail = (last.tail or "") + item
    return element


def xml_bytes(root: Element) -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode").encode()
