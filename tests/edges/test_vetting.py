"""What the hub remembers of the servers that it met: their lists are fetched before they are needed, a refusal is told
until it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.alerts.peers import MetGatherer, of_peers
from hub.errors import Misconfigured, Untrusted
from hub.settings import Settings
from hub.trust.authorities import PINS, fingerprint
from hub.trust.standing import KeptLists
from hub.wiring.vetting import Vetting, policy_of
from hub.wiring.ways import Ways
from hub.worker.lists import keep_lists
from tests.edges.test_revocation import DOWN, HOUR, Publisher, publishing
from tests.igc import Igc, now


class House:
    """One site with one operator of the published authority, and a clock that a test moves."""

    def __init__(self, publisher: Publisher, **more: Any) -> None:
        self.publisher = publisher
        self.at = now()
        self.settings = settings_of(publisher.folder, ca_file=publisher.igc.ca_file(publisher.folder), **more)
        self.vetting = Vetting(self.settings, lambda: self.at)

    async def meet(self, leaf: bytes | None = None) -> str:
        """The code of the refusal, or ""."""
        operator, box = self.settings.operators[0], self.settings.mailboxes[0]
        authorities = self.vetting.authorities_of(operator, is_test=box.test)
        assert operator.imap is not None
        vet = self.vetting.of(operator, box, operator.imap, authorities)
        try:
            await vet(self.publisher.leaf.der if leaf is None else leaf)
        except Untrusted as error:
            return error.code
        return ""

    def alerts(self) -> list[str]:
        met = MetGatherer(self.settings.data_dir / "trust").gather(self.at)
        return [alert.code for alert in of_peers(self.settings, met, self.at)]


def settings_of(folder: Path, **more: Any) -> Settings:
    endpoint = {"host": "localhost", "port": 143, "tls": "starttls"}
    box = {
        "name": "bal",
        "address": "bal@asso.mssante.example",
        "operator": "operateur",
        "test": more.pop("test", False),
    }
    trust = {"points": []} | more.pop("trust", {})
    operator = {"name": "operateur", "imap": endpoint, "smtp": endpoint, "sasl": "none"}
    return Settings.model_validate(
        {
            "data_dir": folder,
            "site": {"product_reference": "ESSAI1"},
            "operators": [operator | more],
            "mailboxes": [box],
            "trust": trust,
            "fetching": {"answer_within": 20, "connect_timeout": 20},
        }
    )


@asynccontextmanager
async def housed(folder: Path, **more: Any) -> AsyncIterator[House]:
    async with publishing(folder) as publisher:
        house = House(publisher, **more)
        yield house
        await house.vetting.close()


async def test_the_lists_of_whom_was_met_are_kept_fresh(tmp_path: Path) -> None:
    async with housed(tmp_path) as house:
        publisher = house.publisher
        await house.vetting.keep(house.at)
        assert publisher.pages.asked == []  # nobody was met yet, and the settings name no point
        assert await house.meet() == ""
        for hours, asked in ((1, 1), (2.1, 2), (3, 2), (4.2, 3)):
            house.at = now() + hours * HOUR
            await house.vetting.keep(house.at)
            assert (hours, publisher.asked("ORG"), publisher.asked("RACINE")) == (hours, asked, asked)


async def test_the_points_of_the_settings_are_asked_before_anybody_is_met(tmp_path: Path) -> None:
    async with housed(tmp_path) as house:
        url = f"{house.publisher.igc.points}/CRL/ORG.crl"
        points = [{"authority": "AC ELEMENTAIRE ORGANISATIONS ESSAI", "crl": url}]
        early = House(house.publisher, trust={"points": points})
        await early.vetting.keep(early.at)
        assert house.publisher.asked("ORG") == 1
        assert await early.meet() == ""
        assert house.publisher.asked("ORG") == 1
        await early.vetting.close()


async def test_a_refusal_is_told_until_it_is_over(tmp_path: Path) -> None:
    async with housed(tmp_path, revocation="required") as house:
        publisher = house.publisher
        lists, publisher.lists = publisher.lists, {}
        assert await house.meet() == "peer-revocation-unknown"
        assert house.alerts() == ["revocation-unknown"]
        house.at += timedelta(minutes=3)
        await house.vetting.keep(house.at)
        assert house.alerts() == ["revocation-unknown"]
        publisher.lists = lists
        house.at += timedelta(minutes=10)
        await house.vetting.keep(house.at)  # nobody has connected since
        assert house.alerts() == []
        assert await house.meet() == ""


async def test_another_refusal_ends_when_the_server_is_believed(tmp_path: Path) -> None:
    async with housed(tmp_path) as house:
        assert await house.meet(house.publisher.igc.leaf("other").der) == "peer-other-name"
        await house.vetting.keep(house.at)
        assert house.alerts() == ["peer-refused"]
        assert await house.meet() == ""
        assert house.alerts() == []


async def test_a_list_that_cannot_be_fetched_for_long_is_told(tmp_path: Path) -> None:
    async with housed(tmp_path) as house:
        assert await house.meet() == ""
        start, house.publisher.lists = house.at, {"ORG": DOWN, "RACINE": house.publisher.lists["RACINE"]}
        for hours in (3, 9, 15.2):
            house.at = start + hours * HOUR
            await house.vetting.keep(house.at)
        assert await house.meet() == ""  # the last one counts for a day
        assert house.alerts() == ["crl-stale"]
        (org, _) = KeptLists(house.settings.data_dir / "trust").standing()
        assert (org.name, org.trouble.code) == ("ORG.crl", "http-503")


async def test_the_keeper_goes_on_after_what_goes_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    turns: list[datetime] = []

    class Failing(Vetting):
        async def keep(self, at: datetime) -> None:
            turns.append(at)
            errors = (Misconfigured("ca.pem:1 - absent"), OSError(28, "No space left on device"), KeyError())
            raise errors[len(turns) % 3]

    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_lists(Failing(settings_of(tmp_path), now), stop, turn=0.01))
    async with asyncio.timeout(5):
        while len(turns) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    stop.set()
    await keeping
    assert {"ca.pem:1 - absent", "No space left on device", "KeyError"} <= {
        record.getMessage().partition(": ")[2] for record in caplog.records
    }


async def test_a_disk_that_keeps_nothing_harms_no_connection(tmp_path: Path) -> None:
    async with housed(tmp_path) as house:
        assert await house.meet() == ""
        peers = house.settings.data_dir / "trust" / "peers"
        for file in peers.iterdir():
            file.unlink()
        peers.rmdir()
        peers.write_bytes(b"no folder")
        assert await house.meet() == ""


async def test_each_mailbox_has_its_own_authorities(tmp_path: Path) -> None:
    """The test branch beside the production one for a mailbox of the test branch, and for no other (RH-05)."""
    test_branch = Igc(branch="TEST")
    authorities = test_branch.ca_file(tmp_path)

    async def anchors(**more: Any) -> set[str]:
        settings = settings_of(tmp_path, trust={"test_authorities": authorities}, **more)
        way = await Ways(settings).imap(settings.mailboxes[0])()
        assert way.vet is not None
        return {fingerprint(raw) for raw in way.context.get_ca_certs(binary_form=True)}

    assert await anchors() == {PINS["ACI-EL-ORG.pem"]}
    assert await anchors(test=True) == {PINS["ACI-EL-ORG.pem"], fingerprint(test_branch.organisations.der)}


def test_what_is_asked_of_an_operator_follows_its_authorities(tmp_path: Path) -> None:
    own = Igc(branch="PROPRE").ca_file(tmp_path)
    asked: list[dict[str, Any]] = [
        {},
        {"ca_file": own},
        {"ca_file": own, "revocation": "required"},
        {"revocation": "off"},
    ]
    found = [policy_of(settings_of(tmp_path, **more).operators[0]) for more in asked]
    assert found == ["required", "published", "required", "off"]
