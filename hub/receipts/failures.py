"""Why a sending failed and what a secretary does then, in plain French, from the code that a report gave.

Statuses are enhanced codes (RFC 3463), SMTP replies (RFC 5321; mssante.md §5.5 lists those that operators give),
integration codes (900 to 906), or one of the words below.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.integration import INTEGRATION_CODES, official_label
from hub.receipts.dsn import enhanced_in, reply_in

REFUSED = "refused"  # an integration that failed without a code
DELETED = "deleted"  # thrown away unread
OUTSIDE = "outside"  # its domain left the trust space before the mail left us

CALL = "Téléphonez au destinataire pour savoir s'il l'a reçu."
_RETRY = "Vérifiez l'adresse dans l'annuaire, puis renvoyez, ou téléphonez au destinataire."


@dataclass(frozen=True, slots=True)
class _Failure:
    """`starts`: beginnings of the status. `cause` is empty where the official label says it."""

    starts: tuple[str, ...]
    cause: str
    remedy: str


_FAILURES = (  # the first that fits
    _Failure(
        (DELETED,),
        "le message a été supprimé sans avoir été ouvert",
        "Assurez-vous par téléphone que le destinataire a bien l'information.",
    ),
    _Failure(
        (OUTSIDE,),
        "son domaine n'est pas, ou n'est plus, dans l'espace de confiance MSSanté",
        "Cherchez l'adresse MSSanté du destinataire dans l'annuaire, ou transmettez par un autre moyen sûr.",
    ),
    _Failure(
        ("902", "903", "904", "905"),
        "",
        "Le destinataire n'a pas pu rattacher le document à son dossier : vérifiez l'identité (INS et traits) avec "
        "lui, corrigez, puis renvoyez.",
    ),
    _Failure(
        ("900", "901"),
        "",
        "Le destinataire a une autre version, ou ne vous en reconnaît pas l'auteur : voyez avec lui laquelle est la "
        "bonne.",
    ),
    _Failure(("906", REFUSED), "", "Le destinataire a reçu le message sans pouvoir l'intégrer : voyez avec lui."),
    _Failure(
        ("5.2.2", "4.2.2", "452", "422"),
        "la boîte du destinataire est pleine",
        "Prévenez-le par téléphone, puis renvoyez.",
    ),
    _Failure(
        ("5.3.4", "5.2.3", "523", "552"),
        "le message est trop volumineux pour l'opérateur du destinataire",
        "Réduisez les pièces jointes, ou envoyez-les en plusieurs messages.",
    ),
    _Failure(
        ("4",),
        "l'opérateur du destinataire n'a pas répondu à temps",
        "Renvoyez plus tard ; si c'est urgent, téléphonez au destinataire.",
    ),
    _Failure(("5.1.", "5.4.", "510", "512", "550", "551", "553"), "l'adresse n'existe pas ou n'existe plus", _RETRY),
    _Failure(
        ("5.7.", "530", "541", "554"),
        "le message a été refusé par les règles de l'opérateur",
        "Vérifiez que l'adresse est une adresse MSSanté, puis prévenez l'administrateur du hub.",
    ),
)


def why(status: str) -> str:
    """Why it failed, with its code."""
    if status == REFUSED or _is_integration(status):
        label = f", « {official_label(int(status))} » ({status})" if _is_integration(status) else ""
        return f"l'intégration au dossier a été refusée{label}"
    failure = _failure_of(status)
    if failure is None:
        return f"le message a été refusé ({status})" if status else "le message n'a pas été remis"
    return failure.cause if status in (DELETED, OUTSIDE) else f"{failure.cause} ({status})"


def remedy(status: str) -> str:
    """What to do now."""
    failure = _failure_of(status)
    return failure.remedy if failure is not None else _RETRY


def status_in(answer: str) -> str:
    """The code that a server's answer holds, the enhanced one first; "" for none."""
    return enhanced_in(answer) or reply_in(answer) or ""


def _failure_of(status: str) -> _Failure | None:
    return next((failure for failure in _FAILURES if status.startswith(failure.starts)), None)


def _is_integration(status: str) -> bool:
    return status.isdecimal() and int(status) in INTEGRATION_CODES
