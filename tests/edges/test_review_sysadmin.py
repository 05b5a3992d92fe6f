"""What the commands of a sysadmin say of a wrong file, of a mailbox that is not read, of a certificate that ends."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner, Result

from bench.letters import letters
from hub.cli.commands import app
from hub.cli.ledger import moment
from hub.errors import HubError, Misconfigured
from hub.message import Classification, Failed, Match, MessageClass, Plan, Receipt, Thought
from hub.ports import Arrival
from hub.sandbox.people import HOSPITAL
from hub.settings import load_settings
from hub.wiring import House, open_house
from hub.worker.actors import CarryingWorker
from hub.worker.service import Service
from tests.edges.test_tls import self_made
from tests.mailmaker import mail
from tests.pki import Authority, Leaf

ADDRESS = "bal@mecs.mssante.example"
FINESS = "690000001"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def leaf(authority: Authority) -> Leaf:
    return authority.issue("bal", ADDRESS, common_name=ADDRESS)


@pytest.fixture
def site(tmp_path: Path, authority: Authority, leaf: Leaf) -> Path:
    """A site that `hub check` finds right: one mailbox, nobody behind its ports."""
    folder = tmp_path / "site"
    assert run("init", str(folder), site=None).exit_code == 0
    write(folder, settings_text(authority, leaf))
    return folder


def settings_text(authority: Authority, leaf: Leaf) -> str:
    return f"""\
site: {{product_reference: ESSAI1, finess: "{FINESS}"}}
operators:
  - name: operateur
    imap: {{host: localhost, port: 1, tls: implicit}}
    smtp: {{host: localhost, port: 1, tls: implicit}}
    ca_file: {authority.ca_file}
    certificate: {{file: {leaf.certificate}, key_file: {leaf.key}}}
mailboxes:
  - {{name: dossiers, address: {ADDRESS}, operator: operateur}}
