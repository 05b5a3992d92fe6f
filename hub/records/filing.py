"""Filing: puts one document in one usager's record, inside the transaction that records the step (exactly once).

The version chain. A version that replaces another makes the old row not live and names it in `supersedes`. An older
version that comes late (`historic`) is kept, not live, outside the chain of deeds. A deletion makes the row that it
names deleted and not live, and is itself a row: never live, its `unique_id` is `delete:` and the id of the row it
deleted, its bytes are kept, its message, authors and `filed_by` say who asked. (It cannot keep the document's own
unique id: a deletion is the same document sent again with a mark beside it, at times byte for byte: cda-xdm.md §3.7.)

Failures: StalePlan when the live version changed since the plan; Permanent when no plan could mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, insert, or_, select, true, update
from sqlalchemy.engine import Connection

from hub.errors import Damaged, Permanent, StalePlan
from hub.ids import new_id
from hub.message import Document, Done, Filing, Outcome
from hub.ports import Blobs, Effect, Sealer, StoredBlob
from hub.records.documents import DELETION, DOCUMENT, key_of, values_of
from hub.tables import UsagerRow

_USAGER = UsagerRow.__table__  # type: ignore[attr-defined]

# PostgreSQL: filings of one usager wait for each other, so that two first versions cannot both become live. SQLite
# has one writer anyway.
_LOCK = select(_USAGER.c.id).where(_USAGER.c.id == bindparam("usager")).with_for_update()

_KNOWN: Select[Any] = select(
    DOCUMENT.c.id, DOCUMENT.c.usager, DOCUMENT.c.unique_id, DOCUMENT.c.sha256, DOCUMENT.c.live
).where(
    or_(
        and_(DOCUMENT.c.unique_id == bindparam("unique"), DOCUMENT.c.usager == bindparam("usager")),
        and_(DOCUMENT.c.set_id == bindparam("set"), DOCUMENT.c.usager == bindparam("usager")),
        DOCUMENT.c.id == bindparam("supersedes"),
    )
)
_REPLACED_LIVE = select(DOCUMENT.c.id).where(
    DOCUMENT.c.unique_id.in_(bindparam("replaced", expanding=True)),
    DOCUMENT.c.usager == bindparam("usager"),
    DOCUMENT.c.live == true(),
)
_FILE = insert(DOCUMENT)
_RETIRE = (
    update(DOCUMENT)
    .where(DOCUMENT.c.id == bindparam("row"), DOCUMENT.c.live == true())
    .values(live=False, deleted=bindparam("deletes"))
)


def filing(
    message_id: str,
    step: Filing,
    document: Document,
    blobs: Blobs,
    blob: StoredBlob,
    sealer: Sealer,
    clock: Callable[[], datetime],
) -> Effect:
    """The effect of `step`; `blob` is the document's, durable by now. Raises StalePlan when `document` is not the one
    that the step names, Damaged when the blob does not have its digest."""
    if document.unique_id != step.unique_id:
        raise StalePlan(f"document {step.document} is another one than when the plan was made")
    if step.action == "delete" and step.supersedes is None:
        raise Permanent("a deletion that names no version")
    if blob.sha256 != document.sha256:
        raise Damaged(f"document {step.document}: its bytes do not have its digest")
    now = clock()
    values = values_of(new_id(now), message_id, step, document, sealer)
    values["filed_at"] = now
    replaced = [key_of(unique_id) for unique_id in document.replaces]
    if step.action == "delete":
        return lambda connection: _delete(connection, step, values, blobs, blob)
    return lambda connection: _file(connection, step, values, replaced, blobs, blob)


def _file(
    connection: Connection, step: Filing, values: dict[str, Any], replaced: list[str], blobs: Blobs, blob: StoredBlob
) -> Outcome:
    known = _known(connection, step, values["unique_id"], values["set_id"])
    if any(_is_same(row, values) for row in known):
        return Done("already filed")
    if not step.historic:
        _check_live(known, step)
        if step.action == "replace" and step.supersedes is None and replaced:
            _check_replaced(connection, step, replaced)
        if step.supersedes is not None:
            _retire(connection, step.supersedes, deletes=False)
    blobs.name(connection, blob)
    connection.execute(_FILE, {**values, "live": not step.historic, "deleted": False})
    return Done("filed")


def _delete(connection: Connection, step: Filing, values: dict[str, Any], blobs: Blobs, blob: StoredBlob) -> Outcome:
    assert step.supersedes is not None
    values = {**values, "unique_id": DELETION + step.supersedes}
    known = _known(connection, step, values["unique_id"], None)
    if any(row.unique_id == values["unique_id"] for row in known):
        return Done("already filed")
    _check_live(known, step)
    _retire(connection, step.supersedes, deletes=True)
    blobs.name(connection, blob)
    connection.execute(_FILE, {**values, "live": False, "deleted": True})
    return Done("filed")


def _known(connection: Connection, step: Filing, unique_id: str, set_id: str | None) -> Sequence[Row[Any]]:
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"usager": step.usager_id})
    asked = {"usager": step.usager_id, "unique": unique_id, "set": set_id, "supersedes": step.supersedes}
    return connection.execute(_KNOWN, asked).all()


def _is_same(row: Row[Any], values: dict[str, Any]) -> bool:
    same: bool = (row.usager, row.unique_id, row.sha256) == (values["usager"], values["unique_id"], values["sha256"])
    return same


def _check_live(known: Sequence[Row[Any]], step: Filing) -> None:
    live = {row.id for row in known if row.live}
    if any(row.usager != step.usager_id for row in known):
        raise Permanent("the version to supersede is in another usager's record")
    if len(live) > 1:
        # Ids that cross two chains: thinking again would give the same plan, a human must decide.
        raise Permanent("two live versions answer to the ids of this document")
    if live != ({step.supersedes} - {None}):
        raise StalePlan("the live version is no longer the one that the plan supersedes")


def _check_replaced(connection: Connection, step: Filing, replaced: list[str]) -> None:
    if connection.execute(_REPLACED_LIVE, {"usager": step.usager_id, "replaced": replaced}).first():
        raise StalePlan("the replaced version was filed since the plan was made")


def _retire(connection: Connection, document_id: str, deletes: bool) -> None:
    if connection.execute(_RETIRE, {"row": document_id, "deletes": deletes}).rowcount != 1:
        raise StalePlan("the version to supersede is no longer live")
