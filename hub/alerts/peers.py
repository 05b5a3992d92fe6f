"""What must be told of the servers that the hub refuses, and of lists of revoked certificates that grow old.

In: the files that `hub.trust` keeps. Out: alerts (RH-06..RH-09). A refusal is told as long as the server is met: a day
after the last attempt nobody wants anything from it any more; so with a point that nobody asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from hub.alerts.alert import Alert, when
from hub.settings import Settings
from hub.trust.peers import Peer, Peers, Refusal
from hub.trust.standing import KeptLists, ListStanding

LATELY = timedelta(days=1)
_UNKNOWN = "peer-revocation-unknown"
_PAGES = ("not-der", "http-403", "http-429")


@dataclass(frozen=True, slots=True)
class Met:
    peers: tuple[Peer, ...] = ()
    lists: tuple[ListStanding, ...] = ()


class MetGatherer:
    """`folder`: data_dir/trust."""

    def __init__(self, folder: Path) -> None:
        self._peers = Peers(folder)
        self._lists = KeptLists(folder)

    def gather(self, at: datetime) -> Met:
        return Met(self._peers.all(at), self._lists.standing())


def of_peers(settings: Settings, met: Met, at: datetime) -> Iterator[Alert]:
    for peer in met.peers:
        if peer.refusal is not None and abs(at - peer.refusal.last_at) < LATELY:
            yield _of_refusal(settings, peer, peer.refusal)
    for one in met.lists:
        yield from _of_list(settings, one, at)


def _of_refusal(settings: Settings, peer: Peer, refusal: Refusal) -> Alert:
    is_unknown = refusal.code == _UNKNOWN
    more = (
        " Vérifiez que cette machine atteint les sites de son autorité (pare-feu, fetching.proxy) ; le journal de "
        "« hub serve » nomme les adresses. Rien n'est perdu : le hub reprendra de lui-même."
        if is_unknown
        else ""
    )
    return Alert(
        code="revocation-unknown" if is_unknown else "peer-refused",
        subject=f"{peer.operator} {peer.server}",
        since=refusal.since,
        text=f"Le serveur {peer.server} de l'opérateur {peer.operator} est refusé depuis le "
        f"{when(refusal.since, settings)} ({refusal.code}). {refusal.text}{more}",
    )


def _of_list(settings: Settings, one: ListStanding, at: datetime) -> Iterator[Alert]:
    trouble = one.trouble
    if trouble.since is None or trouble.until is None or abs(at - trouble.until) > LATELY:
        return
    if abs(at - trouble.since) <= settings.trust.stale_after:
        return
    why = "l'adresse répond une page au lieu de la liste" if trouble.code in _PAGES else "elle ne peut pas être obtenue"
    left = "il n'y en a aucune copie"
    if one.ends_at is not None:
        still = "n'a plus cours depuis" if one.ends_at <= at else "sert jusqu'à sa fin,"
        left = f"la dernière copie {still} le {when(one.ends_at, settings)}"
    yield Alert(
        code="crl-stale",
        subject=one.name,
        is_urgent=False,
        since=trouble.since,
        text=f"La liste des certificats révoqués {one.name} n'est plus à jour depuis le "
        f"{when(trouble.since, settings)} : {why} ({trouble.code}) ; {left}. Sans elle le hub interroge l'autorité par "
        "OCSP, et refuse les serveurs dont rien ne prouve qu'ils sont valables. Vérifiez l'accès de cette machine aux "
        "sites de l'autorité (pare-feu, fetching.proxy).",
    )
