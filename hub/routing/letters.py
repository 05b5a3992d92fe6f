"""Letters to whoever submitted a mail: what happened, what it means, what to do now. Plain French, no jargon.

What was seen and concluded in, (subject, text) out. A letter goes to the author's own mailbox, inside the trust space:
its text may name an usager, its subject never does (guard G14). Above the first line stands a mark under which nothing
of a reply is read (`hub.routing.replies`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from hub.ids import shown
from hub.message import Answer, Candidate, Match, Reason, Role, Rung, Sending, SentTo
from hub.receipts import failures
from hub.routing.about import About
from hub.routing.portraits import portrait
from hub.routing.roles import Roles
from hub.routing.towards import ROLE_DOUBTS, WITHOUT_USAGER, Towards
from hub.routing.view import Seen

REPLY_ABOVE = "----- Si vous répondez, écrivez au-dessus de cette ligne -----"
CANDIDATES_SHOWN = 5
QUOTED_MOST = 200  # characters of a subject
_USAGERS = "@patient.mssante.fr"  # such an address is the INS of a person: never shown

_WHO = "Votre envoi attend : de quel usager s'agit-il ?"
_DECIDE = "Votre envoi attend une décision"
_REPLACED = "Votre envoi part à un ancien correspondant : à vérifier"
_PARTLY = "Votre envoi n'est pas parti pour un destinataire"
_NOT_MADE = "Votre envoi n'a pas pu être préparé"
_NOT_SENT = "Votre envoi n'est pas arrivé"
_UNCERTAIN = "Votre envoi est peut-être arrivé : à vérifier"
_UNCLEAR = "Votre réponse n'a pas été comprise"
_TOO_LATE = "Votre réponse arrive trop tard"
_CANCELLED = "Votre envoi est annulé"

_UNREADABLE = frozenset({"pdf-unreadable", "pdf-encrypted"})


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    text: str


def held(seen: Seen, found: About, doubts: Iterable[Reason], public_url: str = "") -> Letter:
    """Why the submission waits, who it could be about, and how to answer. `public_url` is where the pages of the hub
    are shown, "" when they are not."""
    reasons = tuple(doubts)
    who = found.match.outcome != "certain" and (not found.is_ordinary or any(map(_is_about_nobody, reasons)))
    page = f"{public_url.rstrip('/')}/held/{seen.envelope.id}" if public_url else ""
    return _letter(
        _WHO if who else _DECIDE,
        [
            REPLY_ABOVE,
            "",
            "Bonjour,",
            "",
            f"{_yours(seen)} n'est pas encore parti : il attend votre réponse. Rien n'est perdu.",
            "",
            "Pourquoi :",
            *(f"- {reason.text}" for reason in reasons),
            "",
            *(_candidates(found.match) if who else ()),
            "Ce qu'il faut faire :",
            *(_TO_ANSWER if who else _how_to_decide(reasons)),
            *([f"- ou ouvrez la page {page}"] if page else ()),
        ],
        seen,
    )


def unsuitable(seen: Seen, recipient: str, why: Reason) -> Letter:
    """One recipient did not get it; the others did, or were told of apart."""
    return _letter(
        _PARTLY,
        [
            "Bonjour,",
            "",
            f"{_yours(seen)} n'est pas parti pour {_shown(recipient)}.",
            "",
            f"Pourquoi : {why.text}",
            "",
            "Ce qu'il faut faire : si l'adresse est fausse, renvoyez le message à la bonne adresse. Les autres "
            "destinataires, s'il y en a, ne sont pas concernés : ne leur renvoyez rien.",
        ],
        seen,
    )


def replaced(seen: Seen, address: str, role: Role, since: date, now: Towards, roles: Roles) -> Letter:
    """It goes to who held a role for the usager and no longer does: as asked, but its author must know."""
    return _letter(
        _REPLACED,
        [
            "Bonjour,",
            "",
            f"{_yours(seen)} part pour {_shown(address)}, comme vous l'avez demandé. Mais selon le carnet d'adresses, "
            f"cette adresse n'est plus celle du rôle « {role.label} » pour cet usager depuis le {since:%d/%m/%Y}.",
            "",
            f"L'adresse actuelle : {_shown(now.address)} ({now.role}).",
            "",
            "Ce qu'il faut faire : si vous vouliez écrire à la personne actuelle, renvoyez-lui le message. Vous pouvez "
            f"aussi écrire à {roles.address(role)} : le hub trouve lui-même l'adresse du jour.",
        ],
        seen,
    )


def not_made(why: str) -> Letter:
    """The mail could not be written; `why` is a whole sentence for its author (too large, no certificate…)."""
    return _letter(
        _NOT_MADE,
        [
            "Bonjour,",
            "",
            "Un de vos envois n'a pas pu être préparé : rien n'est parti, pour aucun destinataire.",
            "",
            f"Pourquoi : {why}",
            "",
            "Ce qu'il faut faire : corrigez ce qui est dit ci-dessus, puis renvoyez le message. Si vous ne pouvez pas "
            "le corriger, prévenez l'administrateur du hub.",
        ],
    )


def not_sent(sending: Sending | None, stands: SentTo) -> Letter:
    """It did not get to one recipient, or nobody knows."""
    number = f" n° {shown(sending.id)}" if sending is not None else ""
    if sending is not None and sending.record_number:
        number += f" (dossier {sending.record_number})"
    others = sending is not None and len(sending.sent_to) > 1
    only = " Ne le renvoyez qu'à lui : les autres destinataires ne sont pas concernés." if others else ""
    if stands.rung is Rung.UNCERTAIN:
        return _letter(
            _UNCERTAIN,
            [
                "Bonjour,",
                "",
                f"Votre envoi{number} pour {_shown(stands.recipient)} est peut-être arrivé, peut-être pas : la liaison "
                "avec l'opérateur a été coupée juste après l'envoi, et rien ne l'a confirmé depuis.",
                "",
                f"Ce qu'il faut faire : {failures.CALL} S'il ne l'a pas, renvoyez-le. S'il l'a, il n'y a rien à "
                f"faire.{only}",
            ],
        )
    return _letter(
        _NOT_SENT,
        [
            "Bonjour,",
            "",
            f"Votre envoi{number} n'est pas arrivé à {_shown(stands.recipient)} : {failures.why(stands.status)}.",
            "",
            f"Ce qu'il faut faire : {failures.remedy(stands.status)}{only}",
        ],
    )


def asks(subject: str) -> bool:
    """Whether a letter with this subject waits for an answer."""
    return subject.startswith((_WHO, _DECIDE, _UNCLEAR))


def answered(answer: Answer, match: Match | None = None) -> Letter | None:
    """What its author is told of a reply: that it was not clear, or too late, or that nothing was sent. None for a
    record number that is taken: what becomes of the mail is told by itself. `match` is what the hold shows."""
    if answer.number is not None:
        return None
    if answer.cancels:
        return _cancelled(answer)
    if answer.reason is not None and answer.reason.code == "answer-too-late":
        return _too_late(answer)
    return unclear(answer, match)


def unclear(answer: Answer, match: Match | None = None) -> Letter:
    """A reply to `held` that does not say whom, or names a record that does not exist."""
    match = match or Match()
    why = answer.reason.text if answer.reason else ""
    return _letter(
        _UNCLEAR,
        [
            REPLY_ABOVE,
            "",
            "Bonjour,",
            "",
            "Votre réponse n'a pas été comprise : votre envoi attend toujours, il n'est pas parti.",
            "",
            *([f"Pourquoi : {why}", ""] if why else ()),
            *_candidates(match),
            "Ce qu'il faut faire :",
            *_TO_ANSWER,
        ],
        reference=answer.message,
    )


def _too_late(answer: Answer) -> Letter:
    return _letter(
        _TOO_LATE,
        [
            "Bonjour,",
            "",
            "L'envoi auquel vous répondez n'attend plus de réponse : il est déjà parti, ou a été annulé. Votre réponse "
            "n'a rien changé.",
            "",
            "Ce qu'il faut faire : s'il s'agissait d'un autre usager, prévenez tout de suite le destinataire par "
            "téléphone.",
        ],
        reference=answer.message,
    )


def _cancelled(answer: Answer) -> Letter:
    return _letter(
        _CANCELLED,
        [
            "Bonjour,",
            "",
            "Comme vous l'avez demandé, votre envoi est annulé : il n'est parti pour aucun destinataire.",
            "",
            "Ce qu'il faut faire : rien. Pour l'envoyer quand même, renvoyez le message.",
        ],
        reference=answer.message,
    )


# --- parts of a letter


def _letter(subject: str, lines: list[str], seen: Seen | None = None, reference: str = "") -> Letter:
    number = shown(seen.envelope.id if seen is not None else reference)
    return Letter(f"{subject} (réf. {number})" if number else subject, "\n".join(lines).rstrip() + "\n")


def _yours(seen: Seen) -> str:
    subject = " ".join(seen.parsed.subject.split())
    quoted = subject if len(subject) <= QUOTED_MOST else subject[:QUOTED_MOST] + "…"
    return f"Votre message « {quoted} »" if quoted else "Votre message (sans objet)"


def _candidates(match: Match) -> list[str]:
    offered = match.candidates[:CANDIDATES_SHOWN]
    if not offered:
        return []
    more = len(match.candidates) - len(offered)
    lines = ["Usagers possibles :"]
    for number, candidate in enumerate(offered, 1):
        lines += [f"{number}. {line}" if first else f"   {line}" for first, line in _numbered(candidate)]
    if more:
        lines.append("D'autres usagers ressemblent aussi : cherchez le bon dans vos dossiers.")
    return [*lines, ""]


def _numbered(candidate: Candidate) -> Iterable[tuple[bool, str]]:
    return ((place == 0, line) for place, line in enumerate(portrait(candidate)))


_TO_ANSWER = (  # no number here: an example would be copied
    "- répondez à ce courriel en écrivant : [dossier NUMÉRO], avec le numéro de dossier de l'usager ;",
    "- ou répondez « annuler » : rien ne sera envoyé",
)


def _is_about_nobody(reason: Reason) -> bool:
    return reason.code == WITHOUT_USAGER


def _how_to_decide(reasons: tuple[Reason, ...]) -> list[str]:
    if any(reason.code in ROLE_DOUBTS for reason in reasons):
        return [*_ROLE_TO_NOTE, *_OTHERWISE]
    if any(reason.code in _UNREADABLE for reason in reasons):
        return ["- vérifiez que le PDF s'ouvre chez vous, sans mot de passe, puis renvoyez le message ;", *_OTHERWISE]
    return ["- corrigez ce qui est dit ci-dessus, puis renvoyez le message ;", *_OTHERWISE]


_ROLE_TO_NOTE = (
    "- faites noter l'adresse du jour par la personne qui tient le carnet d'adresses (hub usagers role set), "
    "puis répondez à ce courriel en écrivant : [dossier NUMÉRO], avec le numéro de dossier de l'usager ;",
    "- ou renvoyez le message à l'adresse de la personne, si vous la connaissez ;",
)
_OTHERWISE = (
    "- ou demandez à la personne qui suit les envois en attente dans le hub de décider ;",
    "- ou répondez « annuler » : rien ne sera envoyé",
)


def _shown(address: str) -> str:
    is_usager = address.strip().casefold().endswith(_USAGERS)
    return "l'usager, dans Mon espace santé" if is_usager else " ".join(address.split())
