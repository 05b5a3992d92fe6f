"""What becomes of a mail that somebody of ours submitted: to whom it goes, as what, or why it waits.

In: what was seen and the rulebook. Out: a `Thought` whose plan composes once and delivers to each recipient, or holds,
or refuses, with a letter for each thing that the author must know. Pure. As for what comes in, a rule proposes; the
limits that no rule can lift stand here: nothing leaves the trust space, nothing leaves with an usager who is not
certain or with a grave doubt. What a human decided (`chosen`) replaces the doubt about the usager, and nothing else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from hub.message import (
    Answer,
    Composition,
    Delivery,
    Hold,
    Match,
    Plan,
    Reason,
    Refusal,
    Release,
    RuleTried,
    Step,
    Thought,
)
from hub.routing import letters
from hub.routing.about import About, about
from hub.routing.classify import AUTOMATIC
from hub.routing.plan import thought_of
from hub.routing.reasons import reason, recipient_outside
from hub.routing.replies import usager_named
from hub.routing.rulebook import Policy, Rulebook
from hub.routing.rules import Facts, Route, first_match
from hub.routing.sendable import sendable, unread, unsendable
from hub.routing.towards import ROLE_DOUBTS, Towards, successor, towards
from hub.routing.view import Seen, View, facts_of, view_of

RECIPIENTS_MOST = 50  # of one submission: a person who means more has taken the wrong list


Signed = Literal["auto", "never", "always"]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the rules say of one recipient. `refused` is why it may not get the mail, None when it may; a doubt about
    where it leads (`towards.doubt`) keeps the whole mail."""

    towards: Towards
    route: Route
    tried: tuple[RuleTried, ...]
    refused: Reason | None = None

    @property
    def recipient(self) -> str:
        """The address; what was written, when it leads to none."""
        return self.towards.address or self.towards.written


def think_submission(seen: Seen, rulebook: Rulebook, chosen: str | None = None, by: str = "hub") -> Thought:
    """The whole thought on one submission. `chosen`: the usager that a human named, `by` that person."""
    view = view_of(seen, rulebook)
    if seen.answer is not None and chosen is None:
        return thought_of(view, Plan(rule="answer", steps=_answered(seen, seen.answer)))
    found = about(seen, rulebook)
    if chosen is not None:
        found = found.settled(chosen)
    view = replace(view, match=found.match, kinds=_kinds(view, found))
    verdicts = tuple(_verdict(one, seen, view, rulebook) for one in _recipients(seen, found, rulebook.policy))
    doubts = _doubts(seen, view, found, verdicts, is_decided=chosen is not None)
    refused = tuple(verdict for verdict in verdicts if verdict.refused is not None)
    accepted = tuple(verdict for verdict in verdicts if verdict.refused is None)
    steps: tuple[Step, ...]
    if doubts:
        steps = _held(seen, found, doubts, rulebook.policy)
    elif not accepted:
        steps = (*_told(seen, refused), Refusal(reasons=_reasons(refused), reason=_reasons(refused)[0].code))
    else:
        replaced = _replaced(seen, found, accepted, rulebook.policy)
        steps = (*_told(seen, refused), *replaced, *_sent(seen, view, found, accepted, rulebook.policy, by))
    deciding = (accepted or verdicts)[0] if verdicts else None
    plan = Plan(
        rule=deciding.route.name if deciding else "sans-destinataire",
        steps=steps,
        tried=deciding.tried if deciding else (),
    )
    return Thought(classification=view.classification, match=found.match, plan=plan, kinds=view.kinds)


# --- what is known before a rule is asked


def _recipients(seen: Seen, found: About, policy: Policy) -> tuple[Towards, ...]:
    """Each address once, as written first; a role leads to who holds it today."""
    known: dict[str, Towards] = {}
    for written in seen.envelope.recipients:
        for one in towards(written, _subject(found), seen, policy):
            known.setdefault((one.address or one.written).casefold(), one)
    return tuple(known.values())


def _subject(found: About) -> str | None:
    """The id of the one usager that it is about."""
    return found.match.candidates[0].usager_id if found.match.outcome == "certain" else None


