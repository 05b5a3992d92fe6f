"""What the mind sees of one message before any rule is asked, and what the rules' conditions look at.

In: the message, the usagers and filed versions that the records found. Out: a `View` (what it is, whose it is, its
grave doubts) and `Facts`. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date

from hub.message import (
    Answer,
    Classification,
    Defect,
    Envelope,
    FiledVersion,
    HeldRole,
    Identity,
    Match,
    MessageClass,
    ParsedMessage,
    Reason,
    Sending,
    Subjects,
    Usager,
)
from hub.routing.classify import AUTOMATIC, SURE, classify
from hub.routing.match import Demands, match, match_one, uncertain
from hub.routing.reasons import reason
from hub.routing.rulebook import Rulebook
from hub.routing.rules import NORMAL, RESTRICTED, Facts, no_kind_name

DISAGREEMENTS = frozenset({"id-differs", "type-differs", "date-differs"})
UNREAD = frozenset({"unread-attachment", "nested-archive"})
CONSEQUENCES = frozenset({"no-ins", "document-without-identity"})  # of a document that could not be read
NO_SUBJECTS = Subjects()
DOCUMENT_CLASSES = frozenset({MessageClass.XDM, MessageClass.DOCUMENT})


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the mind may look at. `usagers` are the candidates of the records for `identities(parsed)` (the one
    holder of the INS where they are certain: `certain_alone`), `versions` what is filed under the ids of the documents,
    `subjects` whom the records know under `asked_of(parsed)` (submissions only)."""

    envelope: Envelope
    parsed: ParsedMessage
    usagers: tuple[Usager, ...] = ()
    versions: tuple[FiledVersion, ...] = ()
    subjects: Subjects = NO_SUBJECTS
    sendings: tuple[Sending, ...] = ()  # those that the keys of a report name (`report_keys`)
    held: Match | None = None  # what the hold shows that it answers
    held_roles: tuple[HeldRole, ...] = ()  # of the one usager that it is about (`hub.routing.towards`)
    today: date | None = None  # the day of the sending, where the site is; None: no role was looked up
    answer: Answer | None = None  # when it answers a letter about a held submission; `subjects` are then whom it names


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What was concluded before a rule was asked."""

    classification: Classification
    kinds: tuple[str | None, ...]
    match: Match
    grave: tuple[Defect, ...]
    unread: tuple[Reason, ...] = ()  # attachments that the hub does not read, beside a mail without documents

    @property
    def is_automatic(self) -> bool:
        return self.classification.message_class in AUTOMATIC

    @property
    def has_documents(self) -> bool:
        return self.classification.message_class in DOCUMENT_CLASSES


def demands_of(rulebook: Rulebook, envelope: Envelope) -> Demands:
    return Demands(
        qualified_statuses=rulebook.policy.qualified_statuses,
        birth_place_required=rulebook.policy.birth_place_required,
        test=envelope.test,
    )


def certain_alone(rulebook: Rulebook, envelope: Envelope) -> Callable[[Identity, Usager], bool]:
    """Whether the one usager who has the INS of an identity is certainly the person: nobody else changes that, so that
    the records need look for nobody else (`hub.ports.Records.look_up`)."""
    demands = demands_of(rulebook, envelope)
    return lambda identity, usager: match_one(identity, (usager,), (), demands).outcome == "certain"


def view_of(seen: Seen, rulebook: Rulebook) -> View:
    policy = rulebook.policy
    classification, verdicts = classify(seen.parsed, rulebook.catalogue, policy.kind_confidence)
    view = View(
        classification=classification,
        kinds=tuple(verdict.kind for verdict in verdicts),
        match=Match(),
        grave=_grave_defects(seen.parsed),
    )
    if view.is_automatic:
        # A bounce quotes a cut original: its defects are its own. A mail only taken for automatic is looked at.
        return replace(view, grave=()) if classification.confidence >= SURE else view
    if not view.has_documents:
        return replace(view, unread=_unread(seen.parsed))
    demands = demands_of(rulebook, seen.envelope)
    found = match(seen.parsed.documents, seen.usagers, demands)
    return replace(view, match=_doubted(found, view.grave))


def _grave_defects(parsed: ParsedMessage) -> tuple[Defect, ...]:
    """Every grave doubt, each code once, in the order in which the reader met them."""
    met: dict[str, Defect] = {}
    for defect in _all_defects(parsed):
        if defect.grave:
            met.setdefault(defect.code, defect)
    return tuple(met.values())


def _unread(parsed: ParsedMessage) -> tuple[Reason, ...]:
    codes = dict.fromkeys(defect.code for defect in parsed.defects if defect.code in UNREAD)
    return tuple(reason(code) for code in codes)


def _all_defects(parsed: ParsedMessage) -> Iterable[Defect]:
    yield from parsed.defects
    for archive in parsed.archives:
        yield from archive.defects
        for document in archive.documents:
            yield from document.defects
    for document in parsed.documents:
        yield from document.defects


def _doubted(found: Match, grave: tuple[Defect, ...]) -> Match:
    """A grave doubt makes no identity certain: 904 when the two sources name two persons, else 906. Sources that merely
    disagree on an id, a type or a date leave a code of the identity in place: it tells the sender more than "other"."""
    if not grave:
        return found
    codes = {defect.code for defect in grave}
    if "patient-differs" in codes:
        code = 904
    else:
        code = found.code if found.code is not None and codes <= DISAGREEMENTS else 906
    reasons = tuple(reason(defect.code) for defect in grave)
    lacking = (one for one in found.reasons if codes <= DISAGREEMENTS or one.code not in CONSEQUENCES)
    return uncertain(code, (*reasons, *lacking), found.candidates)


def facts_of(seen: Seen, view: View, rulebook: Rulebook, sending: str = "", told: tuple[str, ...] = ()) -> Facts:
    """`sending` and `told`: what a report is about, and says (`hub.routing.tidings`)."""
    parsed = seen.parsed
    sender = sender_of(seen)
    documents = parsed.documents if view.has_documents else ()
    codes = tuple(dict.fromkeys(coded.code for document in documents for coded in document.confidentiality))
    restricted = RESTRICTED if any(code != "N" for code in codes) else NORMAL
    return Facts(
        mailbox=seen.envelope.mailbox or "",
        sender=sender,
        domain=sender.rpartition("@")[2],
        sender_member=rulebook.policy.members.standing(sender),
        message_class=view.classification.message_class.value,
        kinds=tuple(dict.fromkeys(no_kind_name(kind) for kind in view.kinds)),
        type_codes=tuple(dict.fromkeys(d.type_code.code if d.type_code else "" for d in documents)),
        urgency=_urgency(view, rulebook),
        confidentiality=(*codes, restricted) if documents else (),
        facility=_facility(seen, view.match),
        match=(view.match.outcome, *([str(view.match.code)] if view.match.code else [])),
        report=tuple(dict.fromkeys((*_report(parsed, view), *told))),
        signature=_signature(parsed),
        sending=sending,
    )


def _signature(parsed: ParsedMessage) -> str:
    """`unproven` too when there is one that nobody judged."""
    if parsed.verdict is None:
        return "absent" if parsed.signature.form == "none" else "unproven"
    return parsed.verdict.outcome


def sender_of(seen: Seen) -> str:
    return (seen.parsed.from_address or seen.envelope.sender or seen.parsed.return_path or "").strip().casefold()


def _urgency(view: View, rulebook: Rulebook) -> str:
    """The most urgent of its documents; nothing for a mail without any."""
    return min((rulebook.catalogue.urgency(kind) for kind in view.kinds), default="")


def _facility(seen: Seen, found: Match) -> str:
    """The establishment of the usager found (RH-46): known for certain, or not at all."""
    if found.outcome != "certain":
        return ""
    known = (*seen.usagers, *seen.subjects.usagers)
    return next((one.facility or "" for one in known if one.id == found.candidates[0].usager_id), "")


def _report(parsed: ParsedMessage, view: View) -> tuple[str, ...]:
    """What a receipt that came in says: its action or disposition, `error` and the code when it tells of one."""
    said = parsed.report
    if said is None:
        failed = any(one.code == "integration-report" for one in view.classification.reasons)
        return ("error",) if failed else ()
    words = [word for word in (said.action, said.disposition) if word]
    return (*words, *(["error", said.error] if said.error else []))
