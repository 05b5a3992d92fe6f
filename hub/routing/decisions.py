"""What a human decides on a held message: file it, close it, or send its receipt. Each gives a plan of its own.

In: what was seen and the decision. Out: a `Thought` whose deeds bear the person's name. A human may say whose a
document is; the version rules still hold, and a message may come back before a human with their reason.
"""

from __future__ import annotations

from dataclasses import replace

from hub.message import Candidate, Classification, Hold, Match, Plan, Step, Thought
from hub.routing import versions
from hub.routing.answers import make_receipt, receipt_steps
from hub.routing.classify import message_class_of
from hub.routing.passing import copies_of, doubts_of, passed_on
from hub.routing.plan import in_order, thought_of
from hub.routing.reasons import reason
from hub.routing.rulebook import Rulebook
from hub.routing.rules import first_match
from hub.routing.towards import Towards
from hub.routing.view import DOCUMENT_CLASSES, Seen, View, facts_of, view_of


def released(
    seen: Seen,
    rulebook: Rulebook,
    usager_id: str,
    by: str,
    receipt_sent: bool = False,
    passed_on_before: bool = False,
) -> Thought:
    """A human says whose the documents are: all filed there under that name. The version rules still hold; a receipt of
    success goes if one was asked for and none was sent. When its rule copies it to who holds a role for the usager, its
    copies go too, unless they did before: it may have waited for that alone."""
    view = view_of(seen, rulebook)
    if not seen.parsed.documents:
        return thought_of(view, Plan(rule="released", steps=(_still_held("nothing-to-file"),)))
    steps = versions.filings(seen.parsed.documents, view.kinds, seen.versions, usager_id, rulebook.policy, by)
    if isinstance(steps, versions.Trouble):
        return thought_of(view, Plan(rule="released", steps=(_still_held(steps.why),)))
    passed = _passed_on(seen, view, rulebook, usager_id)
    if doubts := doubts_of(passed):
        return thought_of(view, Plan(rule="released", steps=(Hold(reasons=doubts, reason=doubts[0].code),)))
    answers: tuple[Step, ...] = ()
    if not receipt_sent and view.has_documents:
        answers = receipt_steps(seen.envelope, seen.parsed, rulebook.policy, 0, by)
    copies = () if passed_on_before else copies_of(passed)
    return thought_of(view, Plan(rule="released", steps=in_order((*steps, *copies, *answers))))


def _passed_on(seen: Seen, view: View, rulebook: Rulebook, usager_id: str) -> tuple[Towards, ...]:
    """Where the copies lead of the rule that decides once it is known whose it is; nothing unless that rule files it
    and copies it to a role."""
    if not rulebook.names_roles:
        return ()
    settled = replace(view, match=Match(outcome="certain", candidates=(Candidate(usager_id=usager_id),)))
    route, _ = first_match(facts_of(seen, settled, rulebook), rulebook.routes)
    copies = passed_on(seen, settled, route, rulebook.policy).copies
    return copies if route.then.file and any(one.called for one in copies) else ()


def _still_held(why: str) -> Hold:
    return Hold(reasons=(reason(why),), reason=why)


def dismissed(seen: Seen, by: str) -> Thought:
    """A human closes the message without filing it: no deed, it stays in the spool. No receipt: that nothing was done
    with it is not what an MDN can say. Who closed it (`by`) is written by the spool and the journal."""
    del by
    return Thought(classification=_classification(seen), match=Match(), plan=Plan(rule="dismissed"))


def receipt_released(seen: Seen, by: str, code: int | None = None) -> Thought:
    """A human sends the receipt that was held. `code` is what it says (`Hold.reason` of the held receipt); without it,
    success when every document is filed, else 906."""
    if code is None:
        filed = {(version.unique_id, version.sha256) for version in seen.versions}
        done = bool(seen.parsed.documents) and all((d.unique_id, d.sha256) in filed for d in seen.parsed.documents)
        code = 0 if done else 906
    addresses = dict.fromkeys(address.strip() for address in seen.parsed.receipt_to if address.strip())
    steps = tuple(make_receipt(address, code, "released", by) for address in addresses)
    return Thought(classification=_classification(seen), match=Match(), plan=Plan(rule="receipt-released", steps=steps))


def _classification(seen: Seen) -> Classification:
    message_class, sureness, why = message_class_of(seen.parsed)
    return Classification(message_class=message_class, confidence=sureness, reasons=(why,))


def waits_for_older(seen: Seen) -> bool:
    """Whether a document replaces, deletes or follows something not filed yet: an older message of the same mailbox,
    still in the spool, may bring it, so the trip may wait a moment."""
    if not any(versions.is_ahead_of_its_past(document, seen.versions) for document in seen.parsed.documents):
        return False  # nearly always: asked first, since it costs less
    return message_class_of(seen.parsed)[0] in DOCUMENT_CLASSES
