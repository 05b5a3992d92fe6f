"""The floor: the bare calls that no reader of these messages can do without, on the same messages, nothing else.

base64 of both attachments, inflate of METADATA and CDA, SHA-1 of the document and SHA-256 of the message and the
document, two XML parses, base64 of the N1 body, one durable write (new file, fsync, rename, fsync of the folder). No
MIME reading (one regular expression finds the attachments), no matching, no database.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import time
import zipfile
from pathlib import Path

from lxml import etree

_PARTS = re.compile(rb"Content-Disposition: attachment;[^\r]*\r\n\r\n(.*?)\r\n--", re.DOTALL)
_BODY = re.compile(rb"<text [^>]*>([^<]+)</text>")


def floor_cpu(messages: list[bytes], folder: Path) -> float:
    """CPU milliseconds (user and system) a message."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    for number, raw in enumerate(messages):
        _one(raw, folder, number)
    return (time.process_time() - began) * 1000 / len(messages)


def _one(raw: bytes, folder: Path, number: int) -> None:
    hashlib.sha256(raw).hexdigest()
    archive, *_twins = [base64.b64decode(part) for part in _PARTS.findall(raw)]
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        metadata, document = opened.read("IHE_XDM/SUBSET01/METADATA.XML"), opened.read("IHE_XDM/SUBSET01/DOC0001.XML")
    hashlib.sha1(document, usedforsecurity=False).hexdigest()
    hashlib.sha256(document).hexdigest()
    etree.fromstring(metadata.strip())
    etree.fromstring(document, etree.XMLParser(huge_tree=True))
    body = _BODY.search(document)
    assert body is not None
    base64.b64decode(body[1])
    _durable(folder, number, raw)


def _durable(folder: Path, number: int, raw: bytes) -> None:
    part, whole = folder / f"{number}.part", folder / f"{number}"
    with open(part, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, whole)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
