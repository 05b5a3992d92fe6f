"""New versions, replacements and deletions: what each document may do to what is already filed.

In: the documents of one message, what the records hold of them, and the usager. Out: a filing for each, in order, or
the one trouble that stops them all (a message is filed whole or not at all). Codes 900 and 901: IG-LPS, table ERR-5;
the checks are our own (cda-xdm.md §3.7, §4.5: nothing official tests the coherence of a chain).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hub.message import Action, Document, FiledVersion, Filing
from hub.routing.rulebook import Policy

HUB = "hub"
LOOSE = "sha256:"  # unique ids of documents that have none of their own

FIRST = "premier classement"
ALREADY = "déjà classé, rien ne change"
NEW_VERSION = "remplace la version en vigueur"
PREVIOUS_UNKNOWN = "remplace une version jamais reçue"
OLDER = "version antérieure à celle en vigueur, gardée pour l'historique"
DELETION = "supprime la version en vigueur, à la demande de son auteur"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing may be filed: the official code and the code of the sentence."""

    code: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What the rules look at for one document."""

    document: Document
    usager_id: str
    by: str
    same_id: tuple[FiledVersion, ...]
    named: tuple[FiledVersion, ...]  # what it says to replace
    same_set: tuple[FiledVersion, ...]
    has_successor: bool  # in the same mail
    has_previous: bool  # in the same mail


def filings(
    documents: tuple[Document, ...],
    kinds: tuple[str | None, ...],
    known: tuple[FiledVersion, ...],
    usager_id: str,
    policy: Policy,
    by: str = HUB,
) -> tuple[Filing, ...] | Trouble:
    """A filing for each document that changes something, in order."""
    if len({(d.unique_id, d.sha256) for d in documents}) > len({d.unique_id for d in documents}):
        return Trouble(906, "same-id-other-bytes")
    steps: list[Filing] = []
    for number, document in enumerate(documents):
        record = _record_of(document, documents, known, usager_id, by)
        step = _filing(number, kinds[number] if number < len(kinds) else None, record, policy)
        if isinstance(step, Trouble):
            return step
        if step is not None:
            steps.append(step)
    return tuple(steps)


def is_ahead_of_its_past(document: Document, known: tuple[FiledVersion, ...]) -> bool:
    """Whether it replaces, deletes or follows something not filed yet: an older message may still bring it."""
    ids = {version.unique_id for version in known}
    if document.action == "delete":
        return document.unique_id not in ids
    if document.replaces:
        return not ids.intersection(document.replaces)
    number = _number(document.version)
    if document.action == "none" and (number is None or number <= 1):
        return False
    return document.set_id is not None and all(version.set_id != document.set_id for version in known)


def _record_of(
    document: Document, mail: tuple[Document, ...], known: tuple[FiledVersion, ...], usager_id: str, by: str
) -> _Record:
    same_set = () if document.set_id is None else tuple(v for v in known if v.set_id == document.set_id)
    return _Record(
        document=document,
        usager_id=usager_id,
        by=by,
        same_id=tuple(v for v in known if v.unique_id == document.unique_id),
        named=tuple(v for v in known if v.unique_id in document.replaces),
        same_set=same_set,
        has_successor=any(document.unique_id in other.replaces for other in mail),
        has_previous=any(other.unique_id in document.replaces for other in mail),
    )


def _filing(number: int, kind: str | None, record: _Record, policy: Policy) -> Filing | Trouble | None:
    document = record.document
    base = Filing(
        document=number,
        unique_id=document.unique_id,
        usager_id=record.usager_id,
        kind=kind,
        action=document.action,
        by=record.by,
    )
    if document.action == "delete":
        return _deletion(base, record)
    if record.same_id:
        return _again(base, record)
    if record.has_successor:
        return replace(base, historic=True, reason=OLDER)
    return _new(base, record, policy)


def _deletion(base: Filing, record: _Record) -> Filing | Trouble | None:
    """D names the document itself (cda-xdm.md §3.7), never what that one replaced."""
    ours = tuple(v for v in record.same_id if v.usager_id == record.usager_id)
    if not record.same_id:
        return Trouble(900, "unknown-deleted")
    if not ours:
        return Trouble(904, "previous-of-another")
    target = next((v for v in ours if v.live), ours[0])
    if target.deleted:
        return None  # deleted before: asking again changes nothing
    if not target.live:
        return Trouble(900, "not-latest")
    return _superseding(base, record, target, DELETION)


def _again(base: Filing, record: _Record) -> Filing | Trouble:
    """The same unique id was met before."""
    ours = tuple(v for v in record.same_id if v.usager_id == record.usager_id)
    if ours:
        same = any(v.sha256 == record.document.sha256 for v in ours)
        return replace(base, reason=ALREADY) if same else Trouble(906, "same-id-other-bytes")
    # A leaflet without identity may be given to several usagers, by a human only.
    if record.by != HUB and record.document.unique_id.startswith(LOOSE):
        return replace(base, reason=FIRST)
    return Trouble(904, "filed-elsewhere")


def _new(base: Filing, record: _Record, policy: Policy) -> Filing | Trouble:
    around = (*record.named, *record.same_set)
    if any(v.usager_id != record.usager_id for v in around):
        return Trouble(904, "previous-of-another")
    live = {v.document_id: v for v in around if v.live}
    if len(live) > 1:
        return Trouble(906, "several-previous")
    replaces = record.document.action == "replace" or bool(record.document.replaces)
    if _is_older(record.document, record.same_set):
        return replace(base, historic=True, reason=OLDER)
    if not live:
        return _without_live(base, record, replaces, policy)
    target = next(iter(live.values()))
    if record.named and target not in record.named:
        return Trouble(900, "not-latest")  # it names a version that is no longer the one in force
    if replaces and record.named:
        return _superseding(base, record, target, NEW_VERSION)
    if not _is_newer(record.document, target):
        return Trouble(900, "not-latest") if replaces else Trouble(906, "version-conflict")
    return _superseding(base, record, target, NEW_VERSION)


def _without_live(base: Filing, record: _Record, replaces: bool, policy: Policy) -> Filing | Trouble:
    """Nothing in force to replace: everything was deleted, or nothing was ever received."""
    if record.named:
        return Trouble(900, "not-latest")
    if not replaces:
        return replace(base, reason=FIRST)
    if record.has_previous:
        return replace(base, action="replace", reason=NEW_VERSION)
    if policy.unknown_previous == "hold" and record.by == HUB:
        return Trouble(900, "unknown-previous")
    return replace(base, action="replace", reason=PREVIOUS_UNKNOWN)


def _superseding(base: Filing, record: _Record, target: FiledVersion, reason: str) -> Filing | Trouble:
    """901: who replaces or deletes is the author, or of the author's organisation."""
    if not _may_change(record, target):
        return Trouble(901, "not-the-author")
    action: Action = "delete" if base.action == "delete" else "replace"
    return replace(base, action=action, supersedes=target.document_id, reason=reason)


def _may_change(record: _Record, target: FiledVersion) -> bool:
    organisations = {author.organisation_id for author in record.document.authors if author.organisation_id}
    persons = {author.person_id for author in record.document.authors if author.person_id}
    if target.author_organisation_id is None and not target.author_ids:
        return record.by != HUB  # nothing to compare with: a human may say so, the hub may not
    return target.author_organisation_id in organisations or bool(persons.intersection(target.author_ids))


def _is_older(document: Document, same_set: tuple[FiledVersion, ...]) -> bool:
    """A late message: a newer version of its set is known, deleted ones included."""
    number = _number(document.version)
    others = [other for other in (_number(v.version) for v in same_set) if other is not None]
    return number is not None and bool(others) and number < max(others)


def _is_newer(document: Document, target: FiledVersion) -> bool:
    number, other = _number(document.version), _number(target.version)
    return number is not None and other is not None and number > other


def _number(version: str | None) -> int | None:
    if version is None or len(version) > 9 or not (version.isascii() and version.isdigit()):
        return None
    return int(version)
