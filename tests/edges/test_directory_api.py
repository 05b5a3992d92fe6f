"""The API of the directory: who is asked what, the key, the pace, pages, and what serves while it is away."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from hub.directory import Away, Found, Wanted
from hub.errors import Misconfigured
from hub.settings import DirectorySettings, Fetching
from hub.trust.directory import DirectoryApi, DirectoryAway, ExtractionIndex, Together
from hub.trust.directory.api import questions_of
from hub.trust.directory.pace import Pace
from hub.trust.fetching import Fetcher
from tests.directories import NOW, OUTCOME, bundle, house, imported, mailbox, person, practitioner, role, text_of
from tests.edges.pages import Page, Pages, Request, pages

KEY = "cle-secrete-0001"
MAIL = "lea.exemple@medecin.mssante.fr"
LEA = practitioner("99900000001", "EXEMPLE", "Léa", mailbox(MAIL))
CLINIC = house("990000001", "CH DE BREST", mailbox("pmi@ch-brest.mssante.fr", "ORG", service="PMI"))
FETCHING = Fetching(answer_within=timedelta(seconds=1))


class Server:
    """A fake server of the API: answers by kind of resource; `refusal` is answered to everything."""

    def __init__(self) -> None:
        self.by_kind: dict[str, bytes] = {}
        self.refusal: Page | None = None

    def __call__(self, request: Request) -> Page:
        if self.refusal is not None:
            return self.refusal
        kind = request.path.removeprefix("/fhir/v2/").partition("/")[0].partition("?")[0]
        return Page(self.by_kind.get(kind, bundle()), headers={"content-type": "application/fhir+json"})


class Client:
    def __init__(self, folder: Path, served: Pages) -> None:
        self.now = NOW
        self.served = served
        settings = DirectorySettings(
            api_url=served.url("/fhir/v2/"), api_key_file=Path("x"), calls_a_second=1000, answers_kept=timedelta(days=1)
        )
        self.api = DirectoryApi(settings, FETCHING, folder, Fetcher(FETCHING), lambda: KEY, self.clock)

    def clock(self) -> datetime:
        return self.now

    async def find(self, text: str, **more: Any) -> Found:
        return await self.api.find(Wanted(text=text, **more))

    def asked(self) -> list[tuple[str, list[tuple[str, str]]]]:
        told = [(request.path, parse_qsl(request.body.decode("ascii"))) for request in self.served.asked]
        self.served.asked.clear()
        return told


def kept_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.fixture
def server() -> Server:
    return Server()


async def test_a_name_is_asked_for_by_post_with_the_key_in_a_header(
    tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.by_kind = {
        "Practitioner": bundle(LEA, role("1", "003-99900000001", "001-990000001")),
        "Organization": bundle(CLINIC),
    }
    async with pages(server) as served:
        client = Client(tmp_path, served)
        found = await client.find("Léa Exemple")
        requests = list(served.asked)
    assert [entry.address for entry in found.entries] == [MAIL, "pmi@ch-brest.mssante.fr"]
    assert found.entries[0].activities[0].organisation == "CH DE BREST"
    assert [request.path for request in requests] == ["/fhir/v2/Practitioner/_search", "/fhir/v2/Organization/_search"]
    assert {request.method for request in requests} == {"POST"}
    assert {request.headers["esante-api-key"] for request in requests} == {KEY}
    assert ("name:contains", "lea") in client.asked()[0][1]
    log = caplog.text.lower()
    assert KEY not in log
    assert "exemple" not in log
    assert KEY.encode() not in kept_in(tmp_path)


def test_each_kind_of_question_is_asked_in_its_place() -> None:
    def asked(text: str, **more: Any) -> list[tuple[str, str]]:
        return [
            (kind, "&".join(f"{name}={value}" for name, value in said))
            for kind, said in questions_of(Wanted(text=text, **more))
        ]

    assert [kind for kind, _ in asked("dupont", kind="ORG")] == ["Organization"]
    assert [kind for kind, _ in asked("dupont", kind="PER")] == ["Practitioner"]
    assert asked("10 00 12 34 567")[0][1].startswith("identifier=10001234567")
    assert {kind for kind, _ in asked("a.b@c.mssante.fr")} == {"Practitioner", "PractitionerRole", "Organization"}
    assert asked("A.B@c.mssante.fr")[0][1].startswith("mailbox-mss:exact=a.b@c.mssante.fr")
    assert asked("secretariat@")[0][1].startswith("mailbox-mss:contains=secretariat@")
    assert "address-postalcode=29" in asked("mecs", department="29")[1][1]
    assert "address-postalcode=20" in asked("mecs", department="2A")[1][1]


async def test_pages_are_followed_on_the_same_server_only_and_not_without_end(tmp_path: Path, server: Server) -> None:
    async with pages(server) as served:
        client = Client(tmp_path, served)
        people = [practitioner(f"9990000001{n}", "EXEMPLE", "Léa", mailbox(f"l{n}@x.fr")) for n in range(3)]
        server.by_kind = {
            "Practitioner": bundle(people[0], following=served.url("/fhir/v2/page2")),
            "page2": bundle(people[1], following="https://ailleurs.example/fhir/v2/page3"),
        }
        found = await client.find("exemple", kind="PER")
        assert [path for path, _ in client.asked()] == ["/fhir/v2/Practitioner/_search", "/fhir/v2/page2"]
        assert (len(found.entries), found.is_whole) == (2, True)
        server.by_kind["Practitioner"] = bundle(people[2], following=served.url("/fhir/v2/Practitioner?p"))
        assert (await client.find("exemple lea", kind="PER")).is_whole is False
        assert len(client.asked()) == 4


async def test_an_answer_serves_for_a_day_and_longer_while_the_api_is_away(tmp_path: Path, server: Server) -> None:
    server.by_kind = {"Practitioner": bundle(LEA)}
    async with pages(server) as served:
        client = Client(tmp_path, served)
        await client.find("exemple")
        client.asked()
        client.now += timedelta(hours=23)
        assert len((await client.find("Exemple ")).entries) == 1
        assert client.asked() == []
        client.now += timedelta(hours=2)
        server.refusal = Page(status=503)
        found = await client.find("exemple")
        assert (found.entries[0].seen_at, found.away) == (NOW, (Away("api", "http-503"),))
        with pytest.raises(DirectoryAway) as raised:
            await client.find("autre")
        assert raised.value.code == "http-503"
        assert len(client.asked()) == 1  # nobody asks again so soon
        server.refusal = None
        client.now += timedelta(minutes=2)
        assert (await client.find("autre")).away == ()


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Page(status=401), "http-401"),
        (Page(status=400, body=OUTCOME), "http-400"),
        (Page(OUTCOME), "outcome"),
        (Page(b"<html>"), "broken"),
        (Page(b"{}", wait=3), "timeout"),
        (Page(b"x" * 20, cut=3), "broken"),
    ],
)
async def test_what_goes_wrong_has_a_code_and_others_answer(
    tmp_path: Path, server: Server, page: Page, code: str
) -> None:
    imported(tmp_path, text_of(person()))
    server.refusal = page
    async with pages(server) as served:
        together = Together({"extraction": ExtractionIndex(tmp_path), "api": Client(tmp_path, served).api})
        found = await together.find(Wanted(text="exemple"))
        known = await together.known(MAIL)
    assert ([entry.address for entry in found.entries], found.away) == ([MAIL], (Away("api", code),))
    assert (known.is_listed, known.name) == (True, "DR Léa EXEMPLE")


async def test_429_is_waited_out_as_long_as_it_asks(tmp_path: Path, server: Server) -> None:
    server.refusal = Page(status=429, headers={"retry-after": "600"})
    async with pages(server) as served:
        client = Client(tmp_path, served)
        for _ in range(2):
            with pytest.raises(DirectoryAway):
                await client.find("exemple")
            client.now += timedelta(minutes=9)
        assert len(client.asked()) == 1


@pytest.mark.parametrize("page", [Page(status=400), Page(OUTCOME)])
async def test_a_question_that_the_api_does_not_like_bars_no_other(tmp_path: Path, server: Server, page: Page) -> None:
    async with pages(server) as served:
        client = Client(tmp_path, served)
        server.refusal = page
        with pytest.raises(DirectoryAway):
            await client.find("exemple")
        server.refusal = None
        assert (await client.find("exemple")).away == ()


async def test_somebody_who_waits_does_not_wait_for_ever(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.trust.directory.api._WITHIN", 0.2)
    server.refusal = Page(b"{}", wait=0.9)
    async with pages(server) as served:
        with pytest.raises(DirectoryAway) as raised:
            await Client(tmp_path, served).find("exemple")
    assert raised.value.code == "timeout"


async def test_the_last_role_of_one_that_left_is_remembered(tmp_path: Path, server: Server) -> None:
    server.by_kind = {"Practitioner": bundle(LEA)}
    async with pages(server) as served:
        client = Client(tmp_path, served)
        there = await client.api.at(MAIL.upper())
        assert there is not None
        assert there.gone_at is None
        server.by_kind = {}
        client.now += timedelta(days=2)
        gone = await client.api.at(MAIL)
        assert gone is not None
        assert (gone.name, gone.gone_at, gone.seen_at) == ("DR Léa EXEMPLE", NOW + timedelta(days=2), NOW)
        client.now += timedelta(days=2)
        again = await client.api.at(MAIL)
        assert again is not None
        assert again.gone_at == NOW + timedelta(days=2)
        assert await client.api.at("autre@medecin.mssante.fr") is None


async def test_a_key_that_cannot_be_read_is_told_and_harms_no_other_source(tmp_path: Path, server: Server) -> None:
    def no_key() -> str:
        raise Misconfigured("key.txt:1 - cannot be read")

    async with pages(server) as served:
        settings = DirectorySettings(api_url=served.url("/fhir/v2"), api_key_file=Path("x"))
        api = DirectoryApi(settings, FETCHING, tmp_path, Fetcher(FETCHING), no_key, lambda: NOW)
        found = await Together({"api": api}).find(Wanted(text="exemple"))
    assert found.away == (Away("api", "misconfigured"),)
    assert served.asked == []


# --- the pace


async def test_calls_keep_their_distance_over_all_tasks_and_processes(tmp_path: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    at = [1000.0]
    paces = [Pace(tmp_path / "pace", 10, lambda: at[0], sleep) for _ in range(3)]
    await asyncio.gather(*(paces[number % 3].turn() for number in range(12)))
    assert sorted(round(wait, 6) for wait in waits) == [round(number / 10, 6) for number in range(1, 12)]
    at[0] += 2.0
    waits.clear()
    await paces[0].turn()
    assert waits == []


async def test_a_pace_left_by_a_clock_that_jumped_or_by_a_broken_file_stops_nobody(tmp_path: Path) -> None:
    file = tmp_path / "pace"
    for left in (b"1e12", b"nan", b"inf", b"", b"\xff\xfe", b"x" * 5000):
        file.write_bytes(left)
        await asyncio.wait_for(Pace(file, 17).turn(), 2)
