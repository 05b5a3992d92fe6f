"""`make kill`: `hub serve` is killed with -9, all its processes at once, again and again while messages arrive; then
the ledger.

Real Dovecot, real Postfix. What must hold: every message is DONE or HELD, every document is filed once, every receipt
arrived; receipts that arrived twice carry one Message-ID (a kill between the final dot and its record).
Exit code 1 when the ledger does not balance.
"""

from __future__ import annotations

import argparse
import asyncio
import email
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.letters import letters
from hub.sandbox.people import HOSPITAL, usagers_csv
from tests.trips.house import HOME, Site, running_site


@dataclass(frozen=True)
class Ledger:
    """What the mailbox, the database and the correspondent's mailbox say at the end."""

    announced: int
    accepted: int
    done: int
    held: int
    open: int
    filed: int
    filed_twice: int
    unmarked: int
    answered: int
    receipt_twins: int
    twins_with_other_ids: int
    journal_is_whole: bool

    def balances(self, sent: int) -> bool:
        return (
            self.announced == self.accepted == self.done == self.filed == self.answered == sent
            and self.held == self.open == self.filed_twice == self.unmarked == self.twins_with_other_ids == 0
            and self.journal_is_whole
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kill")
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--database", default="sqlite:///hub.db", help="database_url of the site")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="hub-kill-") as folder,
        running_site(Path(folder), usagers_csv(), database_url=arguments.database) as site,
    ):
        ledger = campaign(site, arguments.messages, arguments.kills, random.Random(arguments.seed))
        print(site.log()[-2000:] if not ledger.balances(arguments.messages) else "", end="")
    tell(ledger, arguments.messages)
    sys.exit(0 if ledger.balances(arguments.messages) else 1)


def campaign(site: Site, messages: int, kills: int, chance: random.Random) -> Ledger:
    """Deliver while killing; wait until all is settled; count."""
    delivered = threading.Event()

    def deliver() -> None:
        for raw in letters(messages):
            site.dovecot.deliver(HOME, raw)
            time.sleep(chance.uniform(0, 2 * kills * 2.5 / messages))
        delivered.set()

    delivering = threading.Thread(target=deliver)
    delivering.start()
    for number in range(kills):
        site.start()
        time.sleep(chance.uniform(1.0, 4.0))
        site.kill()
        print(f"kill {number + 1}: {site.counts()}", flush=True)
    delivering.join()
    site.start()
    site.wait_until_settled(messages, seconds=240)
    site.stop()
    return ledger_of(site, messages)


def ledger_of(site: Site, messages: int) -> Ledger:
    with site.opened() as house:
        counts = asyncio.run(house.spool.counts())
        documents = [
            (document.unique_id, document.sha256)
            for usager in asyncio.run(house.records.usagers())
            for document in asyncio.run(house.records.documents_of(usager.id))
        ]
    with site.dovecot.other_client(HOME) as client:
        announced = int(client.select("INBOX", readonly=True)[1][0] or b"0")
        unmarked = len(client.search(None, "UNKEYWORD", "$HubAccepted")[1][0].split())
    receipts = [_receipt(raw) for raw in site.mails_to(HOSPITAL.address, at_least=messages)]
    by_original = Counter(original for original, _ in receipts)
    ids = {original: {own for other, own in receipts if other == original} for original in by_original}
    return Ledger(
        announced=announced,
        accepted=sum(counts.values()),
        done=counts["DONE"],
        held=counts["HELD"],
        open=counts["ACCEPTED"] + counts["PLANNED"],
        filed=len(set(documents)),
        filed_twice=len(documents) - len(set(documents)),
        unmarked=unmarked,
        answered=len(by_original),
        receipt_twins=len(receipts) - len(by_original),
        twins_with_other_ids=sum(len(own) > 1 for own in ids.values()),
        journal_is_whole=site.command("journal", "verify").returncode == 0,
    )


def _receipt(raw: bytes) -> tuple[str, str]:
    """(Original-Message-ID, its own Message-ID)."""
    mail = email.message_from_bytes(raw)
    original = next(str(part["Original-Message-ID"]) for part in mail.walk() if part["Original-Message-ID"])
    return original, str(mail["Message-ID"])


def tell(ledger: Ledger, sent: int) -> None:
    print(f"sent into the mailbox                 {sent:6}")
    print(f"announced by the server               {ledger.announced:6}")
    print(f"accepted by the hub                   {ledger.accepted:6}")
    print(f"  done {ledger.done}, held {ledger.held}, still open {ledger.open}")
    print(f"lost                                  {sent - ledger.accepted + ledger.open:6}")
    print(f"documents filed                       {ledger.filed:6}")
    print(f"documents filed twice                 {ledger.filed_twice:6}")
    print(f"mails without the mark                {ledger.unmarked:6}")
    print(f"receipts arrived                      {ledger.answered:6}")
    print(f"receipts missing                      {sent - ledger.answered:6}")
    print(f"receipts that came twice              {ledger.receipt_twins:6}  (same Message-ID)")
    print(f"  of them under another Message-ID    {ledger.twins_with_other_ids:6}")
    print(f"journal is whole                      {ledger.journal_is_whole!s:>6}")
    print("the ledger balances" if ledger.balances(sent) else "THE LEDGER DOES NOT BALANCE")


if __name__ == "__main__":
    main()
