"""`hub serve` with RabbitMQ and with Redis, on real mail servers: the broker is away at the start, killed while mail
arrives, and away at the end. Nothing is lost, whatever the broker forgot; the log says it in a few lines.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.letters import letters
from hub.sandbox.people import usagers_csv
from tests.edges.broker_server import Server
from tests.edges.brokers import shared_redis
from tests.edges.rabbitmq import shared_rabbitmq
from tests.trips.house import HOME, Site, running_site, wait_for

MESSAGES = 20


@pytest.mark.timeout(300)
@pytest.mark.parametrize("shared", [shared_rabbitmq, shared_redis], ids=["rabbitmq", "redis"])
def test_all_is_carried_though_the_broker_comes_and_goes(shared: Callable[[], Server], tmp_path: Path) -> None:
    server = shared()
    with running_site(tmp_path, usagers_csv(), broker_url=server.url) as site:
        try:
            _carry_all(site, server)
        finally:
            server.stop()
            server.start()
    log = site.log()
    assert "Traceback" not in log
    assert "CRITICAL" not in log


def _carry_all(site: Site, server: Server) -> None:
    mails = list(letters(MESSAGES))
    server.stop()
    site.start()
    _wait_for_words(site, ": away (", 2)  # the worker's line and the service's: once each, whatever the tries
    server.start()
    for raw in mails[: MESSAGES // 2]:
        site.dovecot.deliver(HOME, raw)
    site.wait_until_settled(2)
    server.stop()
    for raw in mails[MESSAGES // 2 :]:
        site.dovecot.deliver(HOME, raw)
    # The watcher goes on without the broker: everything is accepted and marked.
    wait_for(lambda: sum(site.counts().values()) == MESSAGES, 60, lambda: f"{site.counts()}\n{site.log()}")
    assert site.counts()["DONE"] < MESSAGES
    server.start()
    counts = site.wait_until_settled(MESSAGES)
    assert counts["DONE"] == MESSAGES, f"{counts}\n{site.log()}"
    _wait_for_words(site, ": back", 4)
    assert site.log().count(": away (") == 4, site.log()
    server.stop()
    assert site.end() == 0, site.log()


def _wait_for_words(site: Site, words: str, times: int) -> None:
    wait_for(lambda: site.log().count(words) >= times, 60, site.log)
    assert site.log().count(words) == times, site.log()
