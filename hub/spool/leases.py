"""Leases: one carrier for a message at a time, and what a dead one leaves.

A lease is a token in the message's row: every write names it and changes nothing when it is gone (LostLease), so that
a carrier that was taken for dead can do no harm. A lease that ends without a word is a death (`hub.spool.watch` says
when); too many of them put the message before a human.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, Row
from sqlalchemy.engine import Connection

from hub.errors import LostLease, Temporary
from hub.message import Envelope, Hold, Reason
from hub.spool import statements as sql
from hub.spool.side import Lease, Side, envelope_of
from hub.spool.states import WORKER_DIED, MessageState, StepFacts, StepState, hold_of

RETURN_EVERY = 1.0  # seconds: well before half a lease is over, when a lease counts as left behind


class LeaseSide(Side):
    async def load(self, message_id: str) -> Envelope | None:
        """None also while this very process has not yielded an earlier lease of the message: its carrier still runs,
        whatever the row says, and must not write under a new token."""
        if message_id in self._leases:
            return None
        now = self._clock()
        token = f"{self._owner}:{secrets.token_hex(8)}"
        asked = self._moment(now) | {"wanted": message_id, "token": token}

        def work(connection: Connection) -> tuple[Envelope, Lease] | None:
            row = connection.execute(sql.TAKE_LEASE, asked).first()
            if row is None and self._bury_suspect(connection, message_id, now):
                row = connection.execute(sql.TAKE_LEASE, asked).first()
            if row is None:
                return None
            blob = connection.execute(sql.READ_BLOB, {"wanted": row.sha256}).first()
            sealed = None if blob is None else blob.sealed
            state = MessageState(row.state)
            return envelope_of(row), Lease(token, state, row.set_out_at, row.attempts, row.plan_first, sealed)

        try:
            taken = await self._database.write(work, durable=False)  # one that a power cut takes back is free again
        except Temporary:  # the connection may have broken after the commit: then the lease is ours, and unknown to us
            self._return_later(message_id, token)
            raise
        if taken is None:
            return None
        self._leases[message_id] = taken[1]
        return taken[0]

    async def renew(self, message_id: str) -> bool:
        lease = self._leases.get(message_id)
        if lease is None:
            return False
        until = self._clock() + self._spooling.lease
        asked = {"wanted": message_id, "token": lease.token, "until": until}
        return await self._database.write(lambda c: c.execute(sql.RENEW_LEASE, asked).rowcount == 1, durable=False)

    async def yield_lease(self, message_id: str) -> None:
        """While the database is away the lease is kept in mind, and given back when it is there again: a death is only
        counted for a worker that died."""
        lease = self._leases.pop(message_id, None)
        if lease is not None:  # else it ended with the last record, or was never ours
            try:
                await self._give_back(message_id, lease.token)
            except Temporary:
                self._return_later(message_id, lease.token)

    async def _give_back(self, message_id: str, token: str) -> None:
        asked = {"wanted": message_id, "token": token}
        await self._database.write(lambda c: c.execute(sql.GIVE_BACK, asked).rowcount, durable=False)

    def _return_later(self, message_id: str, token: str) -> None:
        self._unreturned[token] = message_id
        if self._returning is None or self._returning.done():
            self._returning = asyncio.create_task(self._return_leases(), name="return leases")

    async def _return_leases(self) -> None:
        while self._unreturned:
            await asyncio.sleep(RETURN_EVERY)
            with contextlib.suppress(Temporary):
                for token, message_id in list(self._unreturned.items()):
                    await self._give_back(message_id, token)
                    del self._unreturned[token]

    async def due(self, limit: int = 500) -> tuple[str, ...]:
        now = self._clock()
        asked = self._moment(now) | {"most": limit}
        try:
            rows = await self._database.read(lambda c: c.execute(sql.DUE, asked).all())
        except Temporary:  # nobody could renew meanwhile either: who is watched has all his time again
            self._watch.forget()
            raise
        # One transaction a death: the journal's head is the last lock that a transaction takes.
        return tuple([row.id for row in rows if row.lease_owner is None or await self._buried(row, now)])

    async def _buried(self, row: Row[Any, Any, Any], now: datetime) -> bool:
        if not self._watch.is_over(row.id, row.lease_owner, row.lease_until):
            return False
        return await self._database.write(lambda connection: self._bury(connection, row, now))

    def _bury_suspect(self, connection: Connection, message_id: str, now: datetime) -> bool:
        row = connection.execute(sql.READ_SUSPECT, self._moment(now) | {"wanted": message_id}).first()
        if row is None or not self._watch.is_over(row.id, row.lease_owner, row.lease_until):
            return False
        return self._bury(connection, row, now)

    def _bury(self, connection: Connection, row: Row[Any, Any, Any], now: datetime) -> bool:
        """Count the death of a lease that ended without a word; whether the message can be carried again."""
        message_id, asked = row.id, {"wanted": row.id, "token": row.lease_owner, "until": row.lease_until}
        deaths = connection.execute(sql.BURY, asked).scalar()
        if deaths is None:
            return False
        if deaths < self._spooling.deaths:
            self._note(connection, now, "death", message_id, answer=f"{deaths} of {self._spooling.deaths}")
            return True
        self._put_before_human(connection, message_id, hold_of(WORKER_DIED), now, lease=None)
        return False

    # --- shared with the carrier

    def _lease(self, message_id: str) -> Lease:
        lease = self._leases.get(message_id)
        if lease is None:
            raise LostLease(f"message {message_id}: no lease was taken here")
        return lease

    def _fenced(
        self,
        connection: Connection,
        statement: Executable,
        message_id: str,
        lease: Lease,
        changes: Mapping[str, object],
    ) -> None:
        asked = {"wanted": message_id, "token": lease.token, **changes}
        if connection.execute(statement, asked).rowcount != 1:
            raise LostLease(f"message {message_id}: its lease is gone")

    def _put_before_human(
        self, connection: Connection, message_id: str, hold: Hold, now: datetime, lease: Lease | None
    ) -> None:
        """HELD, with a hold among its steps and a line in the work list. No `lease`: it was buried just now."""
        if lease is None:
            connection.execute(sql.HOLD_BURIED, {"wanted": message_id, "why": hold.reason})
        else:
            self._fenced(connection, sql.HOLD, message_id, lease, {"why": hold.reason})
        number = self._next_number(connection, message_id)
        step = StepFacts(number=number, step=hold, state=StepState.DONE, answer=hold.reason)
        self._add_steps(connection, message_id, [step], now)
        self._holding(message_id, hold)(connection)
        self._note(connection, now, "hold", message_id, hold.about, codes(hold.reasons) or hold.reason)

    def _next_number(self, connection: Connection, message_id: str) -> int:
        return (connection.execute(sql.LAST_STEP, {"wanted": message_id}).scalar() or 0) + 1


def codes(reasons: Iterable[Reason]) -> str:
    return " ".join(sorted({reason.code for reason in reasons}))
