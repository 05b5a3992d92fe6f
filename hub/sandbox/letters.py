"""Mails of the sandbox, as correspondents send them: papers in, the bytes of a whole mail out.

The multipart writer is by hand, so that samples may have the oddities of the field (no Content-Disposition, RFC 2231
names, a forwarded message/rfc822) byte for byte. Document mails carry the archive, the PDF twins, the subject
`XDM/1.0/DDM+…` and the X-MSS headers (mssante.md §4); `Return-Path` is what an operator adds at delivery.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from urllib.parse import quote

from hub.message import comparable
from hub.sandbox.archives import Fault, archive
from hub.sandbox.papers import Paper
from hub.sandbox.people import TILLEULS, Postmaster, Structure

CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One MIME entity: its header lines, its bytes as they stand in the mail."""

    headers: tuple[str, ...]
    body: bytes

    def __bytes__(self) -> bytes:
        return CRLF.join(line.encode("ascii") for line in self.headers) + CRLF * 2 + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What stands on the outside of a mail. `key` makes its Message-ID; `receipt_to` asks for an MDN there."""

    key: str
    sender: Structure | Postmaster
    subject: str
    sent_at: datetime
    to: str = TILLEULS.address
    receipt_to: str | None = None
    return_path: str | None = None  # the sender's address when None; "" is the empty path of machines
    more: tuple[str, ...] = ()  # further header lines, in ASCII

    @property
    def message_id(self) -> str:
        digest = hashlib.sha256(self.key.encode()).hexdigest()[:24]
        return f"<{digest}@{self.sender.address.rpartition('@')[2]}>"


def mail(cover: Cover, content: Part) -> bytes:
    """A whole mail around one MIME entity."""
    path = cover.sender.address if cover.return_path is None else cover.return_path
    lines = [
        f"Return-Path: <{path}>",
        f"From: {_encoded(cover.sender.name)} <{cover.sender.address}>",
        f"To: <{cover.to}>",
        f"Subject: {_encoded(cover.subject)}",
        f"Date: {format_datetime(cover.sent_at)}",
        f"Message-ID: {cover.message_id}",
        "X-MSS-NIL: BACASABLE1",
        *cover.more,
        "MIME-Version: 1.0",
    ]
    if cover.receipt_to:
        lines.insert(4, f"Disposition-Notification-To: <{cover.receipt_to}>")
    return bytes(Part((*lines, *content.headers), content.body))


def document_mail(
    key: str, papers: Iterable[Paper], *, sent_at: datetime, fault: Fault = Fault.NONE, more: tuple[str, ...] = ()
) -> bytes:
    """The conformant mail of some papers of one patient: archive, PDF twins, receipt asked (ECO.2.1.1 to 2.4.3)."""
    kept = list(papers)
    structure = kept[0].structure
    cover = Cover(
        key=key,
        sender=structure,
        subject=subject_of(kept),
        sent_at=sent_at,
        receipt_to=structure.address,
        more=(*mss_headers(kept), *more),
    )
    parts = [
        text(f"Bonjour,\n\nVeuillez trouver ci-joint : {kept[0].title}.\n\n{structure.name}\n"),
        attachment("IHE_XDM.ZIP", "application/zip", archive(kept, fault)),
        *(attachment(twin_name(paper), "application/pdf", paper.pdf) for paper in kept),
    ]
    return mail(cover, mixed(key, parts))


def subject_of(papers: list[Paper]) -> str:
    """`XDM/1.0/DDM+<libellé> <NOM> <prénom> <date>` (ECO.2.1.3)."""
    who = papers[0].patient
    label = papers[0].type_code.label[:40] if len(papers) == 1 else f"{len(papers)} documents"
    born = "/".join(reversed((who.birth_date or "").split("-")))
    words = (label, comparable(who.birth_name), (comparable(who.first_given) or "").title(), born)
    return "XDM/1.0/DDM+" + " ".join(word for word in words if word)


def mss_headers(papers: list[Paper]) -> tuple[str, ...]:
    """X-MSS-CODECDA, and X-MSS-INS: O when the INS and the four traits are there (ECO.2.4.1, 2.4.2)."""
    who = papers[0].patient
    qualified = all((who.ins, who.oid, who.birth_name, who.first_given, who.birth_date, who.sex))
    codes = ",".join(paper.type_code.code for paper in papers)
    return (f"X-MSS-CODECDA: {codes}", f"X-MSS-INS: {'O' if qualified else 'N'}")


def twin_name(paper: Paper) -> str:
    """`AAAAMMJJ_type_NOM_prenom.pdf` (ECO.2.1.6)."""
    who = paper.patient
    label = paper.type_code.label[:40].replace("/", "-").replace("_", " ").strip()
    first = (comparable(who.first_given) or "").title()
    return f"{paper.created_at:%Y%m%d}_{label}_{comparable(who.birth_name) or ''}_{first}.pdf"


def text(words: str) -> Part:
    headers = ("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64")
    return Part(headers, base64_lines(words.replace("\n", "\r\n").encode()))


def attachment(name: str, media_type: str, raw: bytes) -> Part:
    """A named attachment, the way most clients write it."""
    headers = (
        f"Content-Type: {media_type}",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: attachment; {parameter('filename', name)}",
    )
    return Part(headers, base64_lines(raw))


def bare(media_type: str, raw: bytes, *, name: str = "") -> Part:
    """An attachment without Content-Disposition: its name, if any, stands in Content-Type only."""
    named = f"; {parameter('name', name)}" if name else ""
    return Part((f"Content-Type: {media_type}{named}", "Content-Transfer-Encoding: base64"), base64_lines(raw))


def forwarded(raw: bytes) -> Part:
    return Part(("Content-Type: message/rfc822", "Content-Disposition: inline"), raw)


def mixed(key: str, parts: Iterable[Part], subtype: str = "mixed") -> Part:
    """A multipart around parts; `subtype` may hold parameters (`report; report-type=delivery-status`)."""
    boundary = f"=_{hashlib.sha256(f'boundary {key}'.encode()).hexdigest()[:24]}"
    opening = f"--{boundary}".encode()
    body = b"".join(opening + CRLF + bytes(part) + CRLF for part in parts) + opening + b"--" + CRLF
    return Part((f'Content-Type: multipart/{subtype}; boundary="{boundary}"',), body)


def parameter(name: str, value: str) -> str:
    """A MIME parameter; RFC 2231 when it is not ASCII."""
    if value.isascii():
        return f'{name}="{value}"'
    return f"{name}*=utf-8''{quote(value, safe='')}"


def base64_lines(raw: bytes) -> bytes:
    return base64.encodebytes(raw).replace(b"\n", CRLF)


def _encoded(words: str) -> str:
    return words if words.isascii() else Header(words, "utf-8").encode(linesep="\r\n")
