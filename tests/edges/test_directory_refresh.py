"""The directory is kept fresh politely: HEAD first, once a day, waiting when asked to; the last good copy always
serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.directory import Wanted
from hub.settings import DirectorySettings
from hub.settings import Fetching as FetchingSettings
from hub.trust.directory import ExtractionIndex, Refresher, Standings
from hub.trust.fetching import Fetcher
from tests.directories import HEADER, NOW, organisation, person, text_of, zip_of
from tests.edges.pages import Page, Pages, Request, pages

MANY = tuple(organisation(f"boite{number}@x.mssante.fr") for number in range(50))
DAY = timedelta(days=1)
QUICK = FetchingSettings(answer_within=timedelta(seconds=2))


def stamped(day: int) -> str:
    return f"Extraction_Correspondance_MSSante_202611{day:02d}0600"


class Publisher:
    """Publishes one extraction after another, as the real one does: its name stands in Content-Disposition."""

    def __init__(self) -> None:
        self.day = 25
        self.lines: tuple[str, ...] = MANY
        self.header = HEADER
        self.refusal: Page | None = None
        self.is_named = True

    def __call__(self, request: Request) -> Page:
        if self.refusal is not None:
            return self.refusal
        headers = {"content-disposition": f'attachment; filename="{stamped(self.day)}.zip"'} if self.is_named else {}
        text = text_of(*self.lines, header=self.header)
        return Page(zip_of(text, f"{stamped(self.day)}.txt"), headers=headers)


class Site:
    """A refresher of a folder, its clock in the test's hands."""

    def __init__(self, folder: Path, served: Pages, **settings: Any) -> None:
        self.now = NOW
        self.folder = folder
        self.served = served
        section = DirectorySettings(**({"extraction_url": served.url("/extraction")} | settings))
        self.refresher = Refresher(section, QUICK, folder, Fetcher(QUICK), self.clock)
        self.standings = Standings(section, folder)

    def clock(self) -> datetime:
        return self.now

    async def refresh(self, **more: Any) -> tuple[str, str]:
        outcome = await self.refresher.refresh(**more)
        return outcome.what, outcome.code

    def asked(self) -> list[str]:
        methods = [request.method for request in self.served.asked]
        self.served.asked.clear()
        return methods

    def drafts(self) -> list[Path]:
        return list(self.folder.glob("*.new"))

    def count(self) -> int:
        account = self.standings.account()
        return -1 if account is None else account.entries


Story = Callable[[Site, Publisher], Awaitable[None]]


async def told(folder: Path, story: Story, **settings: Any) -> None:
    publisher = Publisher()
    async with pages(publisher) as served:
        await story(Site(folder, served, **settings), publisher)


