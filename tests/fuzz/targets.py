"""What is fuzzed, and what must hold whatever the bytes. A target returns, or what it raises is a finding.

The readers promise to raise nothing on bad content; PDFium is left out (it is not ours, and it runs in the child only).
"""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime

from hub.cda import Codes, looks_like_archive, looks_like_cda, read_archive, read_cda
from hub.encoding import decode, encode
from hub.message import Archive, Document, Limits, ParsedMessage
from hub.parse import Witness, parse, parse_file
from hub.smime import Trust

LIMITS = Limits()
CODES = Codes.empty()
PROCESSOR_MOST = 2.0  # seconds for an input of at most 64 KB
WITNESS = Witness(Trust(), datetime(2026, 6, 15, tzinfo=UTC))
SPLIT = b"\n--hub-fuzz--\n"


class Broken(AssertionError):
    """A promise of a reader was not kept."""


def promise(kept: bool, which: str) -> None:
    if not kept:
        raise Broken(which)


def mime(raw: bytes) -> None:
    message = parse(raw, LIMITS, CODES, read_pdf=False, witness=WITNESS)
    _sound(message)
    promise(message.verdict is None or message.verdict.outcome != "valid", "nobody is trusted, so nothing is valid")
    if len(raw) % 8 == 0:
        again = parse(raw, LIMITS, CODES, read_pdf=False, witness=WITNESS)
        promise(again == message, "the same bytes give the same message")
        _sound(parse_file(raw, LIMITS, CODES, "f.bin", read_pdf=False))


def _sound(message: ParsedMessage) -> None:
    numbers = [leaf.number for leaf in message.attachments]
    promise(numbers == list(range(1, len(numbers) + 1)) and bool(numbers), "leaves are numbered from 1")
    promise(len({leaf.path for leaf in message.attachments}) == len(numbers), "each leaf has a path of its own")
    promise(len(message.attachments) <= LIMITS.parts + 1, "parts are bounded")
    digests = {leaf.number: leaf.sha256 for leaf in message.attachments}
    for document in message.documents:
        _sound_document(document)
        promise(set(document.attachments) <= set(numbers), "documents name leaves that are there")
        loose = document.archive is None
        promise(not loose or digests[document.attachments[0]] == document.sha256, "a loose document is its leaf")
    for text in (message.subject, message.from_name, *(leaf.name or "" for leaf in message.attachments)):
        promise("\n" not in text and "\x1b" not in text and "\0" not in text, "no control in what is shown")
    promise(decode(encode(message), ParsedMessage) == message, "a message crosses the process border")


def _sound_document(document: Document) -> None:
    promise(hashlib.sha256(document.raw).hexdigest() == document.sha256, "a digest is that of the bytes")
    promise(len(document.raw) == document.size, "a size is that of the bytes")
    promise(len(document.title) <= 1_000, "a title is short")


def xdm(raw: bytes) -> None:
    """Half of the inputs are the bytes of a zip; the others METADATA.XML and a document, zipped here."""
    if SPLIT in raw:
        metadata, _, content = raw.partition(SPLIT)
        raw = _zipped(metadata, content)
    looks_like_archive(raw, None, "application/zip")
    archive = read_archive(raw, name="IHE_XDM.ZIP", attachment=1, index=0, limits=LIMITS, codes=CODES)
    for document in archive.documents:
        _sound_document(document)
    promise(decode(encode(archive), Archive) == archive, "an archive crosses the process border")


def _zipped(metadata: bytes, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, written in (("METADATA.XML", metadata), ("DOC0001.XML", content)):
            archive.writestr(zipfile.ZipInfo(f"IHE_XDM/SUBSET01/{name}"), written)
    return stream.getvalue()


def cda(raw: bytes) -> None:
    looks_like_cda(raw)
    document = read_cda(raw, name="a.xml", attachment=1, limits=LIMITS, codes=CODES)
    _sound_document(document)
    promise(document.raw == raw, "a document keeps its bytes")
    promise(decode(encode(document), Document) == document, "a document crosses the process border")


def timed(target: Callable[[bytes], None], raw: bytes) -> None:
    start = time.process_time()
    target(raw)
    promise(time.process_time() - start < PROCESSOR_MOST, "reading is quick")


TARGETS: dict[str, Callable[[bytes], None]] = {"mime": mime, "xdm": xdm, "cda": cda}
