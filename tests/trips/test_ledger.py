"""The ledger on a whole hub: to the unit while all is well; a message that the hub lost is named, told everywhere at
once, and taken; a mailbox whose server is down is told with its cause."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.letters import letters
from hub.sandbox.people import usagers_csv
from tests.listening import EARS
from tests.trips.house import HOME, Site, running_site, wait_for

ALERT = "alert ledger-differs (dossiers)"


def line_of(told: subprocess.CompletedProcess[str], label: str) -> str:
    return next(line.strip() for line in told.stdout.splitlines() if line.strip().startswith(label))


def lose(site: Site, uid: int) -> None:
    """As if the spool had lost it: the message was accepted once, and is known no more."""
    with site.opened() as house, house.database.engine.begin() as connection:
        for statement in (
            "UPDATE seen SET uid = 4000 WHERE uid = ?",  # its rows stay, whole, under a UID that no server gave
            "UPDATE message SET uid = 4000, fingerprint = 'lost' WHERE uid = ?",
        ):
            connection.exec_driver_sql(statement, (uid,))


class Monitor:
    """`hub web`, asked as a monitor asks."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> tuple[int, str]:
        status, text = self._asked(path)
        EARS.hear(f"answer of hub web to {path}", text)
        return status, text

    def _asked(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self._address + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()
        except urllib.error.URLError:
            return 0, ""

    def health(self) -> tuple[int, str]:
        return self.get("/health")

    def metric(self, name: str) -> float:
        line = next(line for line in self.get("/metrics")[1].splitlines() if line.startswith(name + " "))
        return float(line.rpartition(" ")[2])


@contextmanager
def monitored(site: Site, port: int) -> Iterator[Monitor]:
    with (site.folder / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hub", "web", "--site", str(site.folder)], stdout=log, stderr=log
        )
    try:
        yield Monitor(port)
    finally:
        process.terminate()
        assert process.wait(30) == 0, (site.folder / "web.log").read_text()


def watched_closely(site: Site) -> int:
    """Set the site to look every second, and to tell a silence soon; the port of `hub web`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    file = site.folder / "hub.yaml"
    text = file.read_text().replace("watching: {poll: 5s,", "watching: {poll: 2s, silence_most: 20s,")
    assert "silence_most" in text
    file.write_text(f"{text}alerting: {{every: 1s, ledger_every: 1s}}\nweb: {{port: {port}}}\n")
    return port


@pytest.mark.timeout(400)  # a dozen commands, each a process: half a minute on a quiet machine
def test_the_ledger_balances_a_lost_message_is_told_everywhere_and_a_dead_server_with_its_cause(tmp_path: Path) -> None:
    with running_site(tmp_path, usagers_csv()) as site:
        port = watched_closely(site)
        site.dovecot.deliver(HOME, *letters(3))
        site.start()
        site.wait_until_settled(3)
        with monitored(site, port) as monitor:
            _balances(site, monitor)
            _is_told_and_taken(site, monitor)
            _is_silent_with_its_cause(site, monitor)


def _wait(site: Site, monitor: Monitor, wanted: tuple[int, str]) -> None:
    wait_for(lambda: monitor.health() == wanted, 90, lambda: f"{monitor.health()} {site.log()[-3000:]}")


def _balances(site: Site, monitor: Monitor) -> None:
    told = site.command("ledger")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "3 message(s) annoncé(s)" in told.stdout
    assert line_of(told, "classés").split()[-1] == "3"
    assert "le compte est bon" in told.stdout
    wait_for(lambda: "hub_ledger_age_seconds{" in monitor.get("/metrics")[1], 60, site.log)
    _wait(site, monitor, (200, "ok\n"))
    told = site.command("status")
    assert told.returncode == 0, told.stdout
    assert "comptée le" in told.stdout


def _is_told_and_taken(site: Site, monitor: Monitor) -> None:
    lose(site, 2)
    _wait(site, monitor, (503, "ledger-differs\n"))
    assert monitor.metric('hub_ledger_differences{mailbox="dossiers"}') == 1
    assert monitor.metric('hub_alerts{code="ledger-differs"}') == 1
    wait_for(
        lambda: f"ERROR hub.alerts {site.service.pid if site.service else 0} {ALERT} begins" in site.log(), 30, site.log
    )
    told = site.command("status")
    assert told.returncode == 1
    assert "ALARME : Le compte de la boîte dossiers n'est pas bon" in told.stdout
    assert "(UID 2)" in told.stdout
    told = site.command("ledger", "--json", "--since", "1d")
    assert told.returncode == 1
    (account,) = json.loads(told.stdout)
    assert (account["announced"], account["unknown"], account["here"]["filed"]) == (3, "2", 2)

    told = site.command("ledger", "--take")
    assert told.returncode == 0, told.stdout
    assert "1 message(s) inconnu(s) relevé(s) maintenant" in told.stdout
    _wait(site, monitor, (200, "ok\n"))
    wait_for(lambda: f"{ALERT} ends" in site.log(), 30, site.log)
    assert site.log().count(f"{ALERT} begins") == 1
    site.wait_until_settled(4)  # the lost one, and the one taken: carried by the sweep
    assert site.command("status").returncode == 0


def _is_silent_with_its_cause(site: Site, monitor: Monitor) -> None:
    os.kill(int((site.dovecot.folder / "run" / "master.pid").read_text()), signal.SIGTERM)
    _wait(site, monitor, (503, "mailbox-silent\n"))
    told = site.command("status")
    assert told.returncode == 1
    silent = line_of(told, "ALARME : La boîte dossiers n'est plus relevée depuis le")
    assert "l'opérateur est injoignable ou coupe la connexion (connect-" in silent
    assert "hub_mailbox_failures{" in monitor.get("/metrics")[1]
