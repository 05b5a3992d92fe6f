"""What a report or an automatic answer tells of a sending of ours: news for its ladder, and a letter to its author.

In: the message and the sendings that the records found by its keys. Out: the steps, and for the rules whether the
report is about a sending (`known`), contradicts what is known of it or cannot be told to its author (`disputed`), does
not say of which recipient (`unclear`), or is about none (`unknown`). A letter goes once for each event: something did
not arrive or was refused; it was read or integrated, when the author asked to be told. What is late or repeated gives
none. A letter is never answered and never reported on: it goes to a mailbox of ours only, and is known when it comes
back (`is_own_letter`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hub.ids import shown
from hub.message import Delivery, MessageClass, News, ParsedMessage, Rung, Sending, SentTo, Step
from hub.receipts import Turn, correlate, failures, keys_of, turn_of
from hub.receipts.ladder import SETTLED
from hub.routing.classify import AUTOMATIC, message_class_of
from hub.routing.rulebook import Policy, Rulebook
from hub.routing.view import Seen, View

About = Literal["", "known", "disputed", "unclear", "unknown"]
_SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
_USAGERS = "@patient.mssante.fr"  # such an address is the INS of a person

NOT_ARRIVED = "Votre envoi n'est pas arrivé à tous ses destinataires"
REFUSED = "Votre envoi n'a pas pu être intégré par un destinataire"
THROWN_AWAY = "Votre envoi a été supprimé sans être lu"
READ = "Votre envoi a été lu"
INTEGRATED = "Votre envoi a été intégré au dossier"


@dataclass(frozen=True, slots=True)
class Tidings:
    """`about` is empty for a message that a person wrote. `words`: what the report says, in the words of RFC 3464 and
    RFC 8098, for the rules."""

    about: About = ""
    steps: tuple[Step, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Turned:
    news: News
    stands: SentTo
    turn: Turn


def report_keys(parsed: ParsedMessage) -> tuple[str, ...]:
    """By what the records find the sending that a report or an automatic answer is about (`Sendings.find`); none for
    what a person wrote."""
    return keys_of(parsed) if message_class_of(parsed)[0] in AUTOMATIC else ()


def tidings_of(seen: Seen, view: View, rulebook: Rulebook) -> Tidings:
    message_class = view.classification.message_class
    if message_class not in AUTOMATIC:
        return Tidings()
    found = correlate(seen.parsed, message_class, seen.sendings)
    if found.sending is None or not found.news:
        return Tidings("unknown" if found.sending is None else "unclear")
    turned = tuple(_turned(news, found.sending, seen.envelope.id) for news in found.news)
    told = tuple(one for one in turned if _is_told(one, found.sending))
    author = dict(rulebook.policy.addresses).get(found.sending.mailbox)
    letter = _letter(told, found.sending, author, rulebook) if told and author else ()
    about: About = "known" if found.is_whole else "unclear"
    if any(one.turn is Turn.DISPUTED for one in turned) or (told and not author):
        about = "disputed"
    return Tidings(about, (*found.news, *letter), _words(found.news, message_class))


def is_own_letter(seen: Seen, policy: Policy) -> bool:
    """A letter that the hub wrote to a mailbox of ours, met there: nothing is to be done with it. It never carries a
    document, nothing but its text and its signature (`hub operator test`, `hub certs rehearse`), so nobody can slip one
    past a reader under this form."""
    parsed = seen.parsed
    own = {address.casefold() for address in policy.own_addresses}
    addresses = (parsed.from_address or "", *parsed.to)
    return (
        parsed.auto_submitted == "auto-generated"
        and len(parsed.to) == 1
        and all(address.casefold() in own for address in addresses)
        and not (parsed.cc or parsed.documents or parsed.archives)
        and all(one.media_type in _SIGNATURES for one in parsed.attachments[1:])
        and (parsed.verdict is None or parsed.verdict.outcome != "invalid")
        and parsed.report is None
    )


def _turned(news: News, sending: Sending, report: str) -> _Turned:
    """What this report put there itself, before a plan was made anew, is news still: its letter may not have left."""
    stands = next(one for one in sending.sent_to if one.recipient == news.recipient)
    is_own_doing = bool(report) and stands.report == report and stands.rung is news.rung
    return _Turned(news, stands, Turn.MOVED if is_own_doing else turn_of(stands, news))


def _is_told(one: _Turned, sending: Sending) -> bool:
    if one.turn is not Turn.MOVED:
        return False
    if one.news.rung is Rung.FAILED:
        return True
    is_first = one.stands.rung not in SETTLED or one.stands.rung is one.news.rung
    return sending.wants_receipt and one.news.rung in SETTLED and is_first


def _words(news: Iterable[News], message_class: MessageClass) -> tuple[str, ...]:
    """So that a bounce without a machine-readable part is seen by the rules as one that has it."""
    words: dict[str, None] = {}
    for one in news:
        if one.rung is Rung.FAILED and message_class is MessageClass.MDN:
            words |= dict.fromkeys(("error", one.status))
        elif one.rung is Rung.FAILED:
            words |= dict.fromkeys(("failed", "error", one.status))
        elif one.rung is Rung.DELAYED:
            words["delayed"] = None
    return tuple(word for word in words if word)


# --- the letter


def _letter(told: tuple[_Turned, ...], sending: Sending, author: str, rulebook: Rulebook) -> tuple[Delivery, ...]:
    rung, policy = told[0].news.rung, rulebook.policy
    named = (
        rulebook.catalogue.label(sending.kind) if sending.kind is not None else "",
        f"dossier {sending.record_number}" if sending.record_number else "",
    )
    what = f" ({', '.join(filter(None, named))})" if any(named) else ""
    when = sending.composed_at.astimezone(policy.zone).strftime("le %d/%m/%Y à %H:%M")
    lines = [
        "Bonjour,",
        "",
        f"Votre envoi n° {shown(sending.id)}{what}, parti {when} de la boîte {author}, {_END[rung]} :",
        "",
    ]
    for one in told:
        lines += _about(one)
    return (
        Delivery(
            content="letter",
            recipient=author,
            sending=sending.id,
            reason=told[0].news.reason,
            subject=_subject(told),
            text="\n".join(lines),
        ),
    )


_END = {
    Rung.FAILED: "n'a pas abouti pour",
    Rung.READ: "a été lu par",
    Rung.INTEGRATED: "a été intégré au dossier par",
}


def _subject(told: tuple[_Turned, ...]) -> str:
    """Names nobody and no document: subjects are shown on locked screens (guard G14)."""
    match told[0].news:
        case News(rung=Rung.FAILED, status=failures.DELETED):
            return THROWN_AWAY
        case News(rung=Rung.FAILED, source="mdn"):
            return REFUSED
        case News(rung=Rung.FAILED):
            return NOT_ARRIVED
        case News(rung=Rung.READ):
            return READ
        case _:
            return INTEGRATED


def _about(one: _Turned) -> list[str]:
    name = (
        "un usager, dans Mon espace santé" if one.news.recipient.casefold().endswith(_USAGERS) else one.news.recipient
    )
    if one.news.rung is not Rung.FAILED:
        return [f"- {name}"]
    status = one.news.status
    return [f"- {name} : {failures.why(status)}.", f"  Ce qu'il faut faire : {failures.remedy(status)}", ""]
