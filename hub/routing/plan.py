"""The mind's conclusion on one message: what it is, whose it is, which rule decides, and all deeds in order.

In: what was seen (message, usagers, filed versions) and the rulebook. Out: a `Thought`. Pure: thinking again gives
the same thought, so a crash costs nothing. A rule proposes; here stand the limits that no rule can lift: nothing is
filed on an uncertain identity, with a grave defect, or against the version rules; nothing automatic is ever answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hub.message import (
    Classification,
    Hold,
    Match,
    MessageClass,
    Plan,
    Reason,
    Receipt,
    Refusal,
    Step,
    Thought,
)
from hub.routing import versions
from hub.routing.answers import receipt_steps
from hub.routing.passing import PassedOn, passed_on
from hub.routing.reasons import reason
from hub.routing.rulebook import Policy, Rulebook
from hub.routing.rules import Route, conditions_of, first_match
from hub.routing.tidings import is_own_letter, tidings_of
from hub.routing.towards import WITHOUT_USAGER
from hub.routing.view import Seen, View, facts_of, sender_of, view_of

REFUSED = 906  # a refusal is final and has no code of its own: the sender who asked must hear that nothing was filed


@dataclass(frozen=True, slots=True)
class _Deeds:
    """Steps but the receipt, and what the receipt would say: an integration code, 0 for success, None for nothing."""

    steps: tuple[Step, ...]
    code: int | None


def think(seen: Seen, rulebook: Rulebook) -> Thought:
    """The whole thought on one message. Never raises on what a message holds."""
    view = view_of(seen, rulebook)
    if is_own_letter(seen, rulebook.policy):
        return _own_letter()
    told = tidings_of(seen, view, rulebook)
    if told.about == "known":  # then it is a report for sure: a bounce quotes a cut original
        view = replace(view, grave=())
    route, tried = first_match(facts_of(seen, view, rulebook, told.about, told.words), rulebook.routes)
    deeds = _deeds(seen, view, route, rulebook.policy)
    steps = (*told.steps, *deeds.steps)
    if deeds.code is not None and route.then.receipt == "auto" and view.has_documents:
        steps += receipt_steps(seen.envelope, seen.parsed, rulebook.policy, deeds.code)
    return thought_of(view, Plan(rule=route.name, steps=in_order(steps), tried=tried))


def _own_letter() -> Thought:
    """Noted and closed: whatever a rule made of it would be told by one more letter."""
    why = Reason("own-letter", "lettre que le hub a écrite lui-même à cette boîte")
    found = Classification(message_class=MessageClass.LETTER, confidence=1.0, reasons=(why,))
    return Thought(classification=found, match=Match(), plan=Plan(rule="own-letter"))


def in_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Filings, deliveries, holds and refusals, receipts: a receipt tells what is done, so it comes last."""
    late = (Hold, Refusal)
    first = tuple(step for step in steps if not isinstance(step, (*late, Receipt)))
    return (
        *first,
        *(step for step in steps if isinstance(step, late)),
        *(step for step in steps if isinstance(step, Receipt)),
    )


def thought_of(view: View, plan: Plan) -> Thought:
    return Thought(classification=view.classification, match=view.match, plan=plan, kinds=view.kinds)


# --- what is decided --------------------------------------------------------------------------------------------


def _deeds(seen: Seen, view: View, route: Route, policy: Policy) -> _Deeds:
    passed = passed_on(seen, view, route, policy)
    if route.then.refuse is not None and not passed.doubts:
        return _refused(view, route, passed, _code(view, seen, policy, otherwise=REFUSED))
    doubts = (*_doubts(seen, view, route, policy), *passed.doubts)
    if doubts:
        return _held(view, route, passed, doubts, _code(view, seen, policy))
    if route.then.hold is not None:
        return _held(view, route, passed, (), _code(view, seen, policy))
    if route.then.note is not None:
        return _Deeds(passed.deliveries(with_copies=True), None)
    return _filed(seen, view, route, passed, policy)


def _doubts(seen: Seen, view: View, route: Route, policy: Policy) -> tuple[Reason, ...]:
    """Why the rule may not have its way; nothing for a rule that holds the message anyway, except what to tell."""
    reasons = [reason(defect.code) for defect in view.grave]
    if not view.is_automatic and not policy.members.has(sender_of(seen)):
        reasons.append(reason("sender-outside"))
    if view.is_automatic and route.then.note and view.classification.confidence < policy.kind_confidence:
        reasons.append(reason("doubtful-auto-reply"))
    if route.then.file and view.match.outcome != "certain" and not view.grave:
        reasons.extend(view.match.reasons or (reason("nothing-to-file"),))
    return tuple(reasons)


def _code(view: View, seen: Seen, policy: Policy, otherwise: int | None = None) -> int | None:
    """What the sender is told when nothing is filed: the official code, if there is one, else `otherwise`. Nobody
    outside the trust space is told anything."""
    if not policy.members.has(sender_of(seen)):
        return None
    return view.match.code or otherwise


def _held(view: View, route: Route, passed: PassedOn, doubts: tuple[Reason, ...], code: int | None) -> _Deeds:
    """Before a human, with every reason: the doubts, what the match lacks, what the rule says."""
    told = [*doubts, *view.match.reasons, *view.unread]
    if view.match.reasons:  # why nobody is certain says more than that a role needs somebody
        told = [one for one in told if one.code != WITHOUT_USAGER]
    is_last_resort = not conditions_of(route)  # its sentence is for what nothing else explains
    if route.then.hold is not None and not (is_last_resort and told):
        told.append(Reason(f"rule:{route.name}", route.then.hold))
    reasons = tuple(dict.fromkeys(told))
    shown = view.match if view.match.code is not None or view.match.candidates else None
    hold = Hold(reasons=reasons, match=shown, reason=reasons[0].code)
    return _Deeds((*passed.deliveries(with_copies=route.then.hold is not None), hold), code)


def _refused(view: View, route: Route, passed: PassedOn, code: int | None) -> _Deeds:
    assert route.then.refuse is not None
    told = Reason(f"rule:{route.name}", route.then.refuse)
    step = Refusal(reasons=(told, *view.match.reasons), reason=told.code)
    return _Deeds((*passed.deliveries(with_copies=True), step), code)


def _filed(seen: Seen, view: View, route: Route, passed: PassedOn, policy: Policy) -> _Deeds:
    """All documents, or none."""
    usager_id = view.match.candidates[0].usager_id
    steps = versions.filings(seen.parsed.documents, view.kinds, seen.versions, usager_id, policy)
    if isinstance(steps, versions.Trouble):
        return _held(view, route, passed, (reason(steps.why),), steps.code)
    return _Deeds((*steps, *passed.deliveries(with_copies=True)), 0)
