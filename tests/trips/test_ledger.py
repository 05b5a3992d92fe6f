"""`hub ledger`: what the server announces against what became of it, to the unit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sqlalchemy import delete

from bench.letters import letters
from hub.sandbox.people import usagers_csv
from hub.spool.statements import SEEN
from tests.trips.house import HOME, SENDER, Site, running_site

PLAIN = f"Return-Path: <{SENDER}>\r\nFrom: <{SENDER}>\r\nTo: <{HOME}>\r\nSubject: Bonjour\r\n\r\nMessage.\r\n".encode()


def line_of(told: subprocess.CompletedProcess[str], label: str) -> str:
    return next(line.strip() for line in told.stdout.splitlines() if line.strip().startswith(label))


def forget(site: Site, uid: int) -> None:
    """As if the spool had lost a message that it once accepted."""
    with site.opened() as house:
        house.database.write_now(lambda c: c.execute(delete(SEEN).where(SEEN.c.uid == uid)))


def test_the_ledger_balances_to_the_unit_and_names_what_is_missing(tmp_path: Path) -> None:
    with running_site(tmp_path, usagers_csv()) as site:
        site.dovecot.deliver(HOME, *letters(3), PLAIN)
        site.start()
        site.wait_until_settled(4)
        site.stop()
        told = site.command("ledger")
        assert told.returncode == 0, told.stdout + told.stderr
        assert "4 message(s) annoncé(s)" in told.stdout
        assert line_of(told, "classés").split()[-1] == "3"
        assert line_of(told, "en attente").split()[-1] == "1"

        site.dovecot.deliver(HOME, *letters(1, first=3))
        told = site.command("ledger", "--mailbox", "dossiers")
        assert told.returncode == 0
        assert line_of(told, "pas encore").endswith("UID 5")

        forget(site, 2)
        told = site.command("ledger")
        assert told.returncode == 1
        assert line_of(told, "INCONNUS").endswith("UID 2")


def test_a_mailbox_that_cannot_be_looked_at_says_so(tmp_path: Path) -> None:
    with running_site(tmp_path, usagers_csv()) as site:
        settings = site.folder / "hub.yaml"
        settings.write_text(settings.read_text().replace(f"port: {site.dovecot.imaps_port}", "port: 1"))
        told = site.command("ledger")
    assert told.returncode == 3
    assert "ne peut pas être consultée" in told.stdout
