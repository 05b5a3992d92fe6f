"""SentSide: the side of the records that knows what was sent (`hub.ports.Sendings`, and what the commands read)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from hub import journal
from hub.database import Database
from hub.errors import Permanent
from hub.ids import told_apart
from hub.message import Done, News, Outcome, Sending
from hub.ports import Blobs, Clock, Effect, LadderRule, StoredBlob
from hub.records import sendings, sendings_read
from hub.records.sendings_read import Heard, LooseReport, Overdue, Silence

ID_MOST = 32
_TOLD = Done("told")


class SentSide:
    def __init__(self, database: Database, blobs: Blobs, clock: Clock, zone: ZoneInfo) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._zone = zone

    # --- for the trip (hub.ports.Sendings)

    def composing(self, sending: Sending, blob: StoredBlob) -> Effect:
        """See `hub.records.sendings`."""
        return sendings.composing(sending, self._blobs, blob)

    def telling(self, news: News, report: str, at: datetime, rule: LadderRule, outcome: Outcome = _TOLD) -> Effect:
        """See `hub.records.sendings`."""
        return sendings.telling(news, report, at, rule, outcome)

    async def sending(self, sending_id: str) -> Sending | None:
        found = await self._database.read(lambda c: sendings_read.of_ids(c, [sending_id]), brief=True)
        return found[0] if found else None

    async def find(self, keys: Iterable[str]) -> tuple[Sending, ...]:
        asked = tuple(keys)
        return await self._database.read(lambda c: sendings_read.find(c, asked), brief=True) if asked else ()

    async def sendings_of(self, message_id: str) -> tuple[Sending, ...]:
        return await self._database.read(lambda c: sendings_read.of_message(c, message_id), brief=True)

    # --- for people

    async def sending_named(self, prefix: str) -> Sending:
        """The one whose id begins so. Raises Permanent when there is none, or more than one."""

        def look(connection: Connection) -> tuple[Sending, ...]:
            wanted = prefix.strip().lower()
            if not wanted or len(wanted) > ID_MOST or set(wanted) - set("0123456789abcdef"):
                return ()
            return sendings_read.beginning(connection, wanted)

        found = await self._database.read(look)
        if not found:
            raise Permanent("no sending has this id", "Aucun envoi ne porte cet identifiant.")
        if len(found) > 1:
            named = told_apart([one.id for one in found])
            raise Permanent(
                "several sendings begin with this id",
                f"Plusieurs envois commencent ainsi, dont {named}. Donnez l'un de ces numéros.",
            )
        return found[0]

    async def sendings_told_by(self, message_id: str) -> tuple[Sending, ...]:
        """What a report told news of."""
        return await self._database.read(lambda c: sendings_read.of_report(c, message_id))

    async def sent(
        self,
        since: datetime | None = None,
        usager_id: str | None = None,
        mailbox: str | None = None,
        overdue: Overdue | None = None,
        limit: int = 200,
    ) -> tuple[Sending, ...]:
        """The newest first. `overdue`: only what somebody should look at (failed, uncertain, without news)."""
        return await self._database.read(lambda c: sendings_read.sent(c, since, usager_id, mailbox, overdue, limit))

    async def note(self, news: News, by: str, rule: LadderRule) -> None:
        """Write down what a person says of a recipient, under that person's name. Raises Permanent for a recipient that
        is none."""
        now = self._clock()

        def work(connection: Connection) -> None:
            sendings.telling(news, "", now, rule, _TOLD)(connection)
            (sending,) = sendings_read.of_ids(connection, [news.sending])
            answer = f"sending {news.sending}: {news.rung}"
            journal.append(connection, now.astimezone(self._zone), by, "noted", message=sending.message, answer=answer)

        await self._database.write(work)

    async def heard_of(self, sending_id: str) -> tuple[Heard, ...]:
        """All news of a sending, oldest first."""
        return await self._database.read(lambda c: sendings_read.heard_of(c, sending_id))

    async def unmatched(self, since: datetime | None = None, limit: int = 200) -> tuple[LooseReport, ...]:
        """Reports and automatic answers that are about no sending of ours, the newest first."""
        return await self._database.read(lambda c: sendings_read.unmatched(c, since, limit))

    async def silence(self, since: datetime, overdue: Overdue) -> Silence:
        """Recipients without news, who came to where they stand since `since`."""
        return await self._database.read(lambda c: sendings_read.silence(c, since, overdue))

    async def standing(self, since: datetime) -> dict[str, int]:
        """Rung -> how many recipients came to it since then and still stand there."""
        return await self._database.read(lambda c: sendings_read.standing(c, since))