"""


def write(site: Path, text: str) -> None:
    (site / "hub.yaml").write_text(text, encoding="utf-8")


def add(site: Path, text: str) -> None:
    write(site, (site / "hub.yaml").read_text("utf-8") + text)


def change(site: Path, old: str, new: str) -> None:
    text = (site / "hub.yaml").read_text("utf-8")
    assert old in text
    write(site, text.replace(old, new))


def run(*words: str, site: Path | None) -> Result:
    return CliRunner().invoke(app, [*words, *(["--site", str(site)] if site else [])])


def told(result: Result, site: Path) -> str:
    """What the command printed, and the private text of the error that it let through (`main` prints it)."""
    error = result.exception
    assert error is None or isinstance(error, (HubError, SystemExit)), error
    private = error.private if isinstance(error, HubError) else ""
    return f"{result.output}{private}".replace(f"{site}/", "")


# --- hub check: everything that a sysadmin writes, by file and line


def test_a_right_site_is_in_order(site: Path) -> None:
    result = run("check", site=site)
    assert (result.exit_code, "Tout est en ordre : 1 boîte" in result.output) == (0, True), result.output
    (remark,) = [line for line in result.output.splitlines() if line.startswith("À prévoir")]
    assert "reconnu par d'autres autorités que l'IGC-Santé" in remark  # its operator is none of MSSanté


def test_an_operator_of_igc_sante_is_no_remark_and_one_that_is_never_asked_for_is(site: Path) -> None:
    file = site / "hub.yaml"
    text = "\n".join(line for line in file.read_text().splitlines() if "ca_file" not in line) + "\n"
    file.write_text(text)
    result = run("check", site=site)
    assert (result.exit_code, "À prévoir" in result.output) == (0, False), result.output
    file.write_text(text.replace("name: operateur", "name: operateur\n    revocation: off", 1))
    assert "un certificat révoqué serait accepté" in run("check", site=site).output


def _add(text: str) -> Callable[[Path], None]:
    return lambda site: add(site, text)


def _file(name: str, text: str) -> Callable[[Path], None]:
    def make(site: Path) -> None:
        (site / name).write_text(text, encoding="utf-8")

    return make


def _no_database(site: Path) -> None:
    (site / "hub.db").unlink()


def _open_keys(site: Path) -> None:
    (site / "keys/data.keys").chmod(0o644)


def _empty_password(site: Path) -> None:
    (site / "vide").write_text("\n")
    change(site, "operator: operateur}", "operator: operateur, sasl: plain, password_file: vide}")


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (_add("broker_url: kafka://x\n"), "kafka is not a broker of this version"),
        (_add("broker_url: amqp://127.0.0.1:1\n"), "hub.yaml:10 broker_url: the broker cannot be used"),
        (_add("broker_url: redis://127.0.0.1:1\n"), "broker_url: the broker cannot be used: Connection refused"),
        (_add("broker_url: redis://x\nbroker_password_file: no\n"), "no:1 - the password file cannot be read"),
        (_add("database_url: mysql://x\n"), "hub.yaml:10 database_url must start with"),
        (_add("database_url: postgresql://x@127.0.0.1:1/x\n"), "hub.yaml:10 database: OperationalError"),
        (_add("data_dir: hub.db\n"), "hub.yaml:10 data_dir: nothing can be written"),
        (_add("codes_dir: keys\n"), "hub.yaml:10 codes_dir: "),
        (_add("reading: {memory: 1MB}\n"), "hub.yaml:10 reading: no reader can work within these limits"),
        (_no_database, "hub.yaml:1 database_url: the database does not exist yet: hub init"),
        (_open_keys, "keys/data.keys:1 - everybody on this machine may read the keys"),
        (_empty_password, "vide:1 - the first line is empty"),
        (
            lambda site: change(site, "    certificate", "    ciphers: NADA\n    certificate"),
            "hub.yaml:3 operator operateur: ciphers",
        ),
        (_file("routes.yaml", "rules: [\n"), "routes.yaml:2 - expected the node content"),
        (_file("routes.yaml", "rules:\n  - {name: a, when: {kin: x}, then: {hold: non}}\n"), "routes.yaml:2 rules.0"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(site: Path, spoil: Callable[[Path], None], wanted: str) -> None:
    spoil(site)
    result = run("check", site=site)
    assert result.exit_code == 1
    assert wanted in told(result, site)


def test_to_check_makes_no_database(site: Path) -> None:
    _no_database(site)
    run("check", site=site)
    assert not (site / "hub.db").exists()


# --- certificates that end (RH-12, complaints.md row 18)


def ending(authority: Authority, leaf: Leaf, in_days: float) -> None:
    """The leaf, issued again, good until so many days from now."""
    until = datetime.now(UTC) + timedelta(days=in_days)
    issued = authority._ca.issue_cert(
        ADDRESS, common_name=ADDRESS, not_before=until - timedelta(days=120), not_after=until
    )
    leaf.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(leaf.key))


@pytest.fixture
def own_leaf(authority: Authority, site: Path, tmp_path: Path) -> Leaf:
    leaf = Leaf(tmp_path / "own.crt", tmp_path / "own.key", tmp_path / "own.crt")
    write(site, settings_text(authority, leaf))
    return leaf


@pytest.mark.parametrize("command", ["check", "status"])
def test_an_expired_certificate_is_an_error(site: Path, authority: Authority, own_leaf: Leaf, command: str) -> None:
    ending(authority, own_leaf, -1 / 86400)
    result = run(command, site=site)
    assert result.exit_code == 1
    assert f"{own_leaf.certificate}:1 - ce certificat a expiré le " in result.output


@pytest.mark.parametrize("days", [1.5, 89.5])
def test_a_certificate_that_ends_soon_is_told(site: Path, authority: Authority, own_leaf: Leaf, days: float) -> None:
    ending(authority, own_leaf, days)
    result = run("check", site=site)
    assert result.exit_code == 0
    assert f"(dans {int(days)} jour(s))" in result.output
    ending(authority, own_leaf, 91)
    assert "jour(s)" not in run("check", site=site).output


def test_the_certificate_of_another_structure_is_an_error_of_check(
    site: Path, authority: Authority, tmp_path: Path
) -> None:
    foreign = self_made(tmp_path, "autre", unit="1690000002", days=(-1, 300))
    write(site, settings_text(authority, foreign))
    result = run("check", site=site)
    assert result.exit_code == 1
    assert "ce certificat est celui de la structure 1690000002" in result.output


# --- hub status: progress at the far end (complaints.md row 1)


@pytest.fixture
def house(site: Path) -> Iterator[House]:
    opened = open_house(load_settings(site / "hub.yaml"))
    yield opened
    opened.database.close()


def test_a_mailbox_that_was_never_read_is_an_alarm(site: Path) -> None:
    result = run("status", site=site)
    assert result.exit_code == 1
    assert "ALARME : La boîte dossiers n'a encore jamais été relevée" in result.output


def test_a_mailbox_that_is_read_is_none_and_one_that_stopped_is(site: Path, house: House) -> None:
    asyncio.run(house.spool.advance("dossiers", 1, 7))
    result = run("status", site=site)
    assert (result.exit_code, "ALARME" in result.output) == (0, False), result.output
    assert "relevée le " in result.output
    _long_ago(site, "cursor", "compared_at", timedelta(minutes=21))
    result = run("status", site=site)
    assert result.exit_code == 1
    assert "ALARME : La boîte dossiers n'est plus relevée depuis le " in result.output


def test_a_mailbox_that_cannot_be_looked_at_is_no_balance(site: Path) -> None:
    result = run("ledger", site=site)
    assert (result.exit_code, "ne peut pas être consultée" in result.output) == (3, True)
    result = run("ledger", "--json", site=site)
    assert result.exit_code == 3
    assert json.loads(result.output)[0]["mailbox"] == "dossiers"


@pytest.mark.parametrize("since", ["hier", "24", "5w", "2026-13-01"])
def test_a_moment_that_nobody_understands_is_refused(site: Path, since: str) -> None:
    result = run("ledger", "--since", since, site=site)
    assert isinstance(result.exception, Misconfigured)


def test_moments_are_those_of_the_site() -> None:
    paris, at = ZoneInfo("Europe/Paris"), datetime(2026, 10, 25, 12, 0, tzinfo=UTC)
    assert moment("24h", at, paris) == datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    assert moment("7d", at, paris) == datetime(2026, 10, 18, 12, 0, tzinfo=UTC)
    assert moment("90m", at, paris) == datetime(2026, 10, 25, 10, 30, tzinfo=UTC)
    assert moment("2026-10-25", at, paris) == datetime(2026, 10, 24, 22, 0, tzinfo=UTC)  # summer time still
    assert moment("2026-10-26T08:30", at, paris) == datetime(2026, 10, 26, 7, 30, tzinfo=UTC)


def test_messages_that_nobody_carries_are_an_alarm(site: Path, house: House) -> None:
    asyncio.run(_with_open_message(house))
    assert run("status", site=site).exit_code == 0
    _long_ago(site, "message", "due_at", timedelta(minutes=11))
    result = run("status", site=site)
    assert result.exit_code == 1
    assert "ALARME : 1 message(s) attendent d'être traités" in result.output


def test_a_message_that_is_tried_again_and_again_is_an_alarm(site: Path, house: House) -> None:
    asyncio.run(_with_open_message(house))
    assert run("status", site=site).exit_code == 0
    _long_ago(site, "message", "set_out_at", timedelta(minutes=61))
    result = run("status", site=site)
    assert result.exit_code == 1
    assert "ALARME : 1 message(s) reçus depuis plus d'une heure ne sont pas terminés" in result.output


async def _with_open_message(house: House) -> None:
    blob = await house.spool.new_blob()
    await blob.write(mail())
    arrival = Arrival(mailbox="dossiers", uidvalidity=1, uid=1, received_at=datetime.now(UTC))
    await house.spool.accept(arrival, blob)
    await house.spool.advance("dossiers", 1, 1)


def _long_ago(site: Path, table: str, column: str, age: timedelta) -> None:
    then = (datetime.now(UTC) - age).strftime("%Y-%m-%d %H:%M:%S.%f")
    with sqlite3.connect(site / "hub.db") as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (then,))
    connection.close()


# --- hub serve and its workers with rules that are wrong from the start


def test_the_service_refuses_wrong_rules_at_its_start(site: Path) -> None:
    (site / "routes.yaml").write_text("rules: [\n")
    result = run("serve", site=site)
    assert "routes.yaml:2 - expected the node content" in told(result, site)
    assert isinstance(result.exception, Misconfigured)


def test_a_worker_that_cannot_start_says_so_instead_of_limping(site: Path) -> None:
    (site / "routes.yaml").write_text("rules: [\n")
    with pytest.raises(Misconfigured, match=r"routes\.yaml:2"):
        CarryingWorker(load_settings(site / "hub.yaml")).start()


def test_a_name_look_up_that_hangs_keeps_no_thread_of_another_mailbox(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio's own pool has six threads on two cores: forty mailboxes without DNS stopped the others for minutes."""
    for number in range(40):
        add(site, f"  - {{name: b{number}, address: b{number}@mecs.mssante.example, operator: operateur}}\n")
    hanging = threading.Event()

    async def run_service(_service: Service, _stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        look_ups = [loop.run_in_executor(None, hanging.wait, 20) for _ in range(40)]
        await asyncio.wait_for(asyncio.to_thread(lambda: None), 5)
        hanging.set()
        await asyncio.gather(*look_ups)

    monkeypatch.setattr(Service, "run", run_service)
    result = run("serve", site=site)
    assert result.exit_code == 0, result.exception


# --- hub release: a receipt that could not be sent


@pytest.mark.parametrize("code", [0, 902])
def test_a_receipt_that_failed_can_be_sent_again_with_its_code(site: Path, house: House, code: int) -> None:
    message_id = asyncio.run(_with_failed_receipt(house, code))
    result = run("release", message_id[:10], "--receipt", "--by", "Claire", site=site)
    assert result.exit_code == 0, told(result, site)
    steps = asyncio.run(house.spool.steps(message_id))
    receipts = [(step.state, step.step.code) for step in steps if isinstance(step.step, Receipt)]
    assert receipts == [("FAILED", code), ("DEFERRED", code)]  # nobody answers at port 1: later, by the service
    again = run("release", message_id[:10], "--receipt", "--by", "Claire", site=site)
    assert again.exit_code == 1


async def _with_failed_receipt(house: House, code: int) -> str:
    """The id of a held message whose receipt was refused for good."""
    spool = house.spool
    blob = await spool.new_blob()
    await blob.write(next(iter(letters(1))))
    arrival = Arrival(mailbox="dossiers", uidvalidity=1, uid=1, received_at=datetime.now(UTC))
    message_id = (await spool.accept(arrival, blob)).id
    await spool.load(message_id)
    steps = (Receipt(recipient=HOSPITAL.address, code=code),)
    classification = Classification(message_class=MessageClass.XDM, confidence=1.0)
    plan = Plan(rule="essai", steps=steps)
    await spool.save_plan(message_id, Thought(classification=classification, match=Match(), plan=plan))
    await spool.record(message_id, 1, Failed("RCPT refused: 550"))
    return message_id
