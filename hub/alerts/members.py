"""What is wrong with the list of member domains (liste blanche), in plain French: one that was refused, one too old.

In: what is kept of it (`hub.trust.members_kept.Standing`), the settings, the time. Out: alerts, none of them urgent:
the last good list stays in use, and operators refuse strangers themselves. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from hub.alerts.alert import Alert, when
from hub.settings import Settings
from hub.trust.kept import Trouble
from hub.trust.members_kept import InUse, Standing


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a list was not taken, and what to do."""

    why: str
    remedy: str


_WAIT = "le hub redemandera ; si cela dure, prévenez l'ANS"
_REFUSALS = {
    "too-large": Refusal("ce fichier est trop gros pour être la liste", _WAIT),
    "charset": Refusal("son codage n'est pas UTF-8", _WAIT),
    "doctype": Refusal("il contient une déclaration interdite (DTD)", "ne l'utilisez pas, et prévenez l'ANS"),
    "not-xml": Refusal("ce n'est pas du XML entier : une page HTML, ou une liste coupée au milieu", _WAIT),
    "not-a-list": Refusal("ce n'est pas la liste blanche", "vérifiez members.url et members.file"),
    "no-date": Refusal("elle ne dit pas quand elle a été produite", _WAIT),
    "empty": Refusal("elle ne contient aucun domaine", _WAIT),
    "unsigned": Refusal("elle n'est pas signée, et members.signature l'exige", "vérifiez members.signature"),
    "signature": Refusal(
        "sa signature est fausse : elle a été modifiée, ou signée par quelqu'un d'autre",
        "ne l'utilisez pas, et prévenez l'ANS",
    ),
    "signer": Refusal("son signataire n'est pas celui qui est attendu", "vérifiez members.signer avec l'ANS"),
    "no-anchors": Refusal(
        "aucune autorité n'est là pour juger sa signature ou son serveur",
        "vérifiez members.ca_file : hub check nomme le fichier",
    ),
    "future": Refusal(
        "elle se dit produite dans le futur", "vérifiez l'heure de cette machine ; sinon, prévenez l'ANS"
    ),
    "older": Refusal("elle est plus ancienne que celle en usage", _WAIT),
    "shrunk": Refusal(
        "elle a perdu plus de domaines que members.shrink_most ne le permet, sans doute coupée",
        "comparez avec « hub members check », puis, si elle est juste, « hub members refresh --accept »",
    ),
    "unreadable": Refusal("le fichier ne peut pas être lu", "vérifiez les droits de members.file"),
}


def refusal_of(code: str) -> Refusal:
    return _REFUSALS.get(code) or Refusal("le serveur ne répond pas, ou ne la donne pas", _WAIT)


def of_members(settings: Settings, standing: Standing | None, at: datetime) -> Iterator[Alert]:
    """`standing` is None where no list is to be had."""
    if standing is None or not settings.members.is_listed:
        return
    named = (("url", settings.members.url, standing.of_url), ("file", settings.members.file, standing.of_file))
    for subject, place, trouble in named:
        if place is not None and trouble.failures and trouble.code in _REFUSALS:
            yield _bad(settings, standing.in_use, trouble, subject)
    if standing.in_use is None:
        if standing.of_url.failures and standing.of_url.code not in _REFUSALS:
            yield _never_had(settings, standing.of_url)
    elif abs(at - (seen_at := _seen_at(settings, standing.in_use))) > settings.members.stale_after:
        yield _stale(settings, standing, seen_at)


def _seen_at(settings: Settings, in_use: InUse) -> datetime:
    """A copy by hand is as old as what it says; what is asked for is as old as the last answer."""
    return in_use.at if settings.members.url is not None else in_use.generated_at


def _bad(settings: Settings, in_use: InUse | None, trouble: Trouble, subject: str) -> Alert:
    place = "publiée" if subject == "url" else f"du fichier {settings.members.file}"
    refusal = refusal_of(trouble.code)
    meanwhile = (
        f"celle du {when(in_use.generated_at, settings)} reste en usage"
        if in_use is not None
        else "aucune n'est en usage, et aucun domaine n'est vérifié"
    )
    return Alert(
        code="members-bad",
        subject=subject,
        is_urgent=False,
        since=trouble.since,
        text=f"La liste blanche {place} n'a pas été prise : {refusal.why} ({trouble.code}). En attendant, {meanwhile}. "
        f"À faire : {refusal.remedy}.",
    )


def _never_had(settings: Settings, trouble: Trouble) -> Alert:
    return Alert(
        code="members-stale",
        is_urgent=False,
        since=trouble.since,
        text=f"Aucune liste blanche n'a encore pu être obtenue ({trouble.code}) : aucun domaine n'est vérifié. À faire "
        ": vérifiez members.url et l'accès de cette machine à Internet (fetching.proxy), ou mettez une copie dans "
        "members.file.",
    )


def _stale(settings: Settings, standing: Standing, seen_at: datetime) -> Alert:
    code = f" ({standing.of_url.code})" if standing.of_url.failures else ""
    remedy = (
        "vérifiez l'accès de cette machine à Internet (fetching.proxy), ou mettez une copie dans members.file"
        if settings.members.url is not None
        else "mettez une copie plus récente dans members.file"
    )
    return Alert(
        code="members-stale",
        is_urgent=False,
        since=seen_at,
        text=f"La liste blanche n'a pas été renouvelée depuis le {when(seen_at, settings)}{code} : les nouveaux "
        f"membres y manquent, et ce qui leur est destiné est refusé. À faire : {remedy}.",
    )
