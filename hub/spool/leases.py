"""Leases: one carrier for a message at a time, and what a dead one leaves.

A lease is a token in the message's row: every write names it and changes nothing when it is gone (LostLease), so that
a carrier that was taken for dead can do no harm. A lease that ends without a word is a death; too many of them put
the message before a human.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Executable
from sqlalchemy.engine import Connection

from hub.errors import LostLease
from hub.message import Envelope, Hold, Reason
from hub.spool import statements as sql
from hub.spool.side import Lease, Side, envelope_of
from hub.spool.states import WORKER_DIED, MessageState, StepFacts, StepState, hold_of


class LeaseSide(Side):
    async def load(self, message_id: str) -> Envelope | None:
        """None also while this very process has not yielded an earlier lease of the message: its carrier still runs,
        whatever the row says, and must not write under a new token."""
        if message_id in self._leases:
            return None
        now = self._clock()
        token = f"{self._owner}:{secrets.token_hex(8)}"
        asked = {"wanted": message_id, "now": now, "token": token, "until": now + self._spooling.lease}

        def work(connection: Connection) -> tuple[Envelope, Lease] | None:
            row = connection.execute(sql.TAKE_LEASE, asked).first()
            if row is None and self._bury(connection, message_id, now):
                row = connection.execute(sql.TAKE_LEASE, asked).first()
            if row is None:
                return None
            sealed = connection.execute(sql.READ_BLOB, {"wanted": row.sha256}).scalar()
            state = MessageState(row.state)
            return envelope_of(row), Lease(token, state, row.set_out_at, row.attempts, row.plan_first, sealed)

        taken = await self._database.write(work)
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
        return await self._database.write(lambda c: c.execute(sql.RENEW_LEASE, asked).rowcount == 1)

    async def yield_lease(self, message_id: str) -> None:
        lease = self._leases.pop(message_id, None)
        if lease is not None:  # else it ended with the last record, or was never ours
            asked = {"wanted": message_id, "token": lease.token}
            await self._database.write(lambda c: c.execute(sql.GIVE_BACK, asked).rowcount)

    async def due(self, limit: int = 500) -> tuple[str, ...]:
        now = self._clock()
        rows = await self._database.read(lambda c: c.execute(sql.DUE, {"now": now, "most": limit}).all())
        # One transaction a death: the journal's head is the last lock that a transaction takes.
        return tuple([row.id for row in rows if row.lease_owner is None or await self._buried(row.id, now)])

    async def _buried(self, message_id: str, now: datetime) -> bool:
        return await self._database.write(lambda connection: self._bury(connection, message_id, now))

    def _bury(self, connection: Connection, message_id: str, now: datetime) -> bool:
        """Count the death of a lease that ended without a word; whether the message can be carried again."""
        deaths = connection.execute(sql.BURY, {"wanted": message_id, "now": now}).scalar()
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
