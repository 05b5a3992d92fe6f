"""The ladder of one recipient: which rung after what was heard, how long without news, and all of it in plain French.

In: where a recipient stands (`SentTo`) and one piece of news. Out: where it stands then. Pure; the same news in another
order ends on the same rung, so that reports may come late, twice or across each other.

Forward, the higher rung wins. Bad news wins over what it may contradict, because a needless telephone call is cheap and
a letter that nobody got is not: a bounce after `delivered` is a failure, and `delivered` does not lift a bounce. What
only the recipient's side can say wins over what servers say: `read` and `integrated` lift a bounce. A refused
integration is no bounce: the mail arrived, and no reader mends it, only an integration does. What contradicts
without winning is `DISPUTED`: a human looks. A person's word is final.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from hub.integration import INTEGRATION_CODES
from hub.message import News, Rung, SentTo
from hub.receipts.failures import CALL, DELETED, REFUSED, remedy, why

_FORWARD = (Rung.PREPARED, Rung.SUBMITTED, Rung.DELIVERED, Rung.READ, Rung.INTEGRATED)
ARRIVED = frozenset({Rung.DELIVERED, Rung.READ, Rung.INTEGRATED})
SETTLED = frozenset({Rung.READ, Rung.INTEGRATED})  # nothing more is waited for
_REFUSALS = frozenset({*map(str, INTEGRATION_CODES), REFUSED})


class Turn(StrEnum):
    """What a piece of news changes."""

    MOVED = "moved"
    KNOWN = "known"  # repeated or late: nothing
    DISPUTED = "disputed"  # it contradicts what is known, and does not win


def heard(stands: SentTo, news: News, at: datetime, report: str = "") -> SentTo:
    """Where the recipient stands after `news`, told at `at` by the message `report`; `stands` when nothing changes."""
    if news.source == "reply" and (stands.answered_at is None or stands.answered_at < at):
        stands = replace(stands, answered_at=at)
    if turn_of(stands, news) is Turn.MOVED:
        return replace(stands, rung=news.rung, at=at, status=news.status, report=report)
    return stands


def turn_of(stands: SentTo, news: News) -> Turn:
    if news.source == "human":
        return _moved(news.rung is not stands.rung)
    if news.rung is Rung.FAILED:
        return _failure(stands, news)
    if news.rung is Rung.DELAYED:
        return _moved(stands.rung in (Rung.PREPARED, Rung.SUBMITTED, Rung.UNCERTAIN))
    if news.rung is Rung.UNCERTAIN:  # of a new attempt of ours
        return _moved(stands.rung in (Rung.PREPARED, Rung.FAILED))
    return _progress(stands, news)


def _failure(stands: SentTo, news: News) -> Turn:
    is_refusal = news.status in _REFUSALS
    match stands.rung:
        case Rung.FAILED:
            return _moved(is_refusal and stands.status not in _REFUSALS)
        case Rung.INTEGRATED:
            return Turn.KNOWN if news.source == "smtp" else Turn.DISPUTED
        case Rung.READ | Rung.DELIVERED if news.source == "smtp":
            return Turn.KNOWN  # a second copy was refused, the first had arrived
        case Rung.READ:
            if news.status == DELETED:
                return Turn.KNOWN  # first read, then thrown away
            return Turn.MOVED if is_refusal else Turn.DISPUTED
        case _:
            return Turn.MOVED


def _progress(stands: SentTo, news: News) -> Turn:
    """Of the rungs that follow one another."""
    if stands.rung in _FORWARD:
        return _moved(_FORWARD.index(news.rung) > _FORWARD.index(stands.rung))
    if stands.rung is not Rung.FAILED:  # delayed, uncertain: anything that shows that it left ends that
        return _moved(news.rung is not Rung.PREPARED)
    was_refused = stands.status in _REFUSALS
    match news.rung:
        case Rung.INTEGRATED:
            return Turn.MOVED
        case Rung.READ:
            return _moved(not was_refused)
        case Rung.DELIVERED:
            return Turn.KNOWN if was_refused else Turn.DISPUTED
        case _:
            return _moved(news.rung is Rung.SUBMITTED and news.source == "smtp")  # a new attempt of ours


def _moved(moves: bool) -> Turn:
    return Turn.MOVED if moves else Turn.KNOWN


# --- silence


def is_silent(stands: SentTo, at: datetime, silence_after: timedelta) -> bool:
    """Whether news are overdue. An automatic answer is none: it says that the mailbox lives, not that anybody reads."""
    return stands.rung not in SETTLED and stands.rung is not Rung.FAILED and at - stands.at >= silence_after


def waits(stands: SentTo, at: datetime, silence_after: timedelta) -> bool:
    """Whether somebody of ours should look: a failure, an uncertain sending, a silence."""
    return stands.rung in (Rung.FAILED, Rung.UNCERTAIN) or is_silent(stands, at, silence_after)


# --- in plain French

_NAMES = {
    Rung.PREPARED: "préparé",
    Rung.SUBMITTED: "remis à l'opérateur",
    Rung.DELIVERED: "remis dans la boîte du destinataire",
    Rung.READ: "lu",
    Rung.INTEGRATED: "intégré au dossier du destinataire",
    Rung.DELAYED: "retardé, l'opérateur essaie encore",
    Rung.UNCERTAIN: "incertain, la connexion a été coupée pendant la remise",
    Rung.FAILED: "échec",
}


def name_of(rung: Rung) -> str:
    return _NAMES[rung]


def in_words(stands: SentTo, at: datetime, silence_after: timedelta) -> str:
    """The rung with its age, as of `at`: `lu il y a 2 heures`, `sans nouvelles depuis 26 heures (…)`."""
    since = age(at - stands.at)
    if stands.rung is Rung.FAILED:
        return f"échec il y a {since} : {why(stands.status)}"
    if is_silent(stands, at, silence_after):
        return f"sans nouvelles depuis {since} ({name_of(stands.rung)})"
    if stands.rung in (Rung.DELAYED, Rung.PREPARED):
        return f"{name_of(stands.rung)} (depuis {since})"
    if stands.rung is Rung.UNCERTAIN:
        return f"{name_of(stands.rung)} (il y a {since})"
    return f"{name_of(stands.rung)} il y a {since}"


def age(span: timedelta) -> str:
    """`moins d'une minute`, `5 minutes`, `26 heures`, `3 jours`: hours up to two days, whole units passed."""
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes < 1:
        return "moins d'une minute"
    if minutes < 60:
        return _counted(minutes, "minute")
    if minutes < 2 * 24 * 60:
        return _counted(minutes // 60, "heure")
    return _counted(minutes // (24 * 60), "jour")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number > 1 else ''}"


def what_to_do(stands: SentTo, at: datetime, silence_after: timedelta) -> str:
    """What a secretary does now; "" when there is nothing to do."""
    if stands.rung is Rung.FAILED:
        return remedy(stands.status)
    if stands.rung is Rung.UNCERTAIN:
        return CALL
    if not is_silent(stands, at, silence_after):
        return ""
    if stands.answered_at is not None and stands.answered_at >= stands.at:
        return f"Une réponse automatique est arrivée : lisez-la, la personne est peut-être absente. {CALL}"
    return CALL
