"""The inventory in plain French, for `hub certs` and the page of certificates: one `Row` an item. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hub.alerts.alert import day, when
from hub.settings import Settings
from hub.trust.inventory import Item, State

Mood = Literal["bad", "soon", "good", "idle"]
MOODS: dict[Mood, str] = {"bad": "à corriger", "soon": "à prévoir", "good": "en ordre", "idle": "rien à faire"}

_WHATS = {
    "client": "certificat client",
    "signing": "certificat de signature",
    "door": "certificat de la porte d'envoi",
    "authority": "autorité reconnue",
    "key": "clé des données",
}
_HOLDERS = {
    "operator": "opérateur {}",
    "mailbox": "boîte {}",
    "signing": "boîte {}",
    "submission": "porte d'envoi",
    "igc-sante": "IGC-Santé",
    "test": "branche de test",
    "signatures": "signatures reçues",
    "broker": "broker",
    "keys": "trousseau",
}
_STATES = {
    State.IN_USE: "en service",
    State.NEXT: "suivant",
    State.REPLACED: "remplacé",
    State.ENDED: "expiré",
    State.NOT_YET: "pas encore valable",
    State.UNREADABLE: "illisible",
}
_KEYS = {State.IN_USE: "en service : elle chiffre", State.REPLACED: "gardée : elle ouvre ce qu'elle a chiffré"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`left` is a number of whole days, "" without an end. `details`: (what, value) pairs of what identifies it.
    `remark`: what is wrong, "" for nothing."""

    mood: Mood
    holder: str
    what: str
    state: str
    begins: str
    ends: str
    left: str
    file: str
    details: tuple[tuple[str, str], ...]
    remark: str


def row_of(item: Item, settings: Settings, at: datetime) -> Row:
    sort, _, name = item.holder.partition(" ")
    facts, key = item.facts, item.key
    begins = day(facts.not_before, settings) if facts is not None else ""
    if key is not None:
        begins = f"{key.added_on:%d/%m/%Y}" if key.added_on is not None else "date inconnue"
    return Row(
        mood=mood_of(item, settings, at),
        holder=_HOLDERS.get(sort, sort + " {}").format(name),
        what=_WHATS[item.what],
        state=_state(item, settings),
        begins=begins,
        ends=day(facts.not_after, settings) if facts is not None else "sans fin" if key is not None else "",
        left=str(days_left(item, at)) if facts is not None else "",
        file=str(item.file),
        details=_details(item),
        remark=_remark(item),
    )


def days_left(item: Item, at: datetime) -> int | None:
    """Whole days; negative once it has ended."""
    return (item.ends - at).days if item.ends is not None else None


def mood_of(item: Item, settings: Settings, at: datetime) -> Mood:
    if item.state in (State.ENDED, State.NOT_YET, State.UNREADABLE):
        return "bad" if item.is_used and item.what != "authority" else "soon"
    if item.is_foreign or item.leaves_a_gap:
        return "soon"
    first = settings.alerting.certificate_notices[0]
    if item.ends is not None and item.is_last and item.state is not State.REPLACED and item.ends - at <= first:
        return "soon"
    return "good" if item.state is State.IN_USE else "idle"


def _state(item: Item, settings: Settings) -> str:
    if item.key is not None:
        return _KEYS[item.state]
    words = _STATES[item.state]
    if item.state is State.NEXT and item.since is not None:
        return f"{words}, à partir du {when(item.since, settings)}"
    return f"suivant, {words}" if item.is_next and not item.is_used and item.state is not State.NEXT else words


def _details(item: Item) -> tuple[tuple[str, str], ...]:
    if item.key is not None:
        return (("identifiant", item.key.id),)
    facts = item.facts
    if facts is None:
        return ()
    pairs = (
        ("nom (CN)", facts.common_name),
        ("structure (OU)", facts.unit),
        ("organisme (O)", facts.organisation),
        ("émis par", facts.issuer),
        ("usages (KU)", ", ".join(facts.usages)),
        ("emplois (EKU)", ", ".join(facts.purposes)),
        ("n° de série", facts.serial),
        ("SHA-256", facts.sha256),
    )
    return tuple(pair for pair in pairs if pair[1])


def _remark(item: Item) -> str:
    if item.fault:
        return item.fault
    if item.is_foreign:
        return f"c'est le certificat d'une autre structure (attendu : {' ou '.join(item.expected)})"
    if item.leaves_a_gap:
        return "il n'est pas encore valable le jour où il doit prendre la suite"
    return ""
