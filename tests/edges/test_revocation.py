"""Whether a certificate was revoked, asked of a real HTTP server in the place of its authority: right, wrong, slow,
down, too often."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.errors import DiskFailed, Untrusted
from hub.settings import Fetching, Point, Trusting
from hub.trust.authorities import Authorities
from hub.trust.fetching import Fetcher
from hub.trust.revocation import LISTS, Policy, Revocation
from tests.edges.pages import Page, Pages, Request, pages
from tests.igc import DAY, Igc, Party, Status, now

PATIENT = Fetching(connect_timeout=timedelta(seconds=20), answer_within=timedelta(seconds=20))
QUICK = Fetching(connect_timeout=timedelta(seconds=2), answer_within=timedelta(seconds=1))  # for points that are slow
HOUR = timedelta(hours=1)
HTML = Page(b"<html>Request unsuccessful. Incapsula incident</html>", headers={"content-type": "text/html"})
DOWN = Page(status=503)
Answer = Callable[[bytes], bytes | Page]


@dataclass
class Publisher:
    """What the authority publishes now: its lists, by name, and what its responder says; None: nobody answers."""

    pages: Pages
    igc: Igc
    folder: Path
    lists: dict[str, bytes | Page] = field(default_factory=dict)
    responder: Answer | None = None
    fetching: Fetching = PATIENT

    def __post_init__(self) -> None:
        self.leaf = self.igc.leaf()
        self.lists = {"ORG": self.igc.crl(), "RACINE": self.igc.crl(issuer=self.igc.root)}
        self.pages.script = self.script

    def script(self, request: Request) -> Page:
        if request.path == "/ocsp":
            answer: bytes | Page = DOWN if self.responder is None else self.responder(request.body)
        else:
            answer = self.lists.get(request.path.removeprefix("/CRL/").removesuffix(".crl"), Page(status=404))
        return answer if isinstance(answer, Page) else Page(answer)

    def revocation(self, **more: Any) -> Revocation:
        """As a new process has it."""
        trusting = Trusting(points=(), **more)
        return Revocation(self.folder / "trust", Fetcher(self.fetching), trusting, self.fetching)

    @property
    def authorities(self) -> Authorities:
        both = (self.igc.organisations.der, self.igc.root.der)
        return Authorities(both[:1], both)

    async def check(self, leaf: Party | None = None, policy: Policy = "required", at: datetime | None = None) -> None:
        await self.revocation().check((leaf or self.leaf).der, self.authorities, policy, at or now())

    async def code(self, leaf: Party | None = None, policy: Policy = "required", at: datetime | None = None) -> str:
        """`""`: it was shown to be good."""
        try:
            await self.check(leaf, policy, at)
        except Untrusted as error:
            return error.code
        return ""

    def asked(self, what: str) -> int:
        return sum(what in request.path for request in self.pages.asked)

    def says(self, status: Status = "good", **more: Any) -> Answer:
        return lambda asked: self.igc.answer(asked, self.leaf, status, **more)


@asynccontextmanager
async def publishing(folder: Path) -> AsyncIterator[Publisher]:
    async with pages(lambda request: DOWN) as served:
        yield Publisher(served, Igc(f"http://127.0.0.1:{served.port}"), folder)


# --- lists


async def test_a_good_certificate_is_shown_by_two_lists_and_no_responder(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        assert await publisher.code() == ""
        assert (publisher.asked("ORG"), publisher.asked("RACINE"), publisher.asked("ocsp")) == (1, 1, 0)
        assert await publisher.code() == ""  # another process: from the disk
        assert len(publisher.pages.asked) == 2


async def test_a_revoked_leaf_is_refused(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = publisher.igc.crl(publisher.leaf)
        publisher.responder = publisher.says("good")  # which nobody asks any more
        assert await publisher.code() == "peer-revoked"
        assert publisher.asked("ocsp") == 0


async def test_a_revoked_intermediate_is_refused(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["RACINE"] = publisher.igc.crl(publisher.igc.organisations, issuer=publisher.igc.root)
        assert await publisher.code() == "peer-revoked"


@pytest.mark.parametrize(
    "page",
    [
        HTML,
        Page(HTML.body, status=403),
        DOWN,
        Page(b"", wait=3),
        Page(b"\x30" * 500, cut=100),
        Page(b"\x30" * 500, drip=0.1),
        Page(status=302, headers={"location": "/CRL/RACINE.crl"}),
    ],
    ids=["html", "403", "down", "slow", "cut", "drip", "elsewhere"],
)
async def test_without_list_and_responder_nothing_is_believed(tmp_path: Path, page: Page) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = page
        publisher.fetching = QUICK if page.wait or page.drip else PATIENT
        with pytest.raises(Untrusted) as refused:
            await publisher.check()
        assert refused.value.code == "peer-revocation-unknown"
        assert "/CRL/ORG.crl (" in refused.value.private  # which point, and why
        assert "révocation" in refused.value.public


@pytest.mark.parametrize("wrong", ["signer", "issuer", "ended", "early", "older"])
async def test_a_wrong_list_does_not_take_the_place_of_the_good_one(tmp_path: Path, wrong: str) -> None:
    async with publishing(tmp_path) as publisher:
        igc, at = publisher.igc, now() + 3 * HOUR
        assert await publisher.code() == ""
        publisher.lists["ORG"] = {
            "signer": igc.crl(key=igc.root.key),
            "issuer": igc.crl(issuer=igc.root),
            "ended": igc.crl(made=now() - 2 * DAY),
            "early": igc.crl(made=at + HOUR),
            "older": igc.crl(made=now() - 3 * HOUR),
        }[wrong]
        await publisher.revocation().refresh(publisher.leaf.der, publisher.authorities, at)
        assert publisher.asked("ORG") == 2
        assert await publisher.code(at=at) == ""
        assert await publisher.code(at=now() + DAY) == "peer-revocation-unknown"  # the kept one has ended


async def test_the_last_list_serves_until_its_end_when_the_point_is_down(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        assert await publisher.code() == ""
        publisher.lists = {"ORG": DOWN, "RACINE": DOWN}
        assert await publisher.code(at=now() + 22 * HOUR) == ""
        assert await publisher.code(at=now() + 23 * HOUR) == "peer-revocation-unknown"


async def test_a_certificate_revoked_meanwhile_is_refused_after_the_next_fetch(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        revocation, later = publisher.revocation(), now() + 3 * HOUR
        await revocation.check(publisher.leaf.der, publisher.authorities, "required", now())
        publisher.lists["ORG"] = publisher.igc.crl(publisher.leaf, made=now())
        # Nobody waits for the list: what is kept counts, and the new one is fetched behind.
        await revocation.check(publisher.leaf.der, publisher.authorities, "required", later)
        async with asyncio.timeout(5):
            while publisher.asked("ORG") < 2 or revocation._asking:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        with pytest.raises(Untrusted, match="revoked"):
            await revocation.check(publisher.leaf.der, publisher.authorities, "required", later)
        assert await publisher.code(at=later) == "peer-revoked"  # and in every other process


async def test_a_list_at_another_point_serves_too(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        url = f"{publisher.igc.points}/CRL/SECOURS.crl"
        publisher.lists |= {"ORG": DOWN, "SECOURS": publisher.igc.crl()}
        revocation = publisher.revocation()
        revocation._trusting = Trusting(points=(Point(authority="AC ELEMENTAIRE ORGANISATIONS ESSAI", crl=url),))
        await revocation.check(publisher.leaf.der, publisher.authorities, "required", now())
        unnamed = publisher.igc.leaf("unnamed", has_points=False)
        await revocation.check(unnamed.der, publisher.authorities, "required", now())
        assert publisher.asked("SECOURS") == 1


# --- responders


@pytest.mark.parametrize(
    ("status", "code"), [("good", ""), ("revoked", "peer-revoked"), ("unknown", "peer-revocation-unknown")]
)
async def test_without_list_the_responder_is_asked(tmp_path: Path, status: Status, code: str) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = DOWN
        publisher.responder = publisher.says(status)
        assert await publisher.code() == code
        asked = publisher.asked("ocsp")
        assert await publisher.code() == code  # from the disk, while its answer is young
        assert publisher.asked("ocsp") == asked == 1


async def test_an_ended_list_and_a_responder(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = publisher.igc.crl(made=now() - 2 * DAY)
        assert await publisher.code() == "peer-revocation-unknown"
        publisher.responder = publisher.says("good", signer=publisher.igc.responder())
        assert await publisher.code(at=now() + timedelta(minutes=2)) == ""


@pytest.mark.parametrize("wrong", ["signer", "nonce", "other", "ended", "html", "slow"])
async def test_a_wrong_answer_is_none(tmp_path: Path, wrong: str) -> None:
    async with publishing(tmp_path) as publisher:
        igc = publisher.igc
        publisher.lists["ORG"] = DOWN
        answers: dict[str, Answer] = {
            "signer": publisher.says("good", signer=igc.responder(may=False)),
            "nonce": publisher.says("good", nonce=b"somebody else's."),
            "other": lambda asked: igc.answer(asked, igc.leaf("other")),
            "ended": publisher.says("good", made=now() - 2 * DAY),
            "html": lambda asked: HTML,
            "slow": lambda asked: Page(b"", wait=3),
        }
        publisher.responder = answers[wrong]
        publisher.fetching = QUICK if wrong == "slow" else PATIENT
        with pytest.raises(Untrusted) as refused:
            await publisher.check()
        assert refused.value.code == "peer-revocation-unknown"
        assert "/ocsp (" in refused.value.private


# --- what is asked of whom


async def test_policies(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists = {}
        unnamed = publisher.igc.leaf("unnamed", has_points=False)
        assert await publisher.code(policy="off") == ""
        assert await publisher.code(policy="published") == "peer-revocation-unknown"
        assert await publisher.code(unnamed, "required") == "peer-revocation-unknown"
        # Nothing to ask for the leaf, but for the authority above it.
        assert await publisher.code(unnamed, "published") == "peer-revocation-unknown"
        publisher.lists = {"RACINE": publisher.igc.crl(issuer=publisher.igc.root)}
        assert await publisher.code(unnamed, "published", now() + timedelta(minutes=5)) == ""


async def test_who_is_not_below_the_authorities_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        igc, at = publisher.igc, now()
        elsewhere = Igc(igc.points, branch="AUTRE")
        codes = {
            await publisher.code(elsewhere.leaf()): "another authority",
            await publisher.code(igc.leaf("old", days=(-60, -1))): "expired",
            await publisher.code(igc.leaf("new", days=(1, 60))): "not yet",
            await publisher.code(igc.leaf("root's own", issuer=igc.root)): "of the root itself",
            await publisher.code(igc.leaf("leaf's own", issuer=publisher.leaf)): "below a leaf",
        }
        assert codes == {
            "peer-unknown-authority": "below a leaf",
            "peer-expired": "expired",
            "peer-not-yet-valid": "not yet",
            "peer-wrong-authority": "of the root itself",
        }
        assert publisher.pages.asked == []
        root_only = Authorities((igc.root.der,), (igc.root.der,))
        with pytest.raises(Untrusted, match="no known authority") as refused:
            await publisher.revocation().check(publisher.leaf.der, root_only, "required", at)
        assert "ajoutez son certificat, intermédiaires compris, à ca_file" in refused.value.public


async def test_an_intermediate_alone_is_an_anchor_that_nobody_is_asked_about(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        alone = Authorities((publisher.igc.organisations.der,), (publisher.igc.organisations.der,))
        await publisher.revocation().check(publisher.leaf.der, alone, "required", now())
        assert (publisher.asked("ORG"), publisher.asked("RACINE")) == (1, 0)


# --- how often


async def test_many_tasks_fetch_a_list_once(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = Page(publisher.igc.crl(), wait=0.3)
        one, other = publisher.revocation(), publisher.revocation()
        await asyncio.gather(
            *(
                revocation.check(publisher.leaf.der, publisher.authorities, "required", now())
                for revocation in (one, other)
                for _ in range(20)
            )
        )
        assert (publisher.asked("ORG"), publisher.asked("RACINE")) == (1, 1)


def _check_in_a_process(folder: Path, leaf: bytes, known: tuple[bytes, ...]) -> str:
    """Empty when it was shown to be good."""
    revocation = Revocation(folder, Fetcher(PATIENT), Trusting(points=()), PATIENT)
    try:
        asyncio.run(revocation.check(leaf, Authorities(known[:1], known), "required", now()))
    except Untrusted as error:
        return error.private
    return ""


async def test_several_processes_fetch_a_list_once(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = Page(publisher.igc.crl(), wait=0.5)
        told = (tmp_path / "trust", publisher.leaf.der, publisher.authorities.known)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            results = [pool.apply_async(_check_in_a_process, told) for _ in range(2)]
            found = [await asyncio.to_thread(result.get, 60) for result in results]
        assert found == ["", ""]
        assert (publisher.asked("ORG"), publisher.asked("RACINE")) == (1, 1)


async def test_a_point_that_is_down_is_left_alone_for_a_wait_that_doubles(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = HTML
        start, minute = now(), timedelta(minutes=1)
        for after, asked in ((0, 1), (0.5, 1), (1.1, 2), (2.5, 2), (3.2, 3), (6, 3), (7.3, 4)):
            assert await publisher.code(at=start + after * minute) == "peer-revocation-unknown"
            assert (after, publisher.asked("ORG"), publisher.asked("ocsp")) == (after, asked, asked)
        publisher.lists["ORG"] = publisher.igc.crl()
        assert await publisher.code(at=start + 16 * minute) == ""


async def test_who_is_cut_short_leaves_the_question_to_the_next(tmp_path: Path) -> None:
    """A connection has deadlines of its own; the list that it waited for is there at its next try."""
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = Page(publisher.igc.crl(), wait=0.4)
        revocation = publisher.revocation()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await revocation.check(publisher.leaf.der, publisher.authorities, "required", now())
        await revocation.check(publisher.leaf.der, publisher.authorities, "required", now())
        assert publisher.asked("ORG") == 1


async def test_what_lies_on_the_disk_is_judged_again(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        assert await publisher.code() == ""
        (kept,) = (path for path in (tmp_path / "trust" / LISTS).glob("ORG.crl-*") if path.suffix != ".lock")
        for wrong in (b"", HTML.body, publisher.igc.crl(key=publisher.igc.root.key)):
            kept.write_bytes(wrong)
            assert await publisher.code() == ""
        assert publisher.asked("ORG") == 4  # fetched anew each time


async def test_a_disk_that_takes_nothing_is_no_revocation(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        (tmp_path / "trust").write_bytes(b"a file where the folder should be")
        with pytest.raises(DiskFailed):
            await publisher.check()


async def test_a_large_list_is_looked_up_fast(tmp_path: Path) -> None:
    """IGC-Santé's have some tens of thousands of entries; a connection must not wait for them."""
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = publisher.igc.large_crl(50_000)
        revocation, loop = publisher.revocation(), asyncio.get_running_loop()
        await revocation.check(publisher.leaf.der, publisher.authorities, "required", now())
        began = loop.time()
        for _ in range(20):
            await revocation.check(publisher.leaf.der, publisher.authorities, "required", now())
        assert (loop.time() - began) / 20 < 0.2  # 5 ms on a quiet machine
