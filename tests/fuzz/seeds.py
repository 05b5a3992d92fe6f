"""The corpus to begin with, from our own makers, and the words that fuzzing puts together."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hub.smime import sign
from tests import cdamaker
from tests.forger import forged, opaque
from tests.forger import mail as signed_mail
from tests.fuzz.targets import SPLIT
from tests.hostile.shapes import SHAPES
from tests.hostile.variants import variant
from tests.hostile.xmls import CDA, METADATA
from tests.mailmaker import PDF, TEXT, attached, mail, mixed, multipart, part, winmail
from tests.signers import AT, ENTITY, Authority, head

SMALL = 16 * 1024  # a larger seed makes every step slow
WORDS: dict[str, tuple[str, ...]] = {
    "mime": (
        "Content-Type: ", "multipart/mixed; boundary=", "multipart/signed", "multipart/report", "multipart/digest",
        "message/rfc822", "message/delivery-status", "message/disposition-notification", "application/pkcs7-mime",
        "application/ms-tnef", "text/html", "text/plain; charset=", "utf-16", "iso-8859-1",
        "Content-Transfer-Encoding: ", "base64", "quoted-printable", "x-uuencode",
        "Content-Disposition: attachment; filename=", "filename*0*=utf-8''", "filename*1=", "name=", "=?utf-8?q?",
        "=?iso-8859-1?b?", "?=", "--=_b1", "--=_b1--", 'boundary="=_b1"', "begin 644 a", "end", "From: ",
        "Subject: ", "Date: ", "To: ", "Message-ID: <", "In-Reply-To: <", "Disposition: ",
        "Final-Recipient: rfc822;", "Action: failed", "Status: 5.1.1", "Original-Message-ID: <", "Auto-Submitted: ",
        "urn:hl7-org:v3", "<ClinicalDocument ", "IHE_XDM.ZIP", "METADATA.XML", "%PDF-", "x@y.fr", "&#x41;",
        "<script>", "<!--", "-->",
    ),
    "xdm": (
        "PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "PK\x06\x06", "PK\x06\x07", "IHE_XDM/SUBSET01/", "METADATA.XML",
        "DOC0001.XML", "<rim:Slot ", "<rim:ExtrinsicObject ", "<rim:Value>", "</rim:Value>", "<rim:Classification ",
        "classificationScheme=", "nodeRepresentation=", "<rim:ExternalIdentifier ", "identificationScheme=",
        "PID-3\\", "PID-5\\", "PID-7\\", "PID-8\\", "PID-11\\", "^^^&1.2.250.1.213.1.4.10&ISO^NH", '"URI"', '"hash"',
        '"size"', '"creationTime"', "urn:action:extraMetadataSlot", ":RPLC", "<!DOCTYPE ", "&amp;", "1\\", "2\\",
    ),
    "cda": (
        'xmlns="urn:hl7-org:v3"', "<ClinicalDocument ", "<recordTarget>", "<patientRole>", '<id root="',
        'extension="', '<birthTime value="', '<family qualifier="BR">', "<given>", 'nullFlavor="UNK"',
        '<effectiveTime value="', '<versionNumber value="', '<relatedDocument typeCode="RPLC">', "<parentDocument>",
        "<nonXMLBody>", '<text representation="B64" mediaType="application/pdf">', "<structuredBody>", "<section>",
        "<templateId root=", "<!DOCTYPE ", "<!ENTITY ", "<![CDATA[", "<?xml ", "encoding=", "utf-16", "&#233;",
        "-->",
    ),
}  # fmt: skip


def seeds(target: str) -> Iterable[bytes]:
    if target == "cda":
        return _documents()
    if target == "xdm":
        pairs = [METADATA + SPLIT + CDA, *(METADATA + SPLIT + raw for raw in _documents())]
        return [*pairs, cdamaker.make_archive(), cdamaker.zip_of(cdamaker.archive_files(), method=0)]
    dice = random.Random(1)
    whole = [
        mail(),
        mixed(TEXT, attached("IHE_XDM.ZIP", cdamaker.make_archive()), attached("a.pdf", PDF)),
        mixed(part("message/rfc822", mixed(TEXT, attached("winmail.dat", winmail(("a.pdf", PDF)))))),
        mixed(multipart("=_r", part("text/html", b"<p>x</p>"), subtype="related"), subtype="signed"),
        mixed(TEXT, attached("document.xml", CDA, "text/xml")),
        *_signed(),
    ]
    shapes = _inside("mime-") + _inside("wrapped-")
    return [*whole, *shapes, *(variant(dice).raw for _ in range(100))]


def _signed() -> list[bytes]:
    signer = Authority("ec").signer()
    blob = forged(ENTITY, signer)
    return [
        head() + sign(ENTITY, signer, AT, "=_b1"),
        signed_mail(ENTITY, blob),
        opaque(forged(ENTITY, signer, inside=ENTITY)),
    ]


def _documents() -> list[bytes]:
    base = cdamaker.Sample()
    changes: list[dict[str, object]] = [
        {},
        {"body": None},
        {"body": None, "pdf_copy": PDF},
        {"replaces": ("2.25.1", "2.25.2^x"), "version": "3"},
        {"person": cdamaker.NOE},
        {"body": b"Bonjour", "media_type": "text/plain", "representation": None, "encoded": "Bonjour"},
        {"effective": "2024", "set_id": None},
    ]
    return [cdamaker.make_cda(replace(base, **change)) for change in changes]  # type: ignore[arg-type]


# Large, or slow to make: not worth a place in a corpus.
SLOW = (
    *("parts", "deep", "words", "body-of", "header", "html", "lookalikes", "uuenc", "file-of", "larger", "only"),
    *("charset", "tnef-values", "tnef-files", "tnef-nested", "tnef-html", "p7m-"),
)


def _inside(sort: str) -> list[bytes]:
    """The small ones among the named shapes (large ones are not even made)."""
    chosen = [s for s in SHAPES if s.name.startswith(sort) and not any(word in s.name for word in SLOW)]
    return [raw for raw in (shape.make() for shape in chosen) if len(raw) < SMALL]


def write_seeds(target: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate(seeds(target)):
        (folder / f"seed-{number:04d}").write_bytes(raw)


def write_words(target: str, file: Path) -> None:
    """libFuzzer's dictionary."""
    file.parent.mkdir(parents=True, exist_ok=True)
    quoted = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in WORDS[target] if word)
    file.write_text("".join(f'"{word}"\n' for word in quoted), encoding="ascii")
