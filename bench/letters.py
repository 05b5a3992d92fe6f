"""The bench's messages: conformant 60 KB mails of the sandbox (archive with an N1, PDF twin), all different."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from hub.sandbox.letters import document_mail
from hub.sandbox.papers import DISCHARGE, Paper
from hub.sandbox.pdf import one_page_pdf
from hub.sandbox.people import HOSPITAL, LINA

BALLAST = 20_000  # bytes of noise in the PDF: a scanned page does not deflate


@dataclass(frozen=True, kw_only=True)
class HeavyPaper(Paper):
    seed: int

    @property
    def pdf(self) -> bytes:
        noise = random.Random(self.seed).randbytes(BALLAST)
        return one_page_pdf(self.title, self.lines, ballast=noise)


def letters(count: int, *, first: int = 0, receipts: bool = True) -> Iterator[bytes]:
    """`count` mails for one known usager (fictional), each a document of its own."""
    at = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    for number in range(first, first + count):
        paper = HeavyPaper(
            name=f"banc-{number}",
            structure=HOSPITAL,
            patient=LINA.identity,
            type_code=DISCHARGE,
            title="Lettre de liaison (fictive)",
            lines=("Document d'essai, personne fictive.", f"Exemplaire {number}."),
            created_at=at,
            seed=number,
        )
        raw = document_mail(f"banc-{number}", [paper], sent_at=at)
        yield raw if receipts else _without_receipt(raw)


def _without_receipt(raw: bytes) -> bytes:
    head, blank, body = raw.partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"disposition-notification-to:")]
    return b"\r\n".join(kept) + blank + body
