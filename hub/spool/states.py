"""The states of messages and steps, and what moves them. Pure: no clock, no database; chance is an argument.

    ACCEPTED ──plan──▶ PLANNED ──every step settled──▶ DONE
        └──────────────────┴──a Hold, a step FAILED, given up──▶ HELD ──release──▶ PLANNED
    step: TODO ─▶ DONE | DEFERRED | UNCERTAIN | FAILED; DROPPED when another plan replaced it before it was done

In flows what became of a deed; out flows the state to write and when to look again. Used by the real spool and by
the fake of the tests, so that both follow the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from hub.encoding import step_name
from hub.message import (
    Composition,
    Deferred,
    Delivery,
    Done,
    Failed,
    Handover,
    Hold,
    Outcome,
    Reason,
    Receipt,
    Step,
    Uncertain,
)
from hub.ports import OpenStep
from hub.settings import Spooling


class MessageState(StrEnum):
    ACCEPTED = "ACCEPTED"
    PLANNED = "PLANNED"
    HELD = "HELD"
    DONE = "DONE"


class StepState(StrEnum):
    TODO = "TODO"
    DONE = "DONE"
    DEFERRED = "DEFERRED"
    UNCERTAIN = "UNCERTAIN"
    FAILED = "FAILED"
    DROPPED = "DROPPED"


CARRIED_STATES = (MessageState.ACCEPTED, MessageState.PLANNED)
SENDING = "sending"  # the stage before a mail goes out: the one deed that cannot be taken back
OPEN_STATES = (StepState.TODO, StepState.DEFERRED, StepState.UNCERTAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """A step of the present plan, as its row says."""

    number: int
    step: Step
    state: StepState = StepState.TODO
    stage: str = ""
    attempts: int = 0
    due_at: datetime | None = None  # None: at once
    answer: str = ""
    outgoing_id: str | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the hub tries (`settings.spooling`). `random` gives 0 to 1: it spreads retries, it guards nothing."""

    spooling: Spooling
    random: Callable[[], float]

    def delay(self, attempts: int) -> timedelta:
        """After so many attempts (1 for the first): doubling from `retry_first` to `retry_most`, give or take a
        quarter, so that what failed together does not come back together."""
        whole = self.spooling.retry_first * 2.0 ** min(max(attempts, 1) - 1, 30)
        return min(whole, self.spooling.retry_most) * (0.75 + self.random() / 2)

    @property
    def longest(self) -> timedelta:
        """No wait is longer: a time further ahead was written by a clock that has been put back since."""
        return self.spooling.retry_most * 1.25

    def is_due(self, due_at: datetime | None, now: datetime) -> bool:
        return due_at is None or due_at <= now or due_at > now + self.longest

    def is_used_up(self, attempts: int) -> bool:
        """Age counts in the waits between the attempts, not by the clock: neither a clock that jumps a year nor a hub
        that was switched off for a week takes a message its attempts."""
        if attempts >= self.spooling.attempts:
            return True
        first, most = self.spooling.retry_first, self.spooling.retry_most
        waited = sum((min(first * 2.0 ** min(one, 30), most) for one in range(attempts)), timedelta())
        return waited >= self.spooling.give_up_after

    def opened(self, step: StepFacts) -> OpenStep:
        """The step as its carrier sees it."""
        return OpenStep(
            number=step.number,
            step=step.step,
            stage=step.stage,
            attempts=step.attempts,
            outgoing_id=step.outgoing_id,
            is_uncertain=step.state is StepState.UNCERTAIN,
            is_last_try=self.is_used_up(step.attempts + 1),
        )

    def settle(self, step: StepFacts, outcome: Outcome, now: datetime) -> StepFacts:
        """The step after this outcome. What is to be tried again becomes FAILED when patience is used up."""
        match outcome:
            case Done(answer):
                return replace(step, state=StepState.DONE, answer=answer, due_at=None)
            case Failed(reason):
                return replace(step, state=StepState.FAILED, answer=reason, due_at=None)
        attempts = step.attempts + 1
        deferred = isinstance(outcome, Deferred)
        why = outcome.reason if isinstance(outcome, Deferred) else outcome.evidence
        if self.is_used_up(attempts):
            answer = f"gave up{'' if deferred else ', uncertain'}: {why}"
            return replace(step, state=StepState.FAILED, attempts=attempts, answer=answer, due_at=None)
        due_at = now + self.delay(attempts)
        until = outcome.until if isinstance(outcome, Deferred | Uncertain) else None
        if until is not None:
            due_at = min(max(due_at, until), now + self.longest)
        state = StepState.DEFERRED if deferred else StepState.UNCERTAIN
        return replace(step, state=state, attempts=attempts, answer=why, due_at=due_at)


def outcome_of(step: StepFacts) -> Outcome:
    """The outcome as it was settled, which may be harder than the one reported (given up)."""
    match step.state:
        case StepState.DONE:
            return Done(step.answer)
        case StepState.DEFERRED if step.due_at is not None:
            return Deferred(step.due_at, step.answer)
        case StepState.UNCERTAIN:
            return Uncertain(step.answer)
        case _:
            return Failed(step.answer)


