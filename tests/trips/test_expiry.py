"""The end of certificates, rehearsed with a false clock (libfaketime): what is said 30 days before, one day before and
one second after; and a running `hub serve` that waits at the end and goes on with the next ones, without restart.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from asn1crypto import cms
from ruamel.yaml import YAML

from hub.settings import load_settings
from hub.wiring import open_house
from tests.conftest import missing
from tests.signers import AUTHOR, Authority, Holder, new_key
from tests.trips.house import wait_for
from tests.trips.office import ASE, SECRETARIAT, Office, a_mail, running_office

pytestmark = pytest.mark.timeout(400)

AC = Authority("rsa")
KEY = new_key("rsa")
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
CLIENT_ENDS, SIGNING_ENDS = NOW + 100 * DAY, NOW + 150 * DAY


def library() -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("libfaketime is not installed (Debian package faketime)")
    return str(found[0])


# --- what is said


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mailbox that was read a moment ago, by the measure of years: only certificates can be wrong."""
    folder = tmp_path_factory.mktemp("expiry") / "site"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(AC.root_pem)
    for name, ends in (("client", CLIENT_ENDS), ("signature", SIGNING_ENDS)):
        holder = AC.signer(AUTHOR, not_before=NOW - DAY, not_after=ends, key=KEY)
        (folder / f"{name}.pem").write_bytes(holder.certificate_pem + holder.above_pem + holder.key_pem)
    (folder / "hub.yaml").write_text(
        f"""\
site: {{product_reference: ESSAI1}}
operators:
  - name: operateur
    imap: {{host: localhost, port: 1, tls: implicit}}
    smtp: {{host: localhost, port: 1, tls: implicit}}
    ca_file: ca.pem
    certificate: {{file: client.pem}}
mailboxes:
  - {{name: dossiers, address: {AUTHOR}, operator: operateur, signing: {{certificate: {{file: signature.pem}}}}}}
watching: {{silence_most: 4000d}}
"""
    )
    subprocess.run([sys.executable, "-m", "hub", "init", str(folder)], check=True, capture_output=True, timeout=120)
    house = open_house(load_settings(folder / "hub.yaml"))
    asyncio.run(house.spool.advance("dossiers", 1, 7))
    house.database.close()
    return folder


def at(moment: datetime, site: Path, *words: str) -> tuple[int, str]:
    """(exit code, output) of a command at that moment."""
    faked = f"@{moment:%Y-%m-%d %H:%M:%S}"
    env = os.environ | {"LD_PRELOAD": library(), "FAKETIME": faked, "TZ": "UTC", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    command = [sys.executable, "-m", "hub", *words, "--site", str(site)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env | {"NO_FAKE_STAT": "1"})
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "ends", "before"), [("client.pem", CLIENT_ENDS, 0), ("signature.pem", SIGNING_ENDS, 1)]
)
def test_what_is_said_before_and_after_the_end(site: Path, file: str, ends: datetime, before: int) -> None:
    """`before`: certificates that have ended already by then, and are said to."""
    said = {
        moment: {word: at(when, site, word) for word in ("status", "certs")}
        for moment, when in (
            ("30 days before", ends - 30 * DAY),
            ("1 day before", ends - DAY),
            ("1 second after", ends + timedelta(seconds=1)),
        )
    }
    place = f"{site / file}:1 - ce certificat"
    last_day = ends.astimezone(ZoneInfo("Europe/Paris")).strftime("%d/%m/%Y")
    for moment, days in (("30 days before", 29), ("1 day before", 0)):  # the command takes a moment itself
        code, status = said[moment]["status"]
        assert code == min(before, 1), status
        assert f"À prévoir : {place} expire le {last_day} (dans {days} jour(s))" in status
        code, listed = said[moment]["certs"]
        assert code == min(before, 1)
        assert re.search(rf"^à prévoir +{_holder(file)} +certificat", listed, re.MULTILINE), listed
    code, status = said["1 second after"]["status"]
    assert code == 1
    assert f"ALARME : {place} a expiré le {last_day}" in status
    code, listed = said["1 second after"]["certs"]
    assert code == 1
    assert listed.count("à corriger") == before + 1
    assert re.search(rf"^à corriger +{_holder(file)} +certificat", listed, re.MULTILINE), listed


def _holder(file: str) -> str:
    return "opérateur operateur" if file == "client.pem" else "boîte dossiers"


# --- what happens