async def test_what_is_published_is_taken_once_and_looked_at_daily(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        assert site.refresher.is_due()
        assert await site.refresh() == ("taken", "")
        assert (site.asked(), site.count()) == (["HEAD", "GET"], 50)
        site.now += DAY - timedelta(seconds=1)
        assert not site.refresher.is_due()
        assert (await site.refresh(), site.asked()) == (("not-due", ""), [])
        site.now += timedelta(seconds=1)
        assert site.refresher.is_due()
        assert (await site.refresh(), site.asked()) == (("unchanged", ""), ["HEAD"])
        assert not site.refresher.is_due()
        publisher.day, publisher.lines = 26, (*MANY, person())
        site.now += DAY
        assert (await site.refresh(), site.asked()) == (("taken", ""), ["HEAD", "GET"])
        assert site.count() == 51
        assert site.drafts() == []

    await told(tmp_path, story)


async def test_by_hand_it_is_looked_at_at_once_and_not_downloaded_twice(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        await site.refresh()
        site.asked()
        assert (await site.refresh(by_hand=True), site.asked()) == (("unchanged", ""), ["HEAD"])

    await told(tmp_path, story)


async def test_a_publisher_that_names_nothing_is_asked_for_a_whole_file_daily(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        publisher.is_named = False
        await site.refresh()
        site.now += DAY
        assert await site.refresh() == ("taken", "")
        assert site.asked() == ["HEAD", "GET"] * 2

    await told(tmp_path, story)


@pytest.mark.parametrize(("status", "waits_by_hand"), [(429, True), (403, True), (503, False)])
async def test_a_refusal_is_waited_out_longer_each_time(tmp_path: Path, status: int, waits_by_hand: bool) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        await site.refresh()
        site.asked()
        site.now += DAY
        publisher.refusal = Page(status=status)
        code = f"http-{status}"
        for minutes in (1, 2, 4):
            assert (await site.refresh(), site.asked()) == (("failed", code), ["HEAD"])
            assert not site.refresher.is_due()
            assert (await site.refresh(), site.asked()) == (("waits", code), [])
            by_hand = await site.refresh(by_hand=True) if minutes == 4 else None
            assert by_hand in (None, ("waits" if waits_by_hand else "failed", code))
            site.asked()
            site.now += timedelta(minutes=minutes)
        assert site.count() == 50
        publisher.refusal = None
        site.now += timedelta(hours=2)
        assert await site.refresh() == ("unchanged", "")
        assert site.standings.now().trouble.failures == 0

    await told(tmp_path, story)


async def test_retry_after_is_respected(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        publisher.refusal = Page(status=429, headers={"retry-after": "1800"})
        await site.refresh()
        site.now += timedelta(minutes=29)
        assert not site.refresher.is_due()
        site.now += timedelta(minutes=1)
        assert site.refresher.is_due()

    await told(tmp_path, story)


@pytest.mark.parametrize("harm", ["cut", "shrunk", "header", "html", "large"])
async def test_a_bad_extraction_leaves_the_last_good_one_and_is_not_fetched_again(tmp_path: Path, harm: str) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        await site.refresh()
        site.asked()
        publisher.day, site.now = 26, site.now + DAY
        good = publisher(Request("GET", "/", {}))
        headers = {"content-disposition": f"attachment; filename={stamped(26)}.zip"}
        if harm == "cut":
            publisher.refusal = Page(good.body[:-40], headers=headers)
        elif harm == "html":
            publisher.refusal = Page(b"<html>occup\xe9</html>", headers=headers)
        elif harm == "large":
            publisher.refusal = Page(zip_of(text_of(*MANY) + b"x" * 3_000_000), headers=headers)
        elif harm == "shrunk":
            publisher.lines = MANY[:20]
        else:
            publisher.header = "Type|Adresse"
        what, code = await site.refresh()
        assert (what, code[:4], site.asked()) == ("failed", "bad-", ["HEAD", "GET"])
        assert site.count() == 50
        assert site.standings.now().trouble.code == code
        for _ in range(3):
            site.now += timedelta(hours=2)
            assert (await site.refresh(), site.asked()) == (("failed", code), ["HEAD"])
        publisher.refusal, publisher.lines, publisher.header, publisher.day = None, MANY, HEADER, 27
        site.now += DAY
        assert await site.refresh() == ("taken", "")
        assert site.standings.now().trouble.code == ""

    await told(tmp_path, story, unpacked_most=2_000_000)


async def test_a_bad_one_and_the_next_on_the_same_day_are_one_download_a_day(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        await site.refresh()
        publisher.day, publisher.lines, site.now = 26, MANY[:9], site.now + DAY
        await site.refresh()
        site.asked()
        publisher.day, publisher.lines, site.now = 27, MANY, site.now + timedelta(hours=3)
        assert (await site.refresh(), site.asked()) == (("failed", "bad-shrunk"), ["HEAD"])
        assert not site.refresher.is_due()
        site.now += DAY
        assert await site.refresh() == ("taken", "")

    await told(tmp_path, story)


async def test_a_smaller_one_is_taken_when_somebody_says_that_it_is_right(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        await site.refresh()
        publisher.day, publisher.lines, site.now = 26, MANY[:9], site.now + DAY
        assert await site.refresh() == ("failed", "bad-shrunk")
        assert await site.refresh(by_hand=True, accepts_smaller=True) == ("taken", "")
        assert site.count() == 9

    await told(tmp_path, story)


async def test_a_download_that_is_cut_leaves_nothing_behind(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        publisher.refusal = Page(b"x" * 1000, cut=10)
        assert await site.refresh() == ("failed", "broken")
        assert site.drafts() == []
        assert site.count() == -1

    await told(tmp_path, story)


async def test_what_a_crash_left_is_cleared_away(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        await site.refresh()
        (tmp_path / "directory.db.deadbeef.new").write_bytes(b"half")
        await site.refresh()
        assert site.drafts() == []
        assert site.count() == 50

    await told(tmp_path, story)


async def test_a_database_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        await site.refresh()
        (tmp_path / "directory.db").write_bytes(b"no database " * 1000)
        assert site.refresher.is_due()
        assert await site.refresh() == ("taken", "")
        assert site.count() == 50

    await told(tmp_path, story)


async def test_several_processes_fetch_it_once(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        others = [Site(tmp_path, site.served) for _ in range(3)]
        outcomes = await asyncio.gather(*(one.refresh() for one in (site, *others)))
        assert sorted(outcomes) == [("not-due", "")] * 3 + [("taken", "")]
        assert site.asked() == ["HEAD", "GET"]

    await told(tmp_path, story)


async def test_a_clock_that_was_ahead_does_not_stop_it(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        site.now += timedelta(days=365)
        await site.refresh()
        site.now = NOW
        assert site.refresher.is_due()

    await told(tmp_path, story)


# --- a file that somebody puts there


async def test_a_file_is_taken_up_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "annuaire.zip"

    async def story(site: Site, publisher: Publisher) -> None:
        assert site.refresher.is_due()
        assert await site.refresh() == ("failed", "no-file")
        assert not site.refresher.is_due()
        file.write_bytes(zip_of(text_of(*MANY)))
        assert site.refresher.is_due()
        assert await site.refresh() == ("taken", "")
        assert not site.refresher.is_due()
        assert await site.refresh() == ("unchanged", "")
        file.write_bytes(b"PK\x03\x04 abime")
        assert site.refresher.is_due()
        assert await site.refresh() == ("failed", "bad-zip")
        assert not site.refresher.is_due()
        assert await site.refresh() == ("waits", "bad-zip")
        assert (site.count(), site.asked()) == (50, [])
        assert file.exists()

    await told(tmp_path / "trust", story, extraction_url=None, extraction_file=file)


async def test_nothing_set_is_nothing_done_and_a_file_by_hand_is_taken(tmp_path: Path) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        assert not site.refresher.is_due()
        assert await site.refresh() == ("off", "")
        (tmp_path / "a.txt").write_bytes(text_of(person()))
        assert await site.refresh(file=tmp_path / "a.txt", by_hand=True) == ("taken", "")
        found = await ExtractionIndex(site.folder).find(Wanted(text="exemple"))
        assert len(found.entries) == 1

    await told(tmp_path / "trust", story, extraction_url=None)


async def test_a_disk_that_is_full_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(site: Site, publisher: Publisher) -> None:
        await site.refresh()
        publisher.day, site.now = 26, site.now + DAY

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("hub.trust.directory.refresh.build", full)
        assert await site.refresh() == ("failed", "disk-enospc")
        assert site.count() == 50

    await told(tmp_path, story)