def _kinds(view: View, found: About) -> tuple[str | None, ...]:
    """The kind that the author named in the subject stands for every document, and for the words when they are one."""
    if found.kind is None:
        return view.kinds
    return tuple(found.kind for _ in view.kinds) or ((found.kind,) if found.match.outcome == "certain" else ())


def _verdict(one: Towards, seen: Seen, view: View, rulebook: Rulebook) -> _Verdict:
    facts = facts_of(seen, view, rulebook)
    route, tried = first_match(_with_recipient(facts, seen, one), rulebook.submissions)
    if one.doubt is not None:
        return _Verdict(one, route, tried, None if one.doubt.code in ROLE_DOUBTS else one.doubt)
    if not rulebook.policy.members.has(one.address):
        return _Verdict(one, route, tried, recipient_outside(one.address, rulebook.policy.members))
    if route.then.refuse is not None:
        return _Verdict(one, route, tried, Reason(f"rule:{route.name}", route.then.refuse))
    return _Verdict(one, route, tried)


def _with_recipient(facts: Facts, seen: Seen, one: Towards) -> Facts:
    compared = one.address.casefold()
    shown = tuple(filter(None, (compared, one.called)))
    return replace(facts, user=seen.envelope.by, recipient=shown, recipient_domain=compared.rpartition("@")[2])


def _doubts(
    seen: Seen, view: View, found: About, verdicts: tuple[_Verdict, ...], is_decided: bool
) -> tuple[Reason, ...]:
    """Why nothing leaves before a human decided. A rule that holds for one recipient holds the whole mail, until a
    human has decided."""
    reasons: list[Reason] = []
    if not verdicts:
        reasons.append(reason("no-recipient"))
    if len(verdicts) > RECIPIENTS_MOST:
        reasons.append(reason("too-many-recipients"))
    if found.is_ordinary or _subject(found) is not None:  # else the letter asks who it is about, and nothing else
        reasons += [one.towards.doubt for one in verdicts if one.refused is None and one.towards.doubt is not None]
    if view.classification.message_class in AUTOMATIC and found.is_ordinary:
        return tuple(reasons)  # her program's own receipt or absence: it goes as it is
    reasons += [reason(defect.code) for defect in view.grave]
    reasons += unsendable(seen.parsed)
    reasons += unread(seen.parsed)
    if not found.is_ordinary and found.match.outcome != "certain":
        reasons += found.match.reasons or (reason("no-usager"),)
    if not is_decided:
        reasons += [
            Reason(f"rule:{one.route.name}", one.route.then.hold)
            for one in verdicts
            if one.refused is None and one.route.then.hold is not None and not reasons
        ]
    return tuple(dict.fromkeys(reasons))


# --- deeds


def _sent(
    seen: Seen, view: View, found: About, accepted: tuple[_Verdict, ...], policy: Policy, by: str
) -> tuple[Step, ...]:
    """One composition for all who may see each other and are signed to alike, then a delivery to each of them."""
    usager_id = _subject(found)
    steps: list[Step] = []
    shown = frozenset(address.casefold() for address in (*seen.parsed.to, *seen.parsed.cc))
    groups: dict[tuple[Signed, str], list[str]] = {}
    roles = {verdict.recipient: verdict.towards.role for verdict in accepted}
    for verdict in accepted:
        recipient, written = verdict.recipient, verdict.towards.written
        hidden = "" if written.casefold() in shown else recipient  # a blind copy is a mail of its own
        groups.setdefault((_signed(verdict, policy), hidden), []).append(recipient)
    for (signed, _), recipients in groups.items():
        documents = sendable(seen.parsed.documents) if usager_id is not None else ()
        composition = Composition(
            sending="",
            recipients=tuple(recipients),
            usager_id=usager_id,
            documents=documents,
            kinds=tuple(view.kinds[number] for number in documents) or _kind_of_the_words(found, usager_id),
            signed=signed,
            by=seen.envelope.by if by == "hub" else by,
            reason=f"règle « {accepted[0].route.name} »",
        )
        composition = replace(composition, sending=_id_of(seen.envelope.id, composition))
        steps += [composition, *_outcome(seen, composition)]
        for one in recipients:
            steps.append(Delivery(content="dispatch", recipient=one, role=roles[one], sending=composition.sending))
            steps += _outcome(seen, composition, one)
    return (*steps, *_copies(seen, steps, policy))


