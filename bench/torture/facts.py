"""What is there when a campaign has settled, looked at once: the mailbox by its server's word, the tables of the hub,
the correspondent's mailbox, the passages at the points.
"""

from __future__ import annotations

import email
import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, select

from bench.torture.history import Passage, passages
from hub.records.documents import DOCUMENT
from hub.sandbox.people import HOSPITAL
from hub.spool.statements import BLOB, MESSAGE, SEEN, STEP
from hub.tables import JournalRow, WorkRow
from hub.wiring import House
from tests.trips.house import HOME, Site

JOURNAL: Any = JournalRow.__table__  # type: ignore[attr-defined]
WORK: Any = WorkRow.__table__  # type: ignore[attr-defined]


@dataclass
class Mail:
    """One message as the server has it."""

    uid: int
    message_id: str
    sha256: str
    is_marked: bool


@dataclass
class Facts:
    """All of it."""

    box: list[Mail]
    seen: dict[int, Row[Any]]
    messages: dict[str, Row[Any]]
    steps: list[Row[Any]]
    documents: list[Row[Any]]
    work: list[Row[Any]]
    journal: list[Row[Any]]
    blobs: dict[str, bool]  # digest -> whether it is a file
    receipts: dict[str, list[str]]  # Message-ID of the original -> their own Message-IDs, as they arrived
    passages: list[Passage]
    dots: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))


def look(site: Site, house: House, receipts: int) -> Facts:
    def rows(table: Any) -> list[Row[Any]]:
        return house.database.read_now(lambda connection: list(connection.execute(select(table)).all()))

    arrived: dict[str, list[str]] = defaultdict(list)
    for raw in site.mails_to(HOSPITAL.address, at_least=receipts, seconds=60):
        original, own = _receipt(raw)
        arrived[original].append(own)
    facts = Facts(
        box=_box(site),
        seen={row.uid: row for row in rows(SEEN)},
        messages={row.id: row for row in rows(MESSAGE)},
        steps=rows(STEP),
        documents=rows(DOCUMENT),
        work=rows(WORK),
        journal=rows(JOURNAL),
        blobs={row.sha256: row.sealed is None for row in rows(BLOB)},
        receipts=arrived,
        passages=[*passages(site.folder / "wounds")],
    )
    for one in facts.passages:
        if one.what == "DOT":
            facts.dots[one.detail].append((one.at, one.pid))
    return facts


def _box(site: Site) -> list[Mail]:
    """Every message of the mailbox, by the server's own word."""
    found = []
    with site.dovecot.other_client(HOME) as client:
        client.select("INBOX", readonly=True)
        for item in client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")[1]:
            if not isinstance(item, tuple):
                continue
            head, raw = item
            uid = re.search(rb"UID ([0-9]+)", head)
            flags = re.search(rb"FLAGS \(([^)]*)\)", head)
            assert uid is not None
            assert flags is not None
            message_id = str(email.message_from_bytes(raw)["Message-ID"]).strip()
            is_marked = b"$hubaccepted" in flags[1].lower()
            found.append(Mail(int(uid[1]), message_id, hashlib.sha256(raw).hexdigest(), is_marked))
    return found


def _receipt(raw: bytes) -> tuple[str, str]:
    """(Message-ID of the original, its own Message-ID)."""
    mail = email.message_from_bytes(raw)
    original = next((str(part["Original-Message-ID"]) for part in mail.walk() if part["Original-Message-ID"]), "?")
    return original.strip(), str(mail["Message-ID"]).strip()
