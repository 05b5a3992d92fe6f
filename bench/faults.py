"""`make faults`: `hub serve` with three mailboxes, each behind a network that breaks in every way; then the ledger.

    python -m bench.faults --minutes 10

Real Dovecot, real Postfix; a proxy before each mailbox resets, swallows (either direction, or both), cuts at random
bytes, delays and refuses, one fault after the other. What must hold: every message is DONE, every document is filed
once, every receipt arrived, every message is marked, `hub ledger` balances, the journal is whole.
Exit code 1 when it does not.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import email
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from bench.letters import letters
from hub.sandbox.people import HOSPITAL, usagers_csv
from tests.edges.proxy import FaultProxy, fault_proxy
from tests.trips.house import HOME, Site, address_of, running_site

BOXES = ("deux", "trois")
ADDRESSES = (HOME, *map(address_of, BOXES))
QUICK = {"poll": "2s", "idle_renewal": "2s", "command_timeout": "2s", "connect_timeout": "2s"}

LEDGER_TRIES = 10


@dataclass(frozen=True)
class Account:
    """At the end of the campaign."""

    done: int
    others: int  # held, or still open
    filed: int
    filed_twice: int
    unmarked: int
    answered: int
    ledger: str  # what `hub ledger` says when it does not balance
    journal_is_whole: bool
    faults: Counter[str]

    def balances(self, sent: int) -> bool:
        return (
            self.done == self.filed == self.answered == sent
            and self.others == self.filed_twice == self.unmarked == 0
            and not self.ledger
            and self.journal_is_whole
        )


class Weather:
    """Three proxies on a loop of their own, and the faults that pass over them until `clear`."""

    def __init__(self, target: int, seed: int) -> None:
        self.faults: Counter[str] = Counter()
        self.ports: list[int] = []
        self._target = target
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._ready, self._clear, self._end = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    def begin(self) -> None:
        self._thread.start()
        self._ready.wait()

    def clear(self) -> None:
        self._clear.set()

    def end(self) -> None:
        self._end.set()
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            proxies = [await stack.enter_async_context(fault_proxy(self._target)) for _ in ADDRESSES]
            self.ports = [proxy.port for proxy in proxies]
            self._ready.set()
            await asyncio.gather(*map(self._over, proxies))
            await asyncio.to_thread(self._end.wait)

    async def _over(self, proxy: FaultProxy) -> None:
        while not self._clear.is_set():
            await asyncio.sleep(self._chance.uniform(0.1, 1.2))
            await self._one(proxy)
            proxy.heal()

    async def _one(self, proxy: FaultProxy) -> None:
        chance = self._chance
        fault = chance.choice(("reset", "hole up", "hole down", "hole", "cut up", "cut down", "slow", "refused"))
        self.faults[fault] += 1
        match fault:
            case "reset":
                proxy.reset()
            case "hole up":
                proxy.swallow("up")
            case "hole down":
                proxy.swallow("down")
            case "hole":
                proxy.swallow("up", "down")
            case "cut up":
                proxy.cut_after(chance.randrange(1, 2_000), "up")
            case "cut down":
                proxy.cut_after(chance.randrange(1, 100_000), "down")
            case "slow":
                proxy.delay = 0.3
            case "refused":
                proxy.refuses = True
                proxy.reset()
        await asyncio.sleep(chance.uniform(0.2, 3.0))


@contextmanager
def stormy_site(folder: Path, seed: int) -> Iterator[tuple[Site, Weather]]:
    """A site whose three mailboxes are each reached through a proxy; its service not yet started."""
    with running_site(folder, usagers_csv(), boxes=BOXES) as site:
        weather = Weather(site.dovecot.imaps_port, seed)
        weather.begin()
        try:
            file = site.folder / "hub.yaml"
            written = YAML(typ="safe").load(file)
            (operator,) = written["operators"]
            written["operators"] = [
                {**copy.deepcopy(operator), "name": f"reseau{number}", "imap": {**operator["imap"], "port": port}}
                for number, port in enumerate(weather.ports)
            ]
            for number, mailbox in enumerate(written["mailboxes"]):
                mailbox["operator"] = f"reseau{number}"
            written["watching"] |= QUICK
            with file.open("wb") as opened:
                YAML(typ="safe").dump(written, opened)
            yield site, weather
        finally:
            weather.clear()
            weather.end()


def campaign(site: Site, weather: Weather, messages: int, seconds: float, chance: random.Random) -> Account:
    """Deliver into all mailboxes while the faults pass; wait until all is settled; count."""
    site.start()
    until = time.monotonic() + seconds
    for number, raw in enumerate(letters(messages)):
        site.dovecot.deliver(ADDRESSES[number % len(ADDRESSES)], raw)
        time.sleep(chance.uniform(0, 2 * seconds / messages))
    time.sleep(max(0.0, until - time.monotonic()))
    weather.clear()
    site.wait_until_settled(messages, seconds=180)
    _wait_until_marked(site)
    return account_of(site, weather, messages)


def _wait_until_marked(site: Site) -> None:
    until = time.monotonic() + 30
    while _unmarked(site) and time.monotonic() < until:
        time.sleep(0.5)


def _unmarked(site: Site) -> int:
    count = 0
    for address in ADDRESSES:
        with site.dovecot.other_client(address) as client:
            client.select("INBOX", readonly=True)
            count += len(client.search(None, "UNKEYWORD", "$HubAccepted")[1][0].split())
    return count


def account_of(site: Site, weather: Weather, messages: int) -> Account:
    with site.opened() as house:
        counts = asyncio.run(house.spool.counts())
        documents = [
            (document.unique_id, document.sha256)
            for usager in asyncio.run(house.records.usagers())
            for document in asyncio.run(house.records.documents_of(usager.id))
        ]
    ledger = site.command("ledger")
    for _ in range(LEDGER_TRIES):
        if ledger.returncode != 3:  # a mailbox could not be looked at: it goes through the same network
            break
        ledger = site.command("ledger")
    answered = {_original(raw) for raw in site.mails_to(HOSPITAL.address, at_least=messages)}
    return Account(
        done=counts["DONE"],
        others=sum(counts.values()) - counts["DONE"],
        filed=len(set(documents)),
        filed_twice=len(documents) - len(set(documents)),
        unmarked=_unmarked(site),
        answered=len(answered),
        ledger=f"{ledger.stdout}{ledger.stderr}" if ledger.returncode else "",
        journal_is_whole=site.command("journal", "verify").returncode == 0,
        faults=weather.faults,
    )


def _original(raw: bytes) -> str:
    mail = email.message_from_bytes(raw)
    return next(str(part["Original-Message-ID"]) for part in mail.walk() if part["Original-Message-ID"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.faults")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--messages", type=int, help="default: one a second")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    messages = arguments.messages or max(3, int(60 * arguments.minutes))
    print(f"seed {arguments.seed}, {messages} messages", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="hub-faults-") as folder,
        stormy_site(Path(folder), arguments.seed) as (site, weather),
    ):
        chance = random.Random(arguments.seed)
        account = campaign(site, weather, messages, 60 * arguments.minutes, chance)
        log = site.log()
    for name, value in vars(account).items():
        print(f"{name:20} {dict(value) if isinstance(value, Counter) else value}")
    if not account.balances(messages):
        print(log[-4_000:])
    print("the ledger balances" if account.balances(messages) else "THE LEDGER DOES NOT BALANCE")
    sys.exit(0 if account.balances(messages) else 1)


if __name__ == "__main__":
    main()