def _kind_of_the_words(found: About, usager_id: str | None) -> tuple[str | None, ...]:
    """Without a document, the words of a mail about an usager are one."""
    return (found.kind,) if usager_id is not None and found.kind is not None else ()


def _copies(seen: Seen, steps: list[Step], policy: Policy) -> tuple[Step, ...]:
    """One of each mail, when all have been sent: nothing that leaves waits for a copy."""
    if seen.envelope.mailbox not in policy.copied or not _has_author(seen):
        return ()
    composed = (step.sending for step in steps if isinstance(step, Composition))
    return tuple(Delivery(content="sent-copy", recipient="", sending=sending) for sending in composed)


def _outcome(seen: Seen, composition: Composition, about_whom: str = "") -> tuple[Delivery, ...]:
    """The letter that goes if it could not be made, or did not leave for somebody."""
    if not _has_author(seen):
        return ()
    return (
        Delivery(
            content="outcome",
            recipient=seen.envelope.sender or "",
            sending=composition.sending,
            about=about_whom,
            composition=None if about_whom else composition,
        ),
    )


def _signed(verdict: _Verdict, policy: Policy) -> Signed:
    domain = verdict.recipient.casefold().rpartition("@")[2]
    if verdict.route.then.signed == "auto" and domain in policy.unsigned_domains:
        return "never"
    return verdict.route.then.signed


def _id_of(message_id: str, composition: Composition) -> str:
    """The same for the same mail to the same people, whoever decided and however often it is thought about."""
    said = (
        message_id,
        composition.usager_id or "",
        *map(str, composition.documents),
        *map(str, composition.kinds),
        composition.signed,
        *composition.recipients,
    )
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def _held(seen: Seen, found: About, doubts: tuple[Reason, ...], policy: Policy) -> tuple[Step, ...]:
    shown = found.match if found.match != Match() else None
    hold = Hold(reasons=doubts, match=shown, reason=doubts[0].code)
    return (*_letter(seen, letters.held(seen, found, doubts, policy.public_url)), hold)


def _told(seen: Seen, refused: tuple[_Verdict, ...]) -> tuple[Step, ...]:
    """One letter for each recipient who will not get the mail."""
    return tuple(
        step
        for one in refused
        if one.refused is not None
        for step in _letter(seen, letters.unsuitable(seen, one.recipient, one.refused))
    )


def _replaced(seen: Seen, found: About, accepted: tuple[_Verdict, ...], policy: Policy) -> tuple[Step, ...]:
    """One letter for each recipient, written to by hand, who is no longer what they were for the usager."""
    usager_id = _subject(found)
    if usager_id is None:
        return ()
    steps: list[Step] = []
    for one in accepted:
        known = None if one.towards.role else successor(one.recipient, usager_id, seen, policy)
        if known is not None:
            steps += _letter(seen, letters.replaced(seen, one.recipient, *known, policy.roles))
    return tuple(steps)


def _answered(seen: Seen, answer: Answer) -> tuple[Step, ...]:
    """What its author says of a submission that waits: it is about this usager, or must not go, or it is not clear."""
    by = seen.envelope.by
    if answer.cancels:
        told = letters.answered(answer)
        return (Release(message=answer.message, usager_id=None, by=by), *(_letter(seen, told) if told else ()))
    named = usager_named(answer, seen.subjects)
    if isinstance(named, str):
        return (Release(message=answer.message, usager_id=named, by=by),)
    told = letters.answered(replace(answer, number=None, reason=answer.reason or named), seen.held)
    return _letter(seen, told) if told else ()


def _letter(seen: Seen, letter: letters.Letter) -> tuple[Delivery, ...]:
    """To the author's own mailbox."""
    if not _has_author(seen):
        return ()
    return (Delivery(content="letter", recipient=seen.envelope.sender or "", subject=letter.subject, text=letter.text),)


def _has_author(seen: Seen) -> bool:
    """Nobody is told of an automatic mail: nobody wrote it."""
    return bool(seen.envelope.sender) and seen.parsed.auto_submitted in (None, "", "no") and seen.parsed.report is None


def _reasons(refused: tuple[_Verdict, ...]) -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(one.refused for one in refused if one.refused is not None))
