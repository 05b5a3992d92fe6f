"""Brings letters into the mailbox: by LMTP, as an operator's server does, and by a copy inside the mailbox, as a mail
program does. What Dovecot has answered 250 (or OK) to is acknowledged: from here on it may not be lost.
"""

from __future__ import annotations

import itertools
import smtplib
import threading
import time
from collections.abc import Iterable, Iterator

from sqlalchemy import func, select

from bench.torture.history import History
from bench.torture.post import Letter
from hub.errors import Temporary
from hub.sandbox.people import HOSPITAL
from hub.spool.statements import MESSAGE, SEEN
from tests.trips.house import HOME, Site

TOGETHER = 20  # letters between two looks at how much is under way
QUIET_SECONDS = 240.0  # without any progress while it settles


class Postman:
    def __init__(self, site: Site, history: History) -> None:
        self._site = site
        self._history = history
        self.delivered: list[Letter] = []

    def deliver(self, letters: Iterable[Letter]) -> None:
        """Returns when all are acknowledged."""
        server: smtplib.LMTP | None = None
        try:
            for letter in letters:
                if letter.copy_of is None:
                    server = server or smtplib.LMTP("127.0.0.1", self._site.dovecot.lmtp_port)
                    server.sendmail("" if letter.sort == "machine" else HOSPITAL.address, [HOME], letter.raw)
                else:
                    self._copy(letter.copy_of)
                self.delivered.append(letter)
                self._history.note("acknowledged", message_id=letter.message_id, sort=letter.sort)
        finally:
            if server is not None:
                server.close()

    def flow(self, letters: Iterator[Letter], under_way_most: int, stop: threading.Event) -> None:
        """Until `stop`: without a pause, but for what the hub has not yet carried."""
        while not stop.is_set():
            met, waiting = met_and_waiting(self._site)
            if len(self.delivered) - met + waiting < under_way_most:
                self.deliver(itertools.islice(letters, TOGETHER))
            else:
                time.sleep(0.2)

    def wait_until_settled(self) -> bool:
        """Until the hub has met, marked and carried every letter; False when nothing has moved for long."""
        before, quiet_since = (-1, -1), time.monotonic()
        while True:
            met, waiting = met_and_waiting(self._site)
            if met >= len(self.delivered) and waiting == 0:
                self._history.note("settled", met=met)
                return True
            if (met, waiting) != before:
                before, quiet_since = (met, waiting), time.monotonic()
            elif time.monotonic() - quiet_since > QUIET_SECONDS:
                self._history.note("not settled", met=met, open=waiting)
                return False
            time.sleep(0.5)

    def _copy(self, message_id: str) -> None:
        """The same bytes, another UID."""
        with self._site.dovecot.other_client(HOME) as client:
            client.select("INBOX")
            found = client.uid("SEARCH", "HEADER", "Message-ID", f'"{message_id}"')[1][0].split()
            assert client.uid("COPY", found[0].decode(), "INBOX")[0] == "OK"


def met_and_waiting(site: Site) -> tuple[int, int]:
    """(UIDs accepted and marked, messages still to carry); (-1, -1) when the database is away."""
    marked = select(func.count()).select_from(SEEN).where(SEEN.c.marked_at.is_not(None))
    carried = select(func.count()).select_from(MESSAGE).where(MESSAGE.c.state.in_(("ACCEPTED", "PLANNED")))
    try:
        with site.opened() as house:
            return house.database.read_now(
                lambda c: (int(c.execute(marked).scalar_one()), int(c.execute(carried).scalar_one()))
            )
    except Temporary:
        return -1, -1
