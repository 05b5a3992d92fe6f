"""Where the servers of an operator are, by DNS, for mailboxes whose settings do not say it (ECO.1.1.9, RH-10).

In: the domain of a mailbox's address. Out: the endpoint of its IMAP or submission server. The last answer that could be
used is kept in `data_dir/trust`, shared by all processes; it is used for as long as the DNS says that it may be (TTL),
and beyond that for as long as the DNS has nothing better to say: an outage of the DNS, or a zone that was spoilt, never
closes a mailbox. `trouble` tells since when. Failures: NotFound, when nothing usable was ever found.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random as _random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from hub.ports import Clock
from hub.settings import Dns, Endpoint, Fetching
from hub.trust.kept import Kept, Trouble
from hub.trust.srv import Answer, NotFound, Record, Service, Wanted, ask, in_order, listed, srv_name, usable

log = logging.getLogger("hub.trust")

# A TTL is obeyed between these: 0 would ask at every connection, a month would outlive any move of an operator.
TTL_LEAST, TTL_MOST = timedelta(minutes=5), timedelta(days=1)
# A DNS that fails is asked again after the first, then less and less: a mailbox that was never found waits for it.
RETRY_FIRST, RETRY_MOST = timedelta(seconds=10), timedelta(minutes=5)
REACHED_WITHIN = 5.0  # seconds for one of several hosts to take a connection
_NAME_MOST = 200  # characters of a file name; DNS allows 253


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that can be used. `is_fresh`: within its TTL."""

    records: tuple[Record, ...]
    found_at: datetime
    is_fresh: bool


class Discovery:
    """`folder`: where the answers are kept. `random` gives numbers in [0, 1)."""

    def __init__(
        self,
        dns: Dns,
        folder: Path,
        clock: Clock,
        random: Callable[[], float] = _random.SystemRandom().random,
    ) -> None:
        self._dns = dns
        self._folder = folder
        self._clock = clock
        self._random = random
        self._patience = Fetching(backoff_first=RETRY_FIRST, backoff_most=RETRY_MOST)

    async def endpoint(self, domain: str, service: Service, wanted: Wanted, server_name: str | None = None) -> Endpoint:
        """The server to connect to now: of several, the first that takes connections. STARTTLS, as EX_LPS_0300 has it;
        `server_name` is what its certificate must bear when that is not the target's name. Raises NotFound."""
        found = await self.find(domain, service, wanted)
        record = await first_reached(in_order(found.records, self._random))
        return Endpoint(host=record.target, port=record.port, tls="starttls", server_name=server_name)

    async def find(self, domain: str, service: Service, wanted: Wanted) -> Found:
        """What is known, after a look into the DNS when that is due. Raises NotFound."""
        name, kept = srv_name(domain, service), self._kept(domain, service)
        found = await asyncio.to_thread(self._read, kept, name, wanted)
        if found is not None and found.is_fresh:
            return found
        try:
            if kept.may_try(self._clock(), self._patience):
                # A process that hangs while it asks must not hold up the others: they go on with what is kept.
                async with asyncio.timeout(2 * self._dns.answer_within.total_seconds()):
                    found = await self._renewed(kept, name, wanted)
            code = kept.trouble().code
        except TimeoutError:
            code = ""
        except OSError as error:  # the disk: what is known is used, or what the DNS says now, and kept another time
            log.warning("%s: cannot be kept: %s", name, error.strerror)
            return found or Found(usable(name, (await self.ask(domain, service)).records, wanted), self._clock(), True)
        if found is None:
            raise NotFound(name, code or "dns-timeout")
        return found

    async def ask(self, domain: str, service: Service) -> Answer:
        """What the DNS says at this moment; nothing is kept. Raises NotFound."""
        name = srv_name(domain, service)
        if len(name) > _NAME_MOST:
            raise NotFound(name, "dns-name")
        return await ask(name, self._dns.addresses, self._dns.answer_within.total_seconds())

    def trouble(self, domain: str, service: Service) -> Trouble | None:
        """Since when the DNS has had nothing usable to say, and why; None without trouble, and when nothing is kept
        that could be used meanwhile."""
        kept = self._kept(domain, service)
        trouble = kept.trouble()
        return trouble if trouble.since is not None and kept.stamp() is not None else None

    async def _renewed(self, kept: Kept, name: str, wanted: Wanted) -> Found | None:
        """The new answer; the kept one when there is none."""
        async with kept.alone():
            found = await asyncio.to_thread(self._read, kept, name, wanted)
            if (found is not None and found.is_fresh) or not kept.may_try(self._clock(), self._patience):
                return found  # another process has just asked
            try:
                answer = await ask(name, self._dns.addresses, self._dns.answer_within.total_seconds())
                records = usable(name, answer.records, wanted)
            except NotFound as error:
                trouble = kept.failed(error.code, self._clock(), self._patience)
                if found is None or trouble.failures == 1:
                    log.warning("%s; %s", error.private, "the last good answer is used" if found else "nothing is kept")
                if found is None:
                    raise
                return found
            at = self._clock()
            kept.replace(_written(answer), at)
            if found is None or set(found.records) != set(records):
                log.info("%s: %s", name, listed(records))
            return Found(records, at, is_fresh=True)

    def _read(self, kept: Kept, name: str, wanted: Wanted) -> Found | None:
        """What is kept, as far as these settings allow it."""
        try:
            copy = kept.read()
            if copy is None:
                return None
            told = json.loads(copy.raw)
            records = usable(name, [_record(*one) for one in told["records"]], wanted)
            lasts = min(TTL_MOST, max(TTL_LEAST, timedelta(seconds=int(told["seconds"]))))
        except (OSError, ValueError, KeyError, TypeError, IndexError, NotFound):
            return None  # it cannot be read, is spoilt, or of other settings: asked for anew
        age = self._clock() - copy.fetched_at
        return Found(records, copy.fetched_at, is_fresh=timedelta(0) <= age < lasts)

    def _kept(self, domain: str, service: Service) -> Kept:
        name = srv_name(domain, service)
        if len(name) > _NAME_MOST:
            raise NotFound(name, "dns-name")
        return Kept(self._folder, f"srv.{name}")


async def first_reached(records: Sequence[Record]) -> Record:
    """The first that takes a connection, closed again at once; the first of all when none does. A single one is not
    tried: whoever connects will see."""
    for record in records if len(records) > 1 else ():
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(REACHED_WITHIN):
                _, writer = await asyncio.open_connection(record.target, record.port)
            writer.close()
            return record
    return records[0]


def _record(priority: object, weight: object, port: object, target: object) -> Record:
    """Raises ValueError."""
    return Record(int(str(priority)), int(str(weight)), int(str(port)), str(target))


def _written(answer: Answer) -> bytes:
    records = [[one.priority, one.weight, one.port, one.target] for one in answer.records]
    return json.dumps({"records": records, "seconds": answer.seconds}).encode("ascii")
