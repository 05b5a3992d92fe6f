"""A site grows: its data move from SQLite to PostgreSQL, and nobody can tell the difference."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.letters import letters
from hub import journal
from hub.cli.commands import app
from hub.sandbox.people import HOSPITAL, usagers_csv
from hub.sandbox.scenario import samples
from tests.edges.engines import postgres_database
from tests.trips.house import HOME, Site, running_site, wait_for


def answers(site: Site, ids: list[str]) -> dict[str, str]:
    """What the commands say of the site; the ledger looks into the mailbox too."""
    asked = [("held",), *(("show", one) for one in ids), ("journal", "verify"), ("ledger",)]
    # In this process: a dozen starts of Python would be most of the test.
    told = {" ".join(words): CliRunner().invoke(app, [*words, "--site", str(site.folder)]) for words in asked}
    assert all(done.exit_code in (0, 1) and done.stdout for done in told.values()), told
    return {words: done.stdout for words, done in told.items()}


@pytest.mark.timeout(400)
def test_everything_is_the_same_after_the_move_and_what_was_due_is_carried(tmp_path: Path) -> None:
    with running_site(tmp_path, usagers_csv()) as site, postgres_database() as url:
        scenario = samples(datetime.now(UTC))
        sent = [scenario[place].raw for place in range(0, len(scenario), 5)]
        site.dovecot.deliver(HOME, *sent)
        site.start()
        site.wait_until_settled(len(sent))
        site.stop()

        site.dovecot.deliver(HOME, *letters(1))
        watch = site.spawn("watch")
        try:
            wait_for(lambda: site.counts()["ACCEPTED"] == 1, 60, site.log)
            refused = site.command("database", "move", "--to", url)
            assert refused.returncode == 1
            assert "another process has the SQLite database open" in refused.stderr
        finally:
            watch.terminate()
            assert watch.wait(60) == 0

        with site.opened() as house:
            found = house.database.read_now(lambda c: c.exec_driver_sql("SELECT id FROM message ORDER BY state").all())
        ids = [row[0] for row in found]
        before, file = answers(site, ids[::4]), site.folder / "hub.db"
        whole = hashlib.sha256(file.read_bytes()).hexdigest()
        moved = site.command("database", "move", "--to", url)
        assert moved.returncode == 0, moved.stderr
        assert f'database_url: "{url}"' in moved.stdout
        assert hashlib.sha256(file.read_bytes()).hexdigest() == whole

        settings = site.folder / "hub.yaml"
        settings.write_text(settings.read_text().replace("sqlite:///hub.db", url))
        file.rename(file.with_suffix(".old"))
        assert answers(site, ids[::4]) == before

        site.start()
        wait_for(lambda: site.counts()["ACCEPTED"] == 0, 60, site.log)
        counts = site.wait_until_settled(len(ids))
        assert counts["DONE"] + counts["HELD"] == len(ids)
        site.stop()
        assert not file.exists()
        with site.opened() as house:
            assert house.database.read_now(journal.verify).broken_at is None
        assert site.mails_to(HOSPITAL.address, at_least=1)
