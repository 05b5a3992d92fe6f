"""Users: who is let in, who waits, what a guesser learns (nothing), and the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub import journal
from hub.cli.commands import app
from hub.cli.start import init
from hub.database import Database
from hub.errors import Permanent
from hub.records.passwords import Passwords
from hub.records.users import FREE_FAILURES, WAIT_MOST, SqlUsers
from tests.edges.engines import database, database_url, postgres_template, sqlite_template
from tests.edges.spools import MovableClock
from tests.quiet import password

__all__ = ["database", "database_url", "postgres_template", "sqlite_template"]

PASSWORD = password("quatre mots sans rapport")
WRONG = b"faux faux faux faux"


class CountedPasswords(Passwords):
    """Counts the costly checks, and what each was against."""

    def __init__(self) -> None:
        super().__init__()
        self.checks: list[bool] = []

    def _check(self, password: bytes, hashed: str | None) -> bool:
        self.checks.append(hashed is not None)
        return super()._check(password, hashed)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def passwords() -> CountedPasswords:
    return CountedPasswords()


@pytest.fixture
async def users(database: Database, clock: MovableClock, passwords: CountedPasswords) -> SqlUsers:
    made = SqlUsers(database, clock, passwords=passwords)
    await made.add("Camille", "secretary", PASSWORD, ("secretariat",), by="essai")
    return made


async def test_the_right_password_lets_in_with_its_rights(users: SqlUsers) -> None:
    user = await users.admit("CAMILLE ", PASSWORD.encode())
    assert user is not None
    assert (user.login, user.mailboxes) == ("camille", frozenset({"secretariat"}))
    await users.grant("camille", "direction", by="essai")
    assert await users.rights(user.id) == {"secretariat", "direction"}
    await users.revoke("camille", "secretariat", by="essai")
    assert await users.rights(user.id) == {"direction"}


async def test_the_same_work_is_done_whoever_asks(
    users: SqlUsers, passwords: CountedPasswords, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guesser with a watch learns nothing: one hash, one look and one write for each refusal."""
    await users.add("alex", "secretary", PASSWORD, (), by="essai")
    await users.close_user("alex", by="essai")
    reads = writes = 0
    honest_read, honest_write = database.read, database.write

    async def read(work: Any, **more: Any) -> Any:
        nonlocal reads
        reads += 1
        return await honest_read(work, **more)

    async def write(work: Any, **more: Any) -> Any:
        nonlocal writes
        writes += 1
        return await honest_write(work, **more)

    monkeypatch.setattr(database, "read", read)
    monkeypatch.setattr(database, "write", write)
    seen = []
    for login in ("camille", "alex", "personne", "x" * 300, ""):
        passwords.checks.clear()
        reads = writes = 0
        assert await users.admit(login, WRONG) is None
        seen.append((len(passwords.checks), reads, writes))
    assert set(seen) == {(1, 1, 1)}


async def test_a_right_password_is_remembered_only_for_who_may_come_in(
    users: SqlUsers, passwords: CountedPasswords
) -> None:
    for _ in range(3):
        assert await users.admit("camille", PASSWORD.encode()) is not None
    assert len(passwords.checks) == 1
    await users.close_user("camille", by="essai")
    assert await users.admit("camille", PASSWORD.encode()) is None
    assert len(passwords.checks) == 2
    await users.reopen("camille", by="essai")
    await users.set_password("camille", "cinq autres mots sans rapport", by="essai")
    assert await users.admit("camille", PASSWORD.encode()) is None
    assert await users.admit("camille", b"cinq autres mots sans rapport") is not None


async def test_wrong_passwords_cost_a_wait_that_grows(users: SqlUsers, clock: MovableClock) -> None:
    waits = []
    for _ in range(FREE_FAILURES + 9):
        assert await users.admit("camille", WRONG) is None
        (user,) = await users.all()
        waits.append((user.locked_until - clock.now).total_seconds() if user.locked_until else 0)
    assert waits == [0] * FREE_FAILURES + [30, 60, 120, 240, 480, 900, 900, 900, 900]
    assert await users.admit("camille", PASSWORD.encode()) is None  # even the right one
    clock.tick(seconds=WAIT_MOST.total_seconds() - 1)
    assert await users.admit("camille", PASSWORD.encode()) is None
    clock.tick(seconds=1)
    assert await users.admit("camille", PASSWORD.encode()) is not None
    (user,) = await users.all()
    assert (user.failures, user.locked_until) == (0, None)


