"""The servers that were met, each with the certificate that it showed last and why it was refused, if it was.

Kept in data_dir/trust/peers, one small file for each server, by whatever process met it: so that `hub serve` can fetch
their lists before they are needed, and tell what is wrong with them. Failures: OSError on writing is told in the log
and harms nobody; what cannot be read is as if it had not been met.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from hub.errors import Untrusted
from hub.trust.kept import Kept

log = logging.getLogger("hub.trust")

MET_ANEW = timedelta(hours=1)  # the disk is told of a server that is met all the time
FORGOTTEN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Refusal:
    """`text`: French, for whoever runs the hub. `since`, `last_at`: the first and the last time in a row."""

    code: str
    text: str
    since: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """`operator` as in the settings; `is_test`: met for a mailbox of the test branch; `server`: `host:port`."""

    operator: str
    is_test: bool
    server: str
    certificate: bytes = field(repr=False)
    met_at: datetime
    refusal: Refusal | None = None


class Peers:
    """`folder`: data_dir/trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "peers"

    def met(self, peer: Peer, error: Untrusted | None, at: datetime) -> None:
        """Write down how it was found now."""
        before = self._read(self._kept(peer).path)
        told = before.refusal if before is not None else None
        if error is not None:
            since = told.since if told is not None and told.code == error.code else at
            self._write(replace(peer, met_at=at, refusal=Refusal(error.code, error.public, since, at)), at)
        elif (
            before is None
            or told is not None
            or before.certificate != peer.certificate
            or abs(at - before.met_at) >= MET_ANEW
        ):
            self._write(replace(peer, met_at=at, refusal=None), at)

    def cleared(self, peer: Peer, at: datetime) -> None:
        """It would not be refused any more."""
        self._write(replace(peer, refusal=None), at)

    def all(self, at: datetime) -> tuple[Peer, ...]:
        """Those met lately."""
        return tuple(peer for peer in self._all() if abs(at - peer.met_at) < FORGOTTEN)

    def _all(self) -> Iterator[Peer]:
        for path in sorted(self._folder.glob("*.json")):
            peer = self._read(path)
            if peer is not None:
                yield peer

    def _kept(self, peer: Peer) -> Kept:
        key = f"{peer.operator}\0{peer.is_test}\0{peer.server}"
        return Kept(self._folder, hashlib.sha256(key.encode()).hexdigest()[:32] + ".json")

    def _write(self, peer: Peer, at: datetime) -> None:
        refusal = peer.refusal
        told = {
            "operator": peer.operator,
            "is_test": peer.is_test,
            "server": peer.server,
            "certificate": base64.b64encode(peer.certificate).decode("ascii"),
            "met_at": peer.met_at.isoformat(),
            "refusal": None
            if refusal is None
            else [refusal.code, refusal.text, refusal.since.isoformat(), refusal.last_at.isoformat()],
        }
        try:
            self._kept(peer).replace(json.dumps(told, ensure_ascii=False).encode(), at)
        except OSError as error:
            log.warning("operator %s: its certificate cannot be written down: %s", peer.operator, error.strerror)

    def _read(self, path: Path) -> Peer | None:
        try:
            told = json.loads(path.read_bytes())
            refusal = told["refusal"]
            return Peer(
                operator=str(told["operator"]),
                is_test=bool(told["is_test"]),
                server=str(told["server"]),
                certificate=base64.b64decode(told["certificate"]),
                met_at=datetime.fromisoformat(told["met_at"]),
                refusal=None if refusal is None else _refusal(*refusal),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _refusal(code: str, text: str, since: str, last_at: str) -> Refusal:
    return Refusal(code, text, datetime.fromisoformat(since), datetime.fromisoformat(last_at))
