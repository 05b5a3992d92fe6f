"""The letters of a campaign, and what must become of each: this is what the verdict compares with.

In: how many, a seed. Out: `Letter`s in the order in which they are delivered: conformant archives with and without a
receipt asked, some over 96 KB (so that blobs are files), some in two versions, some for a child whom nobody knows
(held), a plain word (held), a machine's answer (noted), copies that a mail program makes in the mailbox (same bytes,
another UID) and letters that the sender's server delivers twice (same Message-ID, other trace lines). All fictional.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from bench.letters import HeavyPaper
from hub.message import Identity
from hub.sandbox.letters import Cover, document_mail, mail, text
from hub.sandbox.papers import DISCHARGE
from hub.sandbox.pdf import one_page_pdf
from hub.sandbox.people import EMMA_BIS, HOSPITAL, LINA, LOUISE, STRANGER, YANIS, ZOE

AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
KNOWN = (LINA, YANIS, LOUISE, EMMA_BIS, ZOE)
LARGE, SMALL = 90_000, 300  # bytes of noise in the PDF: a CDA over and under what stays in its row

# How many of each in a hundred.
_SHARES = {
    "answered": 48,
    "silent": 16,
    "large": 14,
    "versions": 5,
    "unknown": 4,
    "word": 2,
    "machine": 2,
    "copy": 2,
    "repeated": 2,
}


class End(StrEnum):
    """What must have become of it."""

    FILED = "filed"
    HELD = "held"  # before a human, or filed by that human meanwhile
    NOTED = "noted"
    TWIN = "twin"  # the same message seen again: it stands for the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """`message_id` with its brackets. `copy_of`: delivered by copying that one inside the mailbox (`raw` is empty).
    `unique_id`: of its document; `set_id` and `version` tell which one must be in force at the end."""

    raw: bytes
    message_id: str
    sort: str
    end: End
    asks_receipt: bool
    unique_id: str | None = None
    set_id: str | None = None
    version: int = 1
    copy_of: str | None = None
    patient: Identity | None = None


@dataclass(frozen=True, kw_only=True)
class TorturePaper(HeavyPaper):
    ballast: int

    @property
    def pdf(self) -> bytes:
        return one_page_pdf(self.title, self.lines, ballast=random.Random(self.seed).randbytes(self.ballast))


def letters(seed: int) -> Iterator[Letter]:
    """Without end, the same for the same seed. A second version comes some letters after the first, a copy some letters
    after what it copies."""
    chance = random.Random(seed)
    sorts = [sort for sort, share in _SHARES.items() for _ in range(share)]
    late: list[tuple[int, Letter]] = []
    number = 0
    while True:
        while late and late[0][0] <= number:
            yield late.pop(0)[1]
            number += 1
        sort = chance.choice(sorts)
        letter = _letter(sort, f"{seed}-{number}", chance)
        yield letter
        number += 1
        if sort == "versions":
            late.append((number + chance.randrange(1, 8), _second_version(f"{seed}-{number - 1}", letter)))
        elif sort == "copy":
            late.append((number + chance.randrange(1, 8), _copy(letter)))
        elif sort == "repeated":
            late.append((number + chance.randrange(1, 8), replace(letter, sort="repeated again")))
        late.sort(key=lambda one: one[0])


def letter_of(sort: str, key: str) -> Letter:
    """One of this sort, beside the others. `key` is unlike theirs."""
    return _letter(sort, key, random.Random(key))


def _letter(sort: str, key: str, chance: random.Random) -> Letter:
    if sort == "word":
        cover = Cover(key=key, sender=HOSPITAL, subject="Bonjour", sent_at=AT)
        return _other(sort, End.HELD, cover, "Merci de me rappeler (essai).\n")
    if sort == "machine":
        automatic = ("Auto-Submitted: auto-replied",)
        cover = Cover(key=key, sender=HOSPITAL, subject="Absence", sent_at=AT, more=automatic, return_path="")
        return _other(sort, End.NOTED, cover, "Je suis absente du bureau (essai).\n")
    who = STRANGER if sort == "unknown" else chance.choice(KNOWN).identity
    letter = _document(sort, key, who, LARGE if sort == "large" else SMALL)
    if sort == "silent":
        return replace(letter, raw=_without_receipt(letter.raw), asks_receipt=False)
    return letter if sort != "unknown" else replace(letter, end=End.HELD)


def _other(sort: str, end: End, cover: Cover, words: str) -> Letter:
    raw = _without_path(mail(cover, text(words)))
    return Letter(raw=raw, message_id=cover.message_id, sort=sort, end=end, asks_receipt=False)


def _document(sort: str, key: str, who: Identity, ballast: int, version: int = 1) -> Letter:
    paper = TorturePaper(
        name=f"torture-{key}",
        structure=HOSPITAL,
        patient=who,
        type_code=DISCHARGE,
        title="Lettre de liaison (fictive)",
        lines=("Document d'essai, personne fictive.", f"Exemplaire {key}, version {version}."),
        created_at=AT,
        version=version,
        action="none" if version == 1 else "replace",
        seed=_seed_of(key) + version,
        ballast=ballast,
    )
    mail_key = f"torture-{key}-v{version}"
    return Letter(
        raw=_without_path(document_mail(mail_key, [paper], sent_at=AT)),
        message_id=Cover(key=mail_key, sender=HOSPITAL, subject="", sent_at=AT).message_id,
        sort=sort,
        end=End.FILED,
        asks_receipt=True,
        unique_id=paper.unique_id,
        set_id=paper.set_id,
        version=version,
        patient=who,
    )


def _seed_of(key: str) -> int:
    """The same on every run (`hash` is not)."""
    return int.from_bytes(key.encode()[-7:])


def _second_version(key: str, first: Letter) -> Letter:
    assert first.patient is not None
    return _document("version 2", key, first.patient, SMALL, version=2)


def _copy(first: Letter) -> Letter:
    return replace(first, raw=b"", sort="copy made", end=End.TWIN, copy_of=first.message_id)


def _without_path(raw: bytes) -> bytes:
    """The server writes the return path at delivery."""
    return _without(raw, b"return-path:")


def _without_receipt(raw: bytes) -> bytes:
    return _without(raw, b"disposition-notification-to:")


def _without(raw: bytes, header: bytes) -> bytes:
    head, blank, body = raw.partition(b"\r\n\r\n")
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(header)) + blank + body
