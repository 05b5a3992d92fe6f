"""MemoryRecords: the records without a database, for tests of the story (`hub.ports.Records`).

It passes the contract of tests/edges/test_records.py, which the real ones pass too. Its effects ignore the connection
and take effect when called; a raised effect changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy.engine import Connection

from hub.errors import Damaged, Permanent, StalePlan
from hub.message import (
    Asked,
    Document,
    Done,
    FiledVersion,
    Filing,
    HeldRole,
    Hold,
    Identity,
    Outcome,
    Subjects,
    Usager,
    comparable,
)
from hub.ports import Draft, Drafts, Effect, StoredBlob
from hub.records import FiledDocument, WorkItem
from hub.records.documents import DELETION, asked_ids, key_of, optional_key
from hub.records.drafts import HeldDrafts
from hub.records.worklist import codes_of
from tests.fakes_book import MemoryBook
from tests.fakes_sendings import MemorySendings

CANDIDATES_MOST = 50


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryDraft:
    def __init__(self) -> None:
        self.size = 0
        self.raw = bytearray()
        self.state = "open"

    async def write(self, piece: bytes) -> None:
        assert self.state == "open"
        self.raw += piece
        self.size += len(piece)

    async def finish(self) -> StoredBlob:
        assert self.state != "discarded"
        self.state = "finished"
        return StoredBlob(hashlib.sha256(self.raw).hexdigest(), self.size, "k1")

    async def discard(self) -> None:
        if self.state == "open":
            self.state = "discarded"


class MemoryDrafts:
    """`all` in the order in which they were begun."""

    def __init__(self) -> None:
        self.all: list[tuple[str, MemoryDraft]] = []

    def begin(self, sha256: str) -> Draft:
        draft = MemoryDraft()
        self.all.append((sha256, draft))
        return draft

    def of(self, sha256: str) -> Draft | None:
        return dict(self.all).get(sha256)

    def held(self, sha256: str) -> bytes | None:
        return None

    async def discard(self) -> None:
        for _, draft in self.all:
            await draft.discard()


@dataclass
class MemoryRecords(MemorySendings):
    """`known` usagers, in the order in which they were given; `filed` and `lines` in the order of their deeds.
    `answered`: whom the mail with a Message-ID was about."""

    known: tuple[Usager, ...] = ()
    clock: Callable[[], datetime] = _now
    filed: list[FiledDocument] = field(default_factory=list)
    lines: list[WorkItem] = field(default_factory=list)
    sources: dict[str, bytes] = field(default_factory=dict)
    answered: list[tuple[str, str]] = field(default_factory=list)
    book: MemoryBook = field(default_factory=MemoryBook)

    async def _candidates(
        self, identities: Iterable[Identity], suffices: Callable[[Identity, Usager], bool] | None
    ) -> tuple[Usager, ...]:
        found: dict[str, Usager] = {}
        for identity in identities:
            holders = [usager for usager in self.known if identity.ins and usager.identity.ins == identity.ins]
            if suffices is not None and len(holders) == 1 and suffices(identity, holders[0]):
                found.setdefault(holders[0].id, holders[0])
                continue
            ranked = [(_rank(usager, identity), usager) for usager in self.known]
            likely = sorted(((rank, usager) for rank, usager in ranked if rank is not None), key=lambda pair: pair[0])
            for _, usager in likely[:CANDIDATES_MOST]:
                found.setdefault(usager.id, usager)
        return tuple(found.values())

    async def _versions(self, documents: Iterable[Document]) -> tuple[FiledVersion, ...]:
        asked = tuple(documents)
        unique_ids, set_ids = asked_ids(asked)
        digests = {document.sha256 for document in asked}
        return tuple(
            _version(row, unique_ids.get(row.unique_id, row.unique_id), set_ids.get(row.set_id or "", row.set_id))
            for row in reversed(self.filed)
            if not row.is_deletion and (row.unique_id in unique_ids or row.set_id in set_ids or row.sha256 in digests)
        )

    async def look_up(
        self,
        identities: Iterable[Identity],
        documents: Iterable[Document],
        suffices: Callable[[Identity, Usager], bool] | None = None,
    ) -> tuple[tuple[Usager, ...], tuple[FiledVersion, ...]]:
        return await self._candidates(identities, suffices), await self._versions(documents)

    async def subjects(self, asked: Asked) -> Subjects:
        readings = [reading for clue in asked.clues for reading in clue.readings]
        message_ids = {one for clue in asked.clues for one in clue.message_ids}
        numbers = {number for clue in asked.clues for number in clue.numbers}
        thread = {usager for message_id, usager in self.answered if message_id in message_ids}
        ins = {one.ins for one in readings} - {None}
        named = [
            one for one in self.known if one.record_number in numbers or one.identity.ins in ins or one.id in thread
        ]
        dates = {one.birth_date for one in readings} - {None}
        names, siblings = _names(readings), _names([one.identity for one in named])
        undated = _names([one for one in readings if not one.birth_date])
        near = {*asked.near_dates, None}
        alike = [
            one
            for one in self.known
            if one.identity.birth_date in dates
            or (one.identity.birth_date in near and _names([one.identity]) & names)
            or _names([one.identity]) & (siblings | undated)
        ]
        found = {one.id: one for one in (*named, *alike)}
        return Subjects(usagers=tuple(found.values()), thread=tuple(sorted(thread)))

    async def held_roles(self, usager_id: str) -> tuple[HeldRole, ...]:
        known = await self.usager(usager_id)
        return self.book.held_roles(usager_id, known.territory if known else None)

    def drafts(self, in_memory: bool = False) -> Drafts:
        return HeldDrafts() if in_memory else MemoryDrafts()

    async def filing(self, message_id: str, step: Filing, document: Document, drafts: Drafts | None = None) -> Effect:
        if document.unique_id != step.unique_id:
            raise StalePlan(f"document {step.document} is another one than when the plan was made")
        if step.action == "delete" and step.supersedes is None:
            raise Permanent("a deletion that names no version")
        draft = drafts.of(document.sha256) if drafts else None
        if draft is not None:
            await draft.finish()
        self.sources[document.sha256] = bytes(draft.raw) if isinstance(draft, MemoryDraft) else document.raw

        def effect(connection: Connection) -> Outcome:
            return self._file(message_id, step, document)

        return effect

    def holding(self, message_id: str, step: Hold) -> Effect:
        def effect(connection: Connection) -> Outcome:
            if any(line.about == step.about for line in self._open_lines(message_id)):
                return Done("already held")
            number = f"line-{len(self.lines) + 1}"
            self.lines.append(
                WorkItem(
                    id=number,
                    message=message_id,
                    about=step.about,
                    codes=codes_of(step),
                    hold=step,
                    opened_at=self.clock(),
                )
            )
            return Done("held")

        return effect

    def closing(self, message_id: str, by: str, decision: str) -> Effect:
        def effect(connection: Connection) -> Outcome:
            closed = {line.id for line in self._open_lines(message_id)}
            self.lines = [
                replace(line, closed_at=self.clock(), closed_by=by, decision=decision) if line.id in closed else line
                for line in self.lines
            ]
            return Done("closed")

        return effect

    async def work(self, open_only: bool = True, limit: int = 200) -> tuple[WorkItem, ...]:
        if open_only:
            return tuple(line for line in self.lines if line.closed_at is None)[:limit]
        return tuple(reversed(self.lines))[:limit]

    async def work_of(self, message_id: str) -> tuple[WorkItem, ...]:
        return tuple(line for line in self.lines if line.message == message_id)

    async def documents_of(self, usager_id: str, live_only: bool = False) -> tuple[FiledDocument, ...]:
        return tuple(row for row in self.filed if row.usager_id == usager_id and (row.live or not live_only))

    async def documents_of_message(self, message_id: str) -> tuple[FiledDocument, ...]:
        return tuple(row for row in self.filed if row.message == message_id)

    async def source_of(self, document: FiledDocument) -> bytes:
        if document.sha256 not in self.sources:
            raise Damaged("no such source")
        return self.sources[document.sha256]

    async def usager(self, key: str) -> Usager | None:
        return next((one for one in self.known if key in (one.id, one.record_number)), None)

    def _open_lines(self, message_id: str) -> list[WorkItem]:
        return [line for line in self.lines if line.message == message_id and line.closed_at is None]

    def _file(self, message_id: str, step: Filing, document: Document) -> Outcome:
        deletes = step.action == "delete"
        unique_id = f"{DELETION}{step.supersedes}" if deletes else key_of(document.unique_id)
        mine = [row for row in self.filed if row.usager_id == step.usager_id]
        if any(row.unique_id == unique_id and (deletes or row.sha256 == document.sha256) for row in mine):
            return Done("already filed")
        if not step.historic:
            self._check_live(step, document, mine)
            self.filed = [
                replace(row, live=False, deleted=deletes) if row.id == step.supersedes else row for row in self.filed
            ]
        self.filed.append(self._row(message_id, step, document, unique_id))
        return Done("filed")

    def _check_live(self, step: Filing, document: Document, mine: list[FiledDocument]) -> None:
        superseded = next((row for row in self.filed if row.id == step.supersedes), None)
        if superseded is not None and superseded.usager_id != step.usager_id:
            raise Permanent("the version to supersede is in another usager's record")
        names = {key_of(document.unique_id)}
        if step.action == "replace" and step.supersedes is None:
            names.update(map(key_of, document.replaces))
        set_id = optional_key(document.set_id)
        live = {
            row.id
            for row in mine
            if row.live
            and (row.id == step.supersedes or row.unique_id in names or (set_id is not None and row.set_id == set_id))
        }
        if step.action == "delete":
            live &= {step.supersedes}
        if len(live) > 1:
            raise Permanent("two live versions answer to the ids of this document")
        if live != ({step.supersedes} - {None}):
            raise StalePlan("the live version is no longer the one that the plan supersedes")

    def _row(self, message_id: str, step: Filing, document: Document, unique_id: str) -> FiledDocument:
        deletes = step.action == "delete"
        return FiledDocument(
            id=f"document-{len(self.filed) + 1}",
            usager_id=step.usager_id,
            message=message_id,
            unique_id=unique_id,
            sha256=document.sha256,
            set_id=optional_key(document.set_id),
            version=document.version,
            supersedes=None if step.historic else step.supersedes,
            live=not (deletes or step.historic),
            deleted=deletes,
            kind=step.kind,
            type_code=document.type_code.code if document.type_code else None,
            type_system=document.type_code.system if document.type_code else None,
            title=document.title,
            form=document.form.value,
            media_type=document.media_type,
            confidentiality=tuple(level.code for level in document.confidentiality),
            created_at=document.created_at,
            act_at=document.act_at,
            author_organisation_id=next((a.organisation_id for a in document.authors if a.organisation_id), None),
            author_ids=tuple(author.person_id for author in document.authors if author.person_id),
            filed_at=self.clock(),
            filed_by=step.by,
        )


def _names(identities: list[Identity]) -> set[str]:
    stated = (comparable(name) for one in identities for name in (one.birth_name, one.used_name))
    return {name for name in stated if name}


def _rank(usager: Usager, identity: Identity) -> tuple[int, bool] | None:
    """How likely it is, None when nothing is shared: INS, name and date, name, date; then the first given name."""
    known = usager.identity
    names = {comparable(identity.birth_name), comparable(identity.used_name)} - {None}
    same_name = bool(names & {comparable(known.birth_name), comparable(known.used_name)})
    same_date = identity.birth_date is not None and identity.birth_date == known.birth_date
    other_given = comparable(known.first_given) != comparable(identity.first_given)
    shares = (identity.ins is not None and identity.ins == known.ins, same_name and same_date, same_name, same_date)
    return (shares.index(True), other_given) if any(shares) else None


def _version(row: FiledDocument, unique_id: str, set_id: str | None) -> FiledVersion:
    return FiledVersion(
        document_id=row.id,
        usager_id=row.usager_id,
        unique_id=unique_id,
        sha256=row.sha256,
        set_id=set_id,
        version=row.version,
        live=row.live,
        deleted=row.deleted,
        author_organisation_id=row.author_organisation_id,
        author_ids=row.author_ids,
    )