class Clock:
    """What the processes of the site believe: seconds from the truth."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.ahead(timedelta())

    def ahead(self, by: timedelta) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(f"+{int(by.total_seconds())}\n")
        draft.rename(self._file)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with running_office(tmp_path) as office:
        yield office


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(tmp_path / "clock")
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(tmp_path / "clock"))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    monkeypatch.setenv("NO_FAKE_STAT", "1")
    return clock


def test_at_the_end_nothing_leaves_unsigned_and_the_next_ones_take_over_on_their_day_without_restart(
    office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client certificate changes on its day, the signing one ends, a gap, and the next one begins."""
    folder = office.site.folder
    first, following = _signing(office, NOW + 2 * DAY), _signing(office, NOW + 700 * DAY, begins=NOW + 4 * DAY)
    for name, holder in (("secretariat-signature", first), ("suivant", following)):
        (folder / f"{name}.pem").write_bytes(holder.certificate_pem + holder.above_pem + holder.key_pem)
    # The same mailbox for Dovecot, which ignores capitals; Postfix writes the name down as it stands.
    capital = office.authority.issue("client-suivant", SECRETARIAT, common_name=SECRETARIAT.upper())
    tree = YAML(typ="safe").load((folder / "hub.yaml").read_text())
    box = tree["mailboxes"][0]
    box["signing"]["next"] = {"file": str(folder / "suivant.pem")}
    box["next_certificate"] = {"file": str(capital.certificate), "key_file": str(capital.key)}
    box["next_from"] = (NOW + DAY).astimezone(ZoneInfo("Europe/Paris")).date()  # the day of the site, not of UTC
    with (folder / "hub.yaml").open("w") as file:
        YAML().dump(tree, file)

    monkeypatch.setenv("LD_PRELOAD", library())
    office.site.start()
    monkeypatch.delenv("LD_PRELOAD")
    office.wait_for_door()

    office.submit(a_mail("Réunion de service", number="avant"))
    (before,) = _arrived(office, 1)
    assert _serial(before) == first.certificate.serial_number
    assert f'CN "{SECRETARIAT}"' in before["received"]

    clock.ahead(3 * DAY)  # the signing certificate has ended, the next one has not begun
    office.submit(a_mail("Réunion de service", number="pendant"))
    wait_for(lambda: "later: the signing certificate of mailbox secretariat" in office.site.log(), 60, office.site.log)
    time.sleep(15)  # many more tries than `spooling.attempts`: none of them is counted
    assert (office.site.counts()["PLANNED"], office.site.counts()["HELD"]) == (1, 0)
    assert len(_arrived(office, 1)) == 1
    code, status = _status(office, 3 * DAY)
    assert code == 1
    assert "ALARME : " in status
    assert "suivant.pem:1 - ce certificat n'est valable qu'à partir du" in status

    clock.ahead(5 * DAY)
    _, after = sorted(_arrived(office, 2), key=lambda one: _serial(one) == following.certificate.serial_number)
    assert _serial(after) == following.certificate.serial_number
    assert f'CN "{SECRETARIAT.upper()}"' in after["received"]
    assert office.site.service is not None
    assert office.site.service.poll() is None  # the same process all along
    assert office.site.counts()["HELD"] == 0


def _signing(office: Office, ends: datetime, begins: datetime = NOW - DAY) -> Holder:
    authority, _ = office.signing[SECRETARIAT]
    return authority.signer(SECRETARIAT, not_before=begins, not_after=ends)


def _arrived(office: Office, at_least: int) -> list[dict[str, Any]]:
    """Signature and Received lines of the mails at the ASE."""
    return [
        {"received": "\n".join(map(str, mail.get_all("Received", []))), "mail": mail}
        for mail in office.inbox(ASE, at_least)
    ]


def _serial(arrived: dict[str, Any]) -> int:
    """Of the certificate that signed."""
    mail = arrived["mail"]
    assert mail.get_content_type() == "multipart/signed"
    signed = cms.ContentInfo.load(mail.get_payload()[1].get_payload(decode=True))["content"]
    return int(signed["signer_infos"][0]["sid"].chosen["serial_number"].native)


def _status(office: Office, ahead: timedelta) -> tuple[int, str]:
    env = os.environ | {"LD_PRELOAD": library()}
    command = [sys.executable, "-m", "hub", "status", "--site", str(office.site.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    return done.returncode, done.stdout
