"""The rules of certificates (RH-12): the inventory and the time flow in, alerts flow out. Pure.

One that ends is told at each notice of the settings, unless another one stands ready to follow it. The next one is told
as soon as it is there and cannot serve: there is time to put it right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from hub.alerts.alert import Alert, day
from hub.settings import Settings
from hub.trust.inventory import Item, State

_REFUSED_BY = {
    "client": "les opérateurs le refusent : rien n'est relevé ni envoyé par les boîtes qui le montrent",
    "signing": "les destinataires refusent les signatures, et le hub n'envoie rien qui doive être signé",
    "door": "les logiciels de messagerie des secrétariats refusent de s'y connecter",
}
_ORDER = "commandez son successeur à l'IGC-Santé (il y faut du temps), puis réglez-le comme certificat suivant"


def of_certificates(settings: Settings, items: Iterable[Item], at: datetime) -> Iterator[Alert]:
    told: set[tuple[object, ...]] = set()
    for item in items:
        key = (item.what, item.file, item.facts.sha256 if item.facts is not None else "")
        if item.what == "key" or key in told:  # several holders may share a file: it is told once
            continue
        told.add(key)
        yield from _of_authority(settings, item, at) if item.what == "authority" else _of_item(settings, item, at)


def _of_item(settings: Settings, item: Item, at: datetime) -> Iterator[Alert]:
    facts = item.facts
    if facts is None:
        means = f"Tant qu'il manque, {_REFUSED_BY[item.what]}"
        if not item.is_used:
            means = "C'est le certificat suivant" if item.is_next else "Le certificat suivant sert à sa place"
        code, text = "certificate-unreadable", f"{item.fault} {means}."
        yield Alert(code=code, subject=item.holder, is_urgent=item.is_used, text=text)
        return
    begins, ends = day(facts.not_before, settings), day(facts.not_after, settings)
    if item.state is State.ENDED and item.is_used:
        text = f"ce certificat a expiré le {ends} : {_REFUSED_BY[item.what]}. Remplacez-le."
        yield _alert(item, "certificate-expired", text, since=facts.not_after)
    elif item.state is State.ENDED:
        text = f"le certificat suivant a déjà expiré, le {ends} : il ne servira pas. Remplacez-le."
        yield _alert(item, "certificate-next-unusable", text, is_urgent=False)
    elif item.state is State.NOT_YET:
        text = f"ce certificat n'est valable qu'à partir du {begins} : {_REFUSED_BY[item.what]} jusque-là."
        yield _alert(item, "certificate-not-yet", text)
    elif item.leaves_a_gap:
        text = f"le certificat suivant n'est valable qu'à partir du {begins}, trop tard pour prendre la suite."
        yield _alert(item, "certificate-next-unusable", text, is_urgent=False)
    elif item.is_last and item.state in (State.IN_USE, State.NEXT):
        yield from _ends_soon(settings, item, at, "certificate-ends-soon", "ce certificat", _order(item))
    if item.is_foreign:
        wanted = " ou ".join(item.expected)
        text = f"ce certificat est celui de la structure {facts.unit}, et non {wanted} : {_elsewhere(item)}."
        yield _alert(item, "certificate-other-site", text, is_urgent=False)


def _order(item: Item) -> str:
    return "faites-le renouveler" if item.what == "door" else _ORDER


def _elsewhere(item: Item) -> str:
    whose = "site.finess, site.siret ou structure dans hub.yaml"
    return f"vérifiez le fichier, puis {whose} ; une boîte ne doit jamais montrer le certificat d'un autre"


def _of_authority(settings: Settings, item: Item, at: datetime) -> Iterator[Alert]:
    """Never urgent: what no longer works for it is told by what does not work."""
    if item.facts is None:
        return  # whoever needs it says so: hub check, and the mailboxes of that operator
    named = f"l'autorité « {item.facts.common_name} »"
    if item.state is State.ENDED:
        ended = day(item.facts.not_after, settings)
        text = f"{named} a expiré le {ended} : ce qu'elle a signé n'est plus accepté. Mettez celle qui la remplace."
        yield _alert(item, "authority-expired", text, is_urgent=False)
    else:
        todo = "demandez à l'opérateur (ou à l'IGC-Santé) celle qui la remplace, et ajoutez-la au fichier"
        yield from _ends_soon(settings, item, at, "authority-ends-soon", named, todo)


def _ends_soon(settings: Settings, item: Item, at: datetime, code: str, named: str, todo: str) -> Iterator[Alert]:
    assert item.facts is not None
    left = item.facts.not_after - at
    step = sum(left <= notice for notice in settings.alerting.certificate_notices)
    if step:
        text = f"{named} expire le {day(item.facts.not_after, settings)} (dans {left.days} jour(s)) : {todo}."
        yield _alert(item, code, text, is_urgent=False, step=step)


def _alert(
    item: Item, code: str, text: str, *, is_urgent: bool = True, since: datetime | None = None, step: int = 0
) -> Alert:
    text = f"{item.file}:1 - {text}"
    return Alert(code=code, subject=item.holder, text=text, is_urgent=is_urgent, since=since, step=step)