def state_after(steps: Iterable[StepFacts], set_out_at: datetime) -> tuple[MessageState, datetime | None]:
    """The state of a message whose present plan has these steps, and when it is due (None: nothing is). What waits for
    nothing is due since the message set out, whatever the clock says later."""
    steps = tuple(steps)
    waits = [step.due_at or set_out_at for step in steps if step.is_open]
    if waits:
        return MessageState.PLANNED, min(waits)
    if any(isinstance(step.step, Hold) or step.state is StepState.FAILED for step in steps):
        return MessageState.HELD, None
    return MessageState.DONE, None


def numbered(
    steps: Iterable[Step], first: int, earlier: Iterable[StepFacts], repeats_sendings: bool
) -> tuple[StepFacts, ...]:
    """The steps of a new plan, numbered from `first`, beside the `earlier` ones that this message had.

    The same sending keeps its Message-ID for ever, whichever plan asks for it; one that is DONE is not sent again,
    unless a human asks (`repeats_sendings`).
    """
    earlier = tuple(earlier)
    made = []
    for number, step in enumerate(steps, first):
        facts = StepFacts(number=number, step=step)
        before = next((old for old in reversed(earlier) if _is_same_sending(old.step, step)), None)
        if before is not None and before.state is not StepState.DONE:
            facts = replace(facts, stage=before.stage, outgoing_id=before.outgoing_id)
        elif before is not None and not repeats_sendings:
            facts = replace(facts, state=StepState.DONE, answer=f"already sent by step {before.number}")
        made.append(facts)
    return tuple(made)


def staged(steps: Iterable[StepFacts], outgoing_ids: Mapping[int, str]) -> tuple[StepFacts, ...]:
    """The steps, those at these places about to be sent under these Message-IDs. One given before stays for ever."""
    return tuple(
        replace(step, stage=SENDING, outgoing_id=step.outgoing_id or outgoing_ids[place])
        if place in outgoing_ids and step.is_open
        else step
        for place, step in enumerate(steps)
    )


_LEAVES = Receipt | Delivery | Handover | Composition


def _is_same_sending(one: Step, other: Step) -> bool:
    if isinstance(one, Composition) and isinstance(other, Composition):
        return one.sending == other.sending
    if not isinstance(one, _LEAVES) or not isinstance(other, _LEAVES):
        return False
    return replace(one, reason="") == replace(other, reason="")


# --- what the spool itself puts before a human

_KEPT = " Le message est gardé en entier."
WORKER_DIED = Reason(
    "worker-died",
    "Le traitement de ce message s'est arrêté brutalement à plusieurs reprises."
    + _KEPT
    + " Lisez-le dans la boîte aux lettres, puis décidez de la suite.",
)
GAVE_UP = Reason(
    "gave-up",
    "Le hub n'a pas pu traiter ce message malgré plusieurs essais, et n'essaie plus."
    + _KEPT
    + " Prévenez la personne qui administre le hub, puis relancez le message.",
)
_FAILED_TEXTS = {
    "receipt": "L'accusé demandé par l'expéditeur n'a pas pu être envoyé. Vérifiez son adresse, puis décidez de le "
    "renvoyer ou de prévenir l'expéditeur autrement.",
    "delivery": "Un envoi prévu pour ce message n'a pas pu être fait. Vérifiez le destinataire, puis relancez l'envoi "
    "ou prévenez-le autrement.",
    "filing": "Un document de ce message n'a pas pu être classé." + _KEPT + " Classez-le à la main.",
    "composition": "Le message à envoyer n'a pas pu être préparé."
    + _KEPT
    + " Corrigez la pièce jointe, puis renvoyez.",
    "news": "Un avis sur un de vos envois n'a pas pu être noté." + _KEPT + " Lisez-le, puis clôturez-le.",
    "release": "La réponse à une question du hub n'a pas pu être suivie : l'envoi attend toujours. Décidez à sa place.",
    "handover": "Un document de ce message n'a pas pu être remis au DUI."
    + _KEPT
    + " Relancez la remise, ou classez-le.",
    "refusal": "Ce message n'a pas pu être refusé." + _KEPT + " Décidez de la suite à la main.",
    "hold": "Ce message n'a pas pu être mis en attente." + _KEPT + " Décidez de la suite à la main.",
}


def holds_for_failures(steps: Iterable[StepFacts]) -> tuple[Hold, ...]:
    """What a human must decide when steps failed: at most one hold for the message and one for its receipt."""
    failed = sorted({step_name(step.step) for step in steps if step.state is StepState.FAILED})
    holds = []
    for about in ("message", "receipt"):
        reasons = tuple(
            Reason(f"{name}-failed", _FAILED_TEXTS[name])
            for name in failed
            if (name == "receipt") == (about == "receipt")
        )
        if reasons:
            holds.append(Hold(about=about, reasons=reasons, reason=reasons[0].code))
    return tuple(holds)


def hold_of(reason: Reason) -> Hold:
    return Hold(reasons=(reason,), reason=reason.code)
