"""Filed documents as rows and back: what is written for a version, and how the versions of a document are found.

Foreign text is made storable here (no NUL, no lone surrogate, bounded), once, for writing and for searching alike, so
that no header of a document can make its filing fail (complaints.md, row 11).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, false, or_, select
from sqlalchemy.engine import Connection

from hub.database import storable
from hub.errors import Damaged
from hub.message import Document, FiledVersion, Filing
from hub.ports import Sealer
from hub.tables import DocumentRow

DOCUMENT = DocumentRow.__table__  # type: ignore[attr-defined]

# A request for deletion is a row of its own, filed under this prefix and the row id of what it deletes.
DELETION = "delete:"

KEY_MOST = 256  # characters of an identifier; PostgreSQL cannot index more than some 2,700 bytes
VERSIONS_MOST = 1_000  # one leaflet filed for everybody must not load the whole table
UNREADABLE_TITLE = "(titre illisible)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledDocument:
    """One row of an usager's record. `live` is the version to read; a deletion request (`is_deletion`) is kept beside
    what it deleted (`supersedes`) and is never live. `message` is the mail that brought it."""

    id: str
    usager_id: str
    message: str
    unique_id: str
    sha256: str
    set_id: str | None
    version: str | None
    supersedes: str | None
    live: bool
    deleted: bool
    kind: str | None
    type_code: str | None
    type_system: str | None
    title: str
    form: str
    media_type: str
    confidentiality: tuple[str, ...]
    created_at: str | None
    act_at: str | None
    author_organisation_id: str | None
    author_ids: tuple[str, ...]
    filed_at: datetime
    filed_by: str

    @property
    def is_deletion(self) -> bool:
        return self.unique_id.startswith(DELETION)


def key_of(identifier: str) -> str:
    """An identifier as it is stored and searched; one beyond measure stands as its digest."""
    clean = storable(identifier)
    if len(clean) <= KEY_MOST and not clean.startswith(DELETION):
        return clean
    return "long:" + hashlib.sha256(clean.encode()).hexdigest()


def optional_key(identifier: str | None) -> str | None:
    return key_of(identifier) if identifier else None


def _optional(text: str | None, most: int) -> str | None:
    return None if text is None else storable(text, most)


def _lines_of(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def title_aad(document_id: str) -> bytes:
    return f"document:{document_id}:title".encode()


def values_of(document_id: str, message_id: str, step: Filing, document: Document, sealer: Sealer) -> dict[str, Any]:
    """The columns of a new row, except when it was filed and whether it is the live one."""
    organisation = next((author.organisation_id for author in document.authors if author.organisation_id), None)
    author_ids = [storable(author.person_id, 128).replace("\n", " ") for author in document.authors if author.person_id]
    coded = document.type_code
    return {
        "id": document_id,
        "usager": step.usager_id,
        "message": message_id,
        "unique_id": key_of(document.unique_id),
        "sha256": document.sha256,
        "set_id": optional_key(document.set_id),
        "version": _optional(document.version, 64),
        "supersedes": None if step.historic else step.supersedes,
        "kind": step.kind,
        "type_code": storable(coded.code, 64) if coded else None,
        "type_system": storable(coded.system, 64) if coded else None,
        "title": sealer.seal(storable(document.title, 1_000).encode(), title_aad(document_id)),
        "form": document.form.value,
        "media_type": storable(document.media_type, 128),
        "confidentiality": " ".join(storable(level.code, 16) for level in document.confidentiality),
        "created_at": _optional(document.created_at, 40),
        "act_at": _optional(document.act_at, 40),
        "author_organisation": _optional(organisation, 128),
        "author_ids": "\n".join(author_ids),
        "filed_by": storable(step.by, 128),
    }


_VERSIONS = (
    select(
        DOCUMENT.c.id,
        DOCUMENT.c.usager,
        DOCUMENT.c.unique_id,
        DOCUMENT.c.sha256,
        DOCUMENT.c.set_id,
        DOCUMENT.c.version,
        DOCUMENT.c.live,
        DOCUMENT.c.deleted,
        DOCUMENT.c.author_organisation,
        DOCUMENT.c.author_ids,
    )
    .where(
        or_(
            DOCUMENT.c.unique_id.in_(bindparam("unique_ids", expanding=True)),
            DOCUMENT.c.set_id.in_(bindparam("set_ids", expanding=True)),
            DOCUMENT.c.sha256.in_(bindparam("digests", expanding=True)),
        )
    )
    .order_by(DOCUMENT.c.filed_at.desc())
    .limit(VERSIONS_MOST)
)


def asked_ids(documents: Iterable[Document]) -> tuple[dict[str, str], dict[str, str]]:
    """(unique ids, set ids) to look for: as they are stored -> as the documents spell them."""
    unique_ids: dict[str, str] = {}
    set_ids: dict[str, str] = {}
    for document in documents:
        unique_ids.update((key_of(one), one) for one in (document.unique_id, *document.replaces))
        if document.set_id:
            set_ids[key_of(document.set_id)] = document.set_id
    return unique_ids, set_ids


def versions(connection: Connection, documents: Sequence[Document]) -> tuple[FiledVersion, ...]:
    """What is filed under the unique ids, set ids, replaced ids or digests; requests for deletion are not versions.
    The ids come back as the documents spell them, so that the mind compares like with like."""
    unique_ids, set_ids = asked_ids(documents)
    digests = {document.sha256 for document in documents}
    asked = {"unique_ids": sorted(unique_ids), "set_ids": sorted(set_ids), "digests": sorted(digests)}
    return tuple(
        FiledVersion(
            document_id=row.id,
            usager_id=row.usager,
            unique_id=unique_ids.get(row.unique_id, row.unique_id),
            sha256=row.sha256,
            set_id=set_ids.get(row.set_id, row.set_id),
            version=row.version,
            live=row.live,
            deleted=row.deleted,
            author_organisation_id=row.author_organisation,
            author_ids=_lines_of(row.author_ids),
        )
        for row in connection.execute(_VERSIONS, asked)
        if not row.unique_id.startswith(DELETION)
    )


_OF_USAGER = select(DOCUMENT).where(DOCUMENT.c.usager == bindparam("usager")).order_by(DOCUMENT.c.filed_at)
_OF_USAGER_LIVE = _OF_USAGER.where(DOCUMENT.c.live != false())
_OF_MESSAGE = select(DOCUMENT).where(DOCUMENT.c.message == bindparam("message")).order_by(DOCUMENT.c.filed_at)


def of_usager(connection: Connection, usager_id: str, sealer: Sealer, live_only: bool) -> tuple[FiledDocument, ...]:
    statement = _OF_USAGER_LIVE if live_only else _OF_USAGER
    return tuple(_filed(row, sealer) for row in connection.execute(statement, {"usager": usager_id}))


def of_message(connection: Connection, message_id: str, sealer: Sealer) -> tuple[FiledDocument, ...]:
    return tuple(_filed(row, sealer) for row in connection.execute(_OF_MESSAGE, {"message": message_id}))


def _filed(row: Row[Any], sealer: Sealer) -> FiledDocument:
    return FiledDocument(
        id=row.id,
        usager_id=row.usager,
        message=row.message,
        unique_id=row.unique_id,
        sha256=row.sha256,
        set_id=row.set_id,
        version=row.version,
        supersedes=row.supersedes,
        live=row.live,
        deleted=row.deleted,
        kind=row.kind,
        type_code=row.type_code,
        type_system=row.type_system,
        title=_title(row, sealer),
        form=row.form,
        media_type=row.media_type,
        confidentiality=tuple(row.confidentiality.split()),
        created_at=row.created_at,
        act_at=row.act_at,
        author_organisation_id=row.author_organisation,
        author_ids=_lines_of(row.author_ids),
        filed_at=row.filed_at,
        filed_by=row.filed_by,
    )


def _title(row: Row[Any], sealer: Sealer) -> str:
    # One altered title must not hide the record: the row is shown without it.
    try:
        return sealer.open(row.title, title_aad(row.id)).decode()
    except Damaged:
        return UNREADABLE_TITLE
