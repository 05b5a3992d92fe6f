"""The day when the next client certificate takes over: every kind of connection is made anew with it, by itself.

Against a real Dovecot and a real Postfix; the clock is given.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.imap.filer import ImapFiler
from hub.imap.reader import Watcher
from hub.raw import Whole
from hub.settings import Settings
from hub.smtp.client import SmtpSender
from hub.wiring import imap_box, smtp_route
from hub.wiring.ways import Ways
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.postfix import Postfix, running_postfix
from tests.edges.watching import watching
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

OURS, THEIRS = "bal@asso.mssante.example", "service@hopital.mssante.example"
MAIL = b"Subject: essai\r\nMessage-ID: <%d@asso.mssante.example>\r\n\r\nBonjour.\r\n"
DAY = date(2027, 1, 15)


@dataclass
class Clock:
    at: datetime = datetime(2027, 1, 14, 22, 59, 59, tzinfo=UTC)  # one second before that midnight in Paris

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture(scope="module")
def dovecot(authority: Authority) -> Iterator[Dovecot]:
    with running_dovecot(authority, "certificate") as running:
        yield running


@pytest.fixture(scope="module")
def postfix(authority: Authority) -> Iterator[Postfix]:
    with running_postfix(authority, domains=("hopital.mssante.example",)) as running:
        yield running


@pytest.fixture
def settings(authority: Authority, dovecot: Dovecot, postfix: Postfix, tmp_path: Path) -> Settings:
    """Both certificates are those of the mailbox; the next one is written in capitals."""
    current = authority.issue("bal-actuel", OURS, common_name=OURS)
    following = authority.issue("bal-suivant", OURS, common_name=OURS.upper())
    tree: dict[str, Any] = {
        "site": {"product_reference": "ESSAI1"},
        "data_dir": tmp_path,
        "operators": [
            {
                "name": "op",
                "imap": {"host": "localhost", "port": dovecot.imaps_port, "tls": "implicit"},
                "smtp": {"host": "localhost", "port": postfix.implicit_port, "tls": "implicit"},
                "ca_file": authority.ca_file,
                "certificate": {"file": current.certificate, "key_file": current.key},
                "next_certificate": {"file": following.certificate, "key_file": following.key},
                "next_from": DAY,
            }
        ],
        "mailboxes": [{"name": "bal", "address": OURS, "operator": "op"}],
    }
    return Settings.model_validate(tree)


def shown(postfix: Postfix, at_least: int) -> list[str]:
    """The names that Postfix saw on the client certificates, mail by mail."""
    mails = postfix.mails(at_least)
    return sorted("capitals" if OURS.upper().encode() in mail else "small" for mail in mails)


async def test_a_kept_smtp_line_is_left_for_a_new_one(settings: Settings, postfix: Postfix) -> None:
    clock = Clock()
    sender = SmtpSender({"bal": smtp_route(settings, Ways(settings, clock), settings.mailboxes[0])}, settings.sending)
    try:
        before = postfix.sessions()
        for number in (1, 2):
            await sender.send("bal", OURS, THEIRS, Whole(MAIL % number))
        assert postfix.sessions() == before + 1
        clock.at += timedelta(seconds=1)
        for number in (3, 4):
            await sender.send("bal", OURS, THEIRS, Whole(MAIL % number))
        assert postfix.sessions() == before + 2
    finally:
        await sender.close()
    assert await asyncio.to_thread(shown, postfix, 4) == ["capitals", "capitals", "small", "small"]


async def test_a_kept_imap_lane_is_left_for_a_new_one(settings: Settings) -> None:
    clock, opened = Clock(), list[str]()
    ways = Ways(settings, clock)
    filer = ImapFiler([imap_box(settings, _counted(ways, opened), settings.mailboxes[0])], watching(), timedelta(30))
    try:
        for _ in range(2):
            assert await filer.holds("bal", "Envoyes", "<a@b.example>", datetime.now(UTC)) is False
        assert len(opened) == 1
        clock.at += timedelta(seconds=1)
        for _ in range(2):
            await filer.holds("bal", "Envoyes", "<a@b.example>", datetime.now(UTC))
        assert opened == ["small", "capitals"]
    finally:
        await filer.close()


async def test_a_watcher_connects_anew_at_its_next_poll(settings: Settings) -> None:
    clock, opened = Clock(), list[str]()
    ways, box = _counted(Ways(settings, clock), opened), settings.mailboxes[0]
    watcher = Watcher(
        box, settings.operators[0], watching(poll=1), FakeIntake(), ways.imap(box), lambda _: None, clock, random.random
    )
    stop = asyncio.Event()
    task = asyncio.create_task(watcher.run(stop))
    try:
        await _until(lambda: watcher.progress.compared_at is not None)
        await asyncio.sleep(1.5)
        assert opened == ["small"]
        clock.at += timedelta(seconds=1)
        await _until(lambda: len(opened) == 2)
        await asyncio.sleep(1.5)
        assert opened == ["small", "capitals"]
        assert watcher.progress.failures == 0
    finally:
        stop.set()
        with suppress(asyncio.CancelledError):
            await task


class _counted(Ways):
    """Notes which certificate each way was made with."""

    def __init__(self, ways: Ways, opened: list[str]) -> None:
        super().__init__(ways._settings, ways._clock)
        self._opened = opened

    async def _way(self, *asked: Any) -> Any:
        way = await super()._way(*asked)
        turn = self._turns.of(self._settings.mailboxes[0], self._clock())
        assert turn.certificate is not None
        self._opened.append("capitals" if turn.certificate.file.stem == "bal-suivant" else "small")
        return way


async def _until(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
