"""MemorySendings: what was sent, without a database (`hub.ports.Sendings`), the base of MemoryRecords.

It passes the contract of tests/sendings_contract.py, which the real ones pass too. Its effects ignore the connection
and take effect when called; a raised effect changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.engine import Connection

from hub.errors import Permanent, StalePlan
from hub.message import Done, News, Outcome, Rung, Sending
from hub.ports import Effect, LadderRule, StoredBlob
from hub.records.sendings_read import Heard, Overdue

_TOLD = Done("told")


@dataclass
class MemorySendings:
    """`composed` in the order in which they were; `told` as it was written down, with the sending's id."""

    composed: list[Sending] = field(default_factory=list)
    told: list[tuple[str, Heard]] = field(default_factory=list)

    def composing(self, sending: Sending, blob: StoredBlob) -> Effect:
        def effect(connection: Connection) -> Outcome:
            if any(one.id == sending.id for one in self.composed):
                return Done("already composed")
            self.composed.append(sending)
            return Done("composed")

        return effect

    def telling(self, news: News, report: str, at: datetime, rule: LadderRule, outcome: Outcome = _TOLD) -> Effect:
        def effect(connection: Connection) -> Outcome:
            place = next((n for n, one in enumerate(self.composed) if one.id == news.sending), None)
            compared = news.recipient.casefold()
            recipients = self.composed[place].sent_to if place is not None else ()
            stands = next((one for one in recipients if one.recipient.casefold() == compared), None)
            if place is None or stands is None:
                raise Permanent("news of somebody to whom this was not sent")
            line = Heard(
                recipient=stands.recipient,
                rung=news.rung,
                at=at,
                source=news.source,
                status=news.status,
                report=report,
            )
            if report and any(
                (of, replace(one, at=at, source=news.source)) == (news.sending, line) for of, one in self.told
            ):
                return outcome
            if news.stood is not None and news.stood is not stands.rung:
                raise StalePlan("the recipient stands on another rung than when the plan was made")
            self.told.append((news.sending, line))
            now = rule(stands, news, at, report)
            sent_to = tuple(now if one is stands else one for one in recipients)
            self.composed[place] = replace(self.composed[place], sent_to=sent_to)
            return outcome

        return effect

    async def sending(self, sending_id: str) -> Sending | None:
        return next((one for one in self.composed if one.id == sending_id), None)

    async def find(self, keys: Iterable[str]) -> tuple[Sending, ...]:
        asked = {key if key.startswith("<") else key.partition(".")[0].lower() for key in keys}
        return tuple(one for one in self._newest_first() if asked & {one.message_id, one.id})

    async def sent(
        self,
        since: datetime | None = None,
        usager_id: str | None = None,
        mailbox: str | None = None,
        overdue: Overdue | None = None,
        limit: int = 200,
    ) -> tuple[Sending, ...]:
        return tuple(
            one
            for one in self._newest_first()
            if (since is None or one.composed_at >= since)
            and (usager_id is None or one.usager_id == usager_id)
            and (mailbox is None or one.mailbox == mailbox)
            and (overdue is None or _is_to_look_at(one, overdue))
        )[:limit]

    async def sendings_of(self, message_id: str) -> tuple[Sending, ...]:
        return tuple(one for one in self._newest_first() if one.message == message_id)

    async def sendings_told_by(self, message_id: str) -> tuple[Sending, ...]:
        told = {of for of, line in self.told if line.report == message_id}
        return tuple(one for one in self._newest_first() if one.id in told)

    async def heard_of(self, sending_id: str) -> tuple[Heard, ...]:
        return tuple(sorted((line for of, line in self.told if of == sending_id), key=lambda line: line.at))

    def _newest_first(self) -> list[Sending]:
        return sorted(self.composed, key=lambda one: one.composed_at, reverse=True)


def _is_to_look_at(sending: Sending, overdue: Overdue) -> bool:
    silent_before = overdue.urgent_before if sending.urgency in ("P0", "P1") else overdue.before
    return any(
        one.rung in (Rung.FAILED, Rung.UNCERTAIN)
        or (one.rung not in (Rung.READ, Rung.INTEGRATED) and one.at <= silent_before)
        for one in sending.sent_to
    )
