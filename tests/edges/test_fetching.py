"""What the hub fetches by HTTP: one deadline for all, a limit in bytes, a short code for whatever goes wrong."""

from __future__ import annotations

import errno
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.settings import Fetching
from hub.trust.fetching import Fetcher, FetchFailed
from hub.trust.kept import Kept
from tests.edges.pages import Page, pages
from tests.pki import Authority

QUICK = Fetching(connect_timeout=timedelta(seconds=2), answer_within=timedelta(seconds=1))
AT = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)


async def _code(page: Page, path: str = "/a", most: int = 1000) -> str:
    async with pages(lambda request: page) as served:
        with pytest.raises(FetchFailed) as raised:
            await Fetcher(QUICK).get(served.url(path), most=most)
    return raised.value.code


async def test_a_body_comes_whole_and_a_post_says_its_type() -> None:
    async with pages(lambda request: Page(request.method.encode() + request.body, headers={"X-One": "1"})) as served:
        answer = await Fetcher(QUICK).get(served.url("/a?b=c"), most=10)
        posted = await Fetcher(QUICK).post(served.url("/"), b"body", "application/ocsp-request", most=10)
        assert (await Fetcher(QUICK).head(served.url("/"))).headers["x-one"] == "1"
    assert (answer.raw, answer.headers["x-one"], posted.raw) == (b"GET", "1", b"POSTbody")
    assert served.asked[0].path == "/a?b=c"
    assert served.asked[1].headers["content-type"] == "application/ocsp-request"


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Page(status=403, body=b"<html>"), "http-403"),
        (Page(status=302, headers={"location": "http://127.0.0.1:1/"}), "http-302"),
        (Page(b"x" * 1001), "too-large"),
        (Page(b"x" * 10, cut=5), "broken"),
        (Page(b"x", wait=3), "timeout"),
        (Page(b"x" * 100, drip=0.1), "timeout"),
    ],
)
async def test_what_goes_wrong_has_a_code(page: Page, code: str) -> None:
    assert await _code(page) == code


async def test_nobody_there_and_what_is_no_url() -> None:
    for url, code in (("http://127.0.0.1:1/", "connect"), ("file:///etc/passwd", "url"), ("https://127.0.0.1/", "url")):
        with pytest.raises(FetchFailed) as raised:
            await Fetcher(QUICK).get(url, most=10)
        assert raised.value.code == code


async def test_https_is_believed_by_the_given_authority_alone(authority: Authority, tmp_path: Path) -> None:
    leaf = authority.issue("pages", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    async with pages(lambda request: Page(b"ok"), context) as served:
        assert (await Fetcher(QUICK, authority.client_context()).get(served.url("/"), most=10)).raw == b"ok"
        other = Authority(tmp_path / "other").client_context()
        with pytest.raises(FetchFailed) as raised:
            await Fetcher(QUICK, other).get(served.url("/"), most=10)
    assert raised.value.code == "tls"


async def test_a_download_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    async with pages(lambda request: Page(b"x" * 200_000, cut=None if request.path == "/whole" else 99_000)) as served:
        await Fetcher(QUICK).download(served.url("/whole"), tmp_path / "whole", most=300_000, within=5)
        for path, most in (("/cut", 300_000), ("/whole", 1000)):
            with pytest.raises(FetchFailed):
                await Fetcher(QUICK).download(served.url(path), tmp_path / "none", most=most, within=5)
    assert (tmp_path / "whole").stat().st_size == 200_000
    assert not (tmp_path / "none").exists()


def test_the_last_good_copy_stays_and_trouble_doubles_the_wait(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "trust", "list.xml")
    assert (kept.read(), kept.stamp()) == (None, None)
    kept.replace(b"one", AT)
    first = kept.stamp()
    assert kept.read() == kept.read()
    waits = []
    for number in range(1, 12):
        trouble = kept.failed("http-403", AT, QUICK)
        assert (trouble.failures, trouble.since) == (number, AT)
        assert trouble.until is not None
        waits.append(trouble.until - AT)
    assert waits[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert waits[-1] == QUICK.backoff_most
    assert not kept.may_try(AT + timedelta(minutes=119), QUICK)
    assert kept.may_try(AT + timedelta(hours=2), QUICK)
    assert kept.may_try(AT - timedelta(days=365), QUICK)  # the clock was put back: that wait is none of ours
    copy = kept.read()
    assert copy is not None
    assert (copy.raw, copy.fetched_at, kept.stamp()) == (b"one", AT, first)
    kept.replace(b"two", AT + timedelta(hours=1))
    assert kept.trouble().failures == 0
    assert kept.stamp() != first


def test_a_full_disk_leaves_the_copy_as_it_is_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path / "trust", "list.xml")
    kept.replace(b"one", AT)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                kept.replace(b"two", AT)
            with pytest.raises(OSError, match="No space"):
                kept.failed("timeout", AT, QUICK)
    copy = kept.read()
    assert copy is not None
    assert copy.raw == b"one"
    assert [one.name for one in (tmp_path / "trust").iterdir()] == ["list.xml"]


async def test_one_at_a_time_fetches(tmp_path: Path) -> None:
    import asyncio

    kept, inside, most = Kept(tmp_path, "one"), 0, 0

    async def fetch() -> None:
        nonlocal inside, most
        async with Kept(tmp_path, "one").alone():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.02)
            inside -= 1

    await asyncio.gather(*(fetch() for _ in range(4)))
    assert (most, kept.read()) == (1, None)