async def test_a_clock_put_back_locks_nobody_out(users: SqlUsers, clock: MovableClock) -> None:
    for _ in range(FREE_FAILURES + 1):
        await users.admit("camille", WRONG)
    clock.tick(days=-30)
    assert await users.admit("camille", PASSWORD.encode()) is not None


async def test_a_new_password_or_an_administrator_ends_a_wait(users: SqlUsers) -> None:
    for _ in range(FREE_FAILURES + 1):
        await users.admit("camille", WRONG)
    await users.reopen("camille", by="essai")
    assert await users.admit("camille", PASSWORD.encode()) is not None


async def test_the_journal_tells_every_change_and_no_password(users: SqlUsers, database: Database) -> None:
    for _ in range(FREE_FAILURES + 1):
        await users.admit("camille", WRONG)
    await users.grant("camille", "direction", by="sysadmin")
    await users.set_password("camille", "cinq autres mots sans rapport", by="sysadmin")
    entries = await database.read(lambda c: journal.entries(c))
    assert [entry.action for entry in entries] == [
        "user added",
        "right granted",
        "user waits",
        "right granted",
        "password set",
    ]
    assert "mots" not in repr(entries)
    assert "argon2" not in repr(entries)


@pytest.mark.parametrize("login", ["", "a b", "é", "x" * 65, "a@b", "../x", "a\n"])
async def test_an_odd_login_is_refused(users: SqlUsers, login: str) -> None:
    if login == "a\n":
        await users.add(login, "officer", PASSWORD, (), by="essai")  # blanks around it do not count
        return
    with pytest.raises(Permanent):
        await users.add(login, "secretary", PASSWORD, (), by="essai")


@pytest.mark.parametrize("password", ["court", "aaaaaaaaaaaaaaaa", "secretariat1"])
async def test_a_weak_password_is_refused(users: SqlUsers, password: str) -> None:
    with pytest.raises(Permanent):
        await users.add("secretariat1", "secretary", password, (), by="essai")


async def test_nobody_is_added_twice_or_changed_who_is_not_there(users: SqlUsers) -> None:
    with pytest.raises(Permanent):
        await users.add("camille", "secretary", PASSWORD, (), by="essai")
    with pytest.raises(Permanent):
        await users.grant("personne", "secretariat", by="essai")


# --- the commands ---------------------------------------------------------------------------------------------------

_SITE = """\
site: {product_reference: ESSAI1}
operators:
  - {name: op, imap: {host: i, port: 143, tls: starttls}, smtp: {host: s, port: 587, tls: starttls}, ca_file: ca.pem,
     certificate: {file: un.p12}}
mailboxes: [{name: secretariat, address: a@b.example, operator: op}]
"""


def test_the_commands_ask_for_the_password_and_never_show_it(tmp_path: Path) -> None:
    init(tmp_path)
    (tmp_path / "hub.yaml").write_text(_SITE)
    place = ["--site", str(tmp_path)]

    def hub(*words: str, said: str = "") -> str:
        done = CliRunner().invoke(app, [*words, *place], input=said)
        assert done.exit_code == 0, done.output + repr(done.exception)
        assert PASSWORD not in done.output
        return done.output

    twice = f"{PASSWORD}\n{PASSWORD}\n"
    assert "secretariat" in hub("users", "add", "camille", "--mailbox", "secretariat", said=twice)
    (tmp_path / "secret").write_text("cinq autres mots sans rapport\n")
    hub("users", "password", "camille", "--password-file", str(tmp_path / "secret"))
    hub("users", "revoke", "camille", "secretariat")
    hub("users", "grant", "camille", "secretariat")
    hub("users", "lock", "camille")
    assert "fermé" in hub("users", "list")
    hub("users", "unlock", "camille")
    assert "ouvert" in hub("users", "list")
    refused = CliRunner().invoke(app, ["users", "grant", "camille", "autre", *place])
    assert isinstance(refused.exception, Permanent)
