"""The list of member domains, fetched and kept: the last good one stays in use whatever comes, and a new one is taken
by every process without a restart."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.alerts.members import of_members
from hub.cli.check import remarks_on_members
from hub.cli.commands import app
from hub.settings import Settings, default_config_dir
from hub.trust.members import Refresher, Tried
from hub.trust.members_kept import KeptMembers
from hub.wiring import members as wiring
from hub.wiring import rulebook as rules_wiring
from hub.wiring.members import LiveMembers, make_refresher
from hub.wiring.rulebook import LiveRulebook
from hub.worker import members as worker
from tests.edges.pages import Page, Request, pages
from tests.memberlists import GENERATED_AT, a_list, many, signed
from tests.pki import Authority
from tests.signers import AT, self_signed
from tests.signers import Authority as Signing

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAMES = ("cd12.mssante.fr", "ase.exemple.mssante.fr", "chu.mssante.fr", "labo.mssante.fr")
GOOD = a_list(*NAMES)
NEWER = a_list(*NAMES, "nouveau.mssante.fr", generated_at=GENERATED_AT + DAY)


def settings(folder: Path, url: str | None = None, **members: Any) -> Settings:
    quick = {"connect_timeout": "2s", "answer_within": "3s"}
    wanted = {"data_dir": folder, "members": {"url": url, **members}, "fetching": quick}
    return Settings.model_validate(wanted)


@dataclass
class Publisher:
    """What the server answers: a list as of now, or whatever a test says."""

    page: Page = field(default_factory=lambda: Page(GOOD, headers={"last-modified": "Sun, 14 Jun 2026 15:00:00 GMT"}))
    asked: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Page:
        self.asked.append(request)
        known = self.page.headers.get("last-modified")
        if known and request.headers.get("if-modified-since") == known:
            return Page(status=304)
        return self.page


async def refreshed(refresher: Refresher, at: datetime = AT, **how: bool) -> list[tuple[str, str, str]]:
    return [(one.source, one.outcome, one.code) for one in await refresher.refresh(at, **how)]


def alerts(chosen: Settings, at: datetime = AT) -> list[tuple[str, str]]:
    standing = KeptMembers(chosen.data_dir / "trust").standing()
    return [(alert.code, alert.subject) for alert in of_members(chosen, standing, at)]


# --- fetched


async def test_a_list_is_fetched_kept_and_confirmed_without_being_sent_again(tmp_path: Path) -> None:
    publisher = Publisher()
    async with pages(publisher) as served:
        chosen = settings(tmp_path, served.url("/liste.xml"))
        refresher = make_refresher(chosen)
        assert await refreshed(refresher) == [("url", "taken", "")]
        assert await refreshed(refresher, AT + HOUR) == []  # not due
        assert await refreshed(refresher, AT + 6 * HOUR) == [("url", "same", "")]
        assert await refreshed(refresher, AT + 7 * HOUR) == []
    assert len(publisher.asked) == 2
    in_use = KeptMembers(tmp_path / "trust").in_use()
    assert in_use is not None
    assert (in_use.at, in_use.generated_at) == (AT + 6 * HOUR, GENERATED_AT)
    assert (in_use.names, in_use.entries, in_use.certificates, in_use.seal) == (4, 4, 1, "absent")
    assert alerts(chosen, AT + 7 * HOUR) == []


async def test_what_changed_is_told(tmp_path: Path) -> None:
    publisher = Publisher()
    async with pages(publisher) as served:
        refresher = make_refresher(settings(tmp_path, served.url("/"), shrink_most=50))
        await refresher.refresh(AT)
        publisher.page = Page(a_list(*NAMES[:3], "nouveau.mssante.fr", generated_at=GENERATED_AT + DAY))
        (tried,) = await refresher.refresh(AT + DAY)
    assert tried == Tried(source="url", outcome="taken", added=("nouveau.mssante.fr",), removed=("labo.mssante.fr",))


BAD: dict[str, tuple[Page, str]] = {
    "an HTML page with 200": (Page(b"<html><body>Request unsuccessful. Incapsula</body></html>"), "not-a-list"),
    "nothing": (Page(b""), "not-xml"),
    "cut in the middle": (Page(NEWER[: len(NEWER) // 2]), "not-xml"),
    "older": (Page(a_list(*NAMES, generated_at=GENERATED_AT - DAY)), "older"),
    "shrunk": (Page(a_list(*NAMES[:3], generated_at=GENERATED_AT + DAY)), "shrunk"),
    "cut in half but whole as XML": (Page(a_list(*NAMES[:2], generated_at=GENERATED_AT + DAY, cut=True)), "shrunk"),
    "a wrong signature": (Page(signed(NEWER, self_signed())), "signature"),
    "from tomorrow's tomorrow": (Page(a_list(*NAMES, generated_at=AT + 3 * DAY)), "future"),
    "a DTD": (Page(a_list(*NAMES, before="<!DOCTYPE x>")), "doctype"),
}
AWAY: dict[str, tuple[Page, str]] = {
    "403": (Page(b"<html>", status=403), "http-403"),
    "503": (Page(status=503), "http-503"),
    "cut on the wire": (Page(NEWER, cut=100), "broken"),
    "slow": (Page(NEWER, wait=9), "timeout"),
}


@pytest.fixture(scope="module")
def signing() -> Signing:
    return Signing()


def authorities(signing: Signing, folder: Path) -> Path:
    file = folder / "ca.pem"
    file.write_bytes(signing.root_pem)
    return file


@pytest.mark.parametrize("how", [*BAD, *AWAY])
async def test_the_last_good_list_stays_whatever_comes(how: str, tmp_path: Path, signing: Signing) -> None:
    publisher = Publisher()
    async with pages(publisher) as served:
        chosen = settings(tmp_path, served.url("/"), ca_file=authorities(signing, tmp_path))
        refresher = make_refresher(chosen)
        await refresher.refresh(AT)
        publisher.page, code = (BAD | AWAY)[how]
        is_bad = how in BAD
        assert await refreshed(refresher, AT + DAY) == [("url", "refused" if is_bad else "unreachable", code)]
        assert await refreshed(refresher, AT + DAY) == []  # nobody asks again at once
        assert alerts(chosen, AT + DAY) == ([("members-bad", "url")] if is_bad else [])
        assert LiveMembers(chosen).current().has("ase@cd12.mssante.fr")
        assert not LiveMembers(chosen).current().has("ase@evil.mssante.fr")
        publisher.page = Page(NEWER)
        assert await refreshed(refresher, AT + 2 * DAY) == [("url", "taken", "")]
        assert alerts(chosen, AT + 2 * DAY) == []
    assert LiveMembers(chosen).current().has("x@nouveau.mssante.fr")


async def test_a_server_that_is_down_is_an_alert_once_the_list_is_old(tmp_path: Path) -> None:
    publisher = Publisher()
    async with pages(publisher) as served:
        chosen = settings(tmp_path, served.url("/"))
        await make_refresher(chosen).refresh(AT)
    assert await refreshed(make_refresher(chosen), AT + DAY) == [("url", "unreachable", "connect")]
    assert alerts(chosen, AT + 3 * DAY) == []
    assert alerts(chosen, AT + 3 * DAY + timedelta(seconds=1)) == [("members-stale", "")]


async def test_without_any_list_yet_no_domain_is_checked_and_an_alert_says_so(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "http://127.0.0.1:1/liste.xml")
    assert alerts(chosen) == []  # nobody has tried yet
    assert await refreshed(make_refresher(chosen)) == [("url", "unreachable", "connect")]
    assert alerts(chosen) == [("members-stale", "")]
    assert LiveMembers(chosen).current().standing("a@cd12.mssante.fr") == "unknown"


async def test_domains_of_the_site_do_not_lock_out_the_others_before_the_list_came(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "http://127.0.0.1:1/").model_copy(
        update={"deciding": Settings().deciding.model_copy(update={"member_domains": ("local.mssante.fr",)})}
    )
    assert LiveMembers(chosen).current().has("a@cd12.mssante.fr")
    async with pages(Publisher()) as served:
        listed = chosen.model_copy(update={"members": settings(tmp_path, served.url("/")).members})
        await make_refresher(listed).refresh(AT)
    members = LiveMembers(listed).current()
    assert (members.has("a@local.mssante.fr"), members.has("a@cd12.mssante.fr")) == (True, True)
    assert not members.has("a@evil.mssante.fr")


async def test_a_human_may_take_a_list_that_shrank(tmp_path: Path) -> None:
    publisher = Publisher()
    async with pages(publisher) as served:
        refresher = make_refresher(settings(tmp_path, served.url("/")))
        await refresher.refresh(AT)
        publisher.page = Page(a_list(*NAMES[:1], generated_at=GENERATED_AT + DAY))
        assert await refreshed(refresher, AT, now=True) == [("url", "refused", "shrunk")]
        assert await refreshed(refresher, AT, now=True, accept=True) == [("url", "taken", "")]
    assert set(KeptMembers(tmp_path / "trust").members()) == {NAMES[0]}


async def test_a_signed_list_is_taken_with_its_signer(tmp_path: Path, signing: Signing) -> None:
    holder = signing.signer(not_before=AT - DAY, not_after=AT + 9 * DAY)
    publisher = Publisher(Page(signed(GOOD, holder)))
    async with pages(publisher) as served:
        chosen = settings(
            tmp_path, served.url("/"), signature="required", signer="BAL*", ca_file=authorities(signing, tmp_path)
        )
        refresher = make_refresher(chosen)
        assert await refreshed(refresher) == [("url", "taken", "")]
        in_use = refresher.kept.in_use()
        assert in_use is not None
        assert (in_use.seal, in_use.signer) == ("verified", "BAL DU SECRETARIAT")
        publisher.page = Page(NEWER)
        assert await refreshed(refresher, AT + DAY) == [("url", "refused", "unsigned")]
        # a signature that is demanded from now on is looked for in a list that has not changed
        publisher.page = Page(GOOD)
        other = make_refresher(settings(tmp_path, served.url("/"), signature="off"))
        await other.refresh(AT + DAY, now=True, accept=True)
        assert await refreshed(refresher, AT + 2 * DAY) == [("url", "refused", "unsigned")]


async def test_https_is_believed_by_the_named_authorities_alone(tmp_path: Path, authority: Authority) -> None:
    leaf = authority.issue("liste", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    other = Authority(tmp_path / "other")
    async with pages(Publisher(), context) as served:
        for ca_file, said in ((other.ca_file, ("unreachable", "tls")), (None, ("unreachable", "tls"))):
            refresher = make_refresher(settings(tmp_path / "a", served.url("/"), ca_file=ca_file))
            assert await refreshed(refresher, now=True) == [("url", *said)]
        right = make_refresher(settings(tmp_path / "b", served.url("/"), ca_file=authority.ca_file))
        assert await refreshed(right) == [("url", "taken", "")]
        absent = make_refresher(settings(tmp_path / "c", served.url("/"), ca_file=tmp_path / "nowhere.pem"))
        assert await refreshed(absent) == [("url", "unreachable", "no-anchors")]


# --- a copy by hand


async def test_a_copy_by_hand_is_taken_once_and_the_newer_of_both_wins(tmp_path: Path) -> None:
    file = tmp_path / "liste.xml"
    publisher = Publisher(Page(GOOD))
    async with pages(publisher) as served:
        chosen = settings(tmp_path, served.url("/"), file=file)
        refresher = make_refresher(chosen)
        assert await refreshed(refresher) == [("file", "absent", ""), ("url", "taken", "")]
        file.write_bytes(NEWER)
        assert await refreshed(refresher, AT + HOUR) == [("file", "taken", ""), ("url", "refused", "older")]
        assert await refreshed(refresher, AT + HOUR) == []
        file.write_bytes(GOOD)
        assert ("file", "same", "") in await refreshed(refresher, AT + 2 * HOUR)  # older than the one in use: no fault
        assert LiveMembers(chosen).current().has("a@nouveau.mssante.fr")
        publisher.page = Page(NEWER)
        assert ("url", "taken", "") in await refreshed(refresher, AT + DAY)  # the same list, now from its publisher
        assert alerts(chosen, AT + DAY) == []


async def test_a_bad_copy_by_hand_is_told_until_it_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "liste.xml"
    chosen = settings(tmp_path, file=file)
    refresher = make_refresher(chosen)
    file.write_bytes(GOOD)
    assert await refreshed(refresher) == [("file", "taken", "")]
    for raw, code in ((NEWER[:-200], "not-xml"), (b"<html/>", "not-a-list")):
        file.write_bytes(raw)
        assert await refreshed(refresher, AT + HOUR) == [("file", "refused", code)]
        assert await refreshed(refresher, AT + 2 * HOUR) == []
        assert alerts(chosen, AT + HOUR) == [("members-bad", "file")]
    assert LiveMembers(chosen).current().has("a@cd12.mssante.fr")
    file.write_bytes(NEWER)
    assert await refreshed(refresher, AT + 3 * HOUR) == [("file", "taken", "")]
    assert alerts(chosen, AT + 3 * HOUR) == []


async def test_a_copy_by_hand_is_as_old_as_it_says(tmp_path: Path) -> None:
    file = tmp_path / "liste.xml"
    file.write_bytes(GOOD)
    chosen = settings(tmp_path, file=file)
    await make_refresher(chosen).refresh(AT + 9 * DAY)
    assert alerts(chosen, AT + 9 * DAY) == [("members-stale", "")]


def test_the_alerts_say_what_happened_and_what_to_do_and_name_no_mailbox(tmp_path: Path) -> None:
    file = tmp_path / "liste.xml"
    chosen = settings(tmp_path, file=file)
    file.write_bytes(GOOD)
    asyncio.run(make_refresher(chosen).refresh(AT))
    file.write_bytes(b"<html/>")
    asyncio.run(make_refresher(chosen).refresh(AT))
    (bad, stale) = of_members(chosen, KeptMembers(tmp_path / "trust").standing(), AT + 5 * DAY)
    assert "celle du 14/06/2026 à 16:54 reste en usage" in bad.text
    assert "À faire : vérifiez members.url et members.file" in bad.text
    assert "mettez une copie plus récente dans members.file" in stale.text
    assert not bad.is_urgent
    assert not stale.is_urgent
    assert "@" not in bad.text + stale.text


# --- taken into use


ROUTES = """\
rules:
  - name: copie
    when: {class: xdm}
    then: {file: true, copy: "ase@%s"}
  - name: sinon
    then: {hold: "Lisez ce message."}
"""


def site(folder: Path, url: str | None, rule_for: str = "cd12.mssante.fr", **members: Any) -> Settings:
    routes = folder / "routes.yaml"
    routes.write_text(ROUTES % rule_for)
    kinds = default_config_dir() / "document_types.yaml"
    return settings(folder, url, **members).model_copy(update={"routes_file": routes, "document_types_file": kinds})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (wiring, rules_wiring):
        monkeypatch.setattr(module, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(worker, "LOOK_EVERY", 0.05)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  (another process or thread makes it true)
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("quick")
async def test_a_running_rulebook_takes_a_new_list_that_the_service_fetched(tmp_path: Path) -> None:
    publisher, stop, clock = Publisher(), asyncio.Event(), [AT]
    async with pages(publisher) as served:
        chosen = site(tmp_path, served.url("/"))
        rules = LiveRulebook(chosen, LiveMembers(chosen))
        watching = asyncio.create_task(rules.watch(stop))
        fresh = asyncio.create_task(worker.keep_members_fresh(chosen, stop, lambda: clock[0]))
        try:
            await until(lambda: rules.current().policy.members.is_known)
            assert not rules.current().policy.members.has("a@nouveau.mssante.fr")
            publisher.page = Page(NEWER)
            clock[0] += DAY
            await until(lambda: rules.current().policy.members.has("a@nouveau.mssante.fr"))
            assert [one.route.name for one in rules.current().routes] == ["copie", "sinon"]
        finally:
            stop.set()
            watching.cancel()
            await fresh


@pytest.mark.usefixtures("quick")
async def test_another_process_that_fetches_is_seen(tmp_path: Path) -> None:
    async with pages(Publisher()) as served:
        chosen = site(tmp_path, None, file=tmp_path / "liste.xml")
        (tmp_path / "hub.yaml").write_text(f"members: {{url: {served.url('/')}}}\n")
        chosen = chosen.model_copy(update={"members": settings(tmp_path, served.url("/")).members})
        live, stop = LiveMembers(chosen), asyncio.Event()
        assert not live.current().is_known
        watching = asyncio.create_task(live.watch(stop))
        command = [sys.executable, "-m", "hub", "members", "refresh", "--site", str(tmp_path)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        assert "4 domaine(s) ajouté(s)" in done.stdout
        await until(lambda: live.current().has("a@cd12.mssante.fr") and live.current().is_known)
        watching.cancel()


async def test_two_processes_ask_the_publisher_once(tmp_path: Path) -> None:
    publisher = Publisher(Page(GOOD, wait=0.3))
    async with pages(publisher) as served:
        chosen = settings(tmp_path, served.url("/"))
        both = await asyncio.gather(*(refreshed(make_refresher(chosen)) for _ in range(4)))
    assert sorted(both) == [[], [], [], [("url", "taken", "")]]
    assert len(publisher.asked) == 1


@pytest.mark.usefixtures("quick")
async def test_a_list_that_drops_the_address_of_a_rule_is_taken_and_stops_no_hub(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publisher, stop = Publisher(), asyncio.Event()
    async with pages(publisher) as served:
        chosen = site(tmp_path, served.url("/"), shrink_most=100)
        await make_refresher(chosen).refresh(AT)
        rules = LiveRulebook(chosen, LiveMembers(chosen))
        watching = asyncio.create_task(rules.watch(stop))
        publisher.page = Page(a_list(*NAMES[1:], "cd12-aveyron.mssante.fr", generated_at=GENERATED_AT + DAY))
        await make_refresher(chosen).refresh(AT + DAY)
        await until(lambda: not rules.current().policy.members.has("ase@cd12.mssante.fr"))
        watching.cancel()
        assert "line 2, copie: cd12.mssante.fr is outside the trust space" in caplog.text
        LiveRulebook(chosen, LiveMembers(chosen))  # and a start goes on too
        # what the site writes itself is refused as before, with what is near
        (tmp_path / "routes.yaml").write_text(ROUTES % "cd12-aveiron.mssante.fr")
        assert not rules.reload()
        assert "nearest member domains: cd12-aveyron.mssante.fr" in caplog.text


@pytest.mark.parametrize("broken", [b"", b"{}\n<html/>", b'{}\n{"members": [["a"]], "operators": []}', b"{}\n[]"])
def test_a_kept_list_that_somebody_changed_is_told_and_the_former_stays(
    broken: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "liste.xml"
    file.write_bytes(GOOD)
    chosen = settings(tmp_path, file=file)
    asyncio.run(make_refresher(chosen).refresh(AT))
    live = LiveMembers(chosen)
    assert live.current().has("a@cd12.mssante.fr")
    kept = KeptMembers(tmp_path / "trust").list.path
    kept.write_bytes(broken)
    assert live.has_changed()
    live.take()
    assert live.current().has("a@cd12.mssante.fr")
    assert live.current().is_known
    assert "the kept list of member domains cannot be read" in caplog.text
    assert not LiveMembers(chosen).current().is_known
    assert asyncio.run(refreshed(make_refresher(chosen), now=True)) == [("file", "taken", "")]
    assert LiveMembers(chosen).current().is_known


async def test_ten_thousand_entries_hold_up_no_message(tmp_path: Path) -> None:
    """To take a large list, in a thread, and to ask it for each message. Seconds of the processor: the machine may be
    busy. `python -m bench.members` measures the same by the clock."""
    file = tmp_path / "liste.xml"
    file.write_bytes(GOOD)
    chosen = settings(tmp_path, file=file)
    await make_refresher(chosen).refresh(AT)
    live = LiveMembers(chosen)
    assert len(live.current().by_name) == len(NAMES)
    file.write_bytes(a_list(*many(10_000), generated_at=GENERATED_AT + DAY))
    await make_refresher(chosen).refresh(AT, now=True)
    began = time.process_time()
    assert await live.take_changed()
    assert len(live.current().by_name) > 6_000
    assert time.process_time() - began < 0.5  # measured: 0.02 to 0.08
    began = time.process_time()
    for _ in range(10_000):
        live.current().has("ase@departement.exemple.mssante.fr")
    assert time.process_time() - began < 0.5  # measured: 0.02


# --- commands


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_the_commands_show_find_refresh_and_check(tmp_path: Path) -> None:
    file = tmp_path / "liste.xml"
    (tmp_path / "hub.yaml").write_text("members: {file: liste.xml}\n")
    here = ("--site", str(tmp_path))
    assert run("members", "show", *here)[0] == 1
    file.write_bytes(a_list("cd12.mssante.fr", ("cd12.mssante.fr", "CN=x,O=AUTRE\\, GIE"), "chu-essai.mssante.fr"))
    code, said = run("members", "check", str(file), *here)
    assert (code, "3 entrées, 2 domaines, 2 certificats" in said, "n'est pas signée" in said) == (0, True, True)
    assert run("members", "show", *here)[0] == 1  # a check changes nothing
    code, said = run("members", "refresh", *here)
    assert (code, "2 domaine(s) ajouté(s), 0 retiré(s)" in said, "+ cd12.mssante.fr" in said) == (0, True, True)
    code, said = run("members", "show", *here)
    assert code == 0
    assert "14/06/2026 à 16:54" in said
    code, said = run("members", "find", "quelqu'un@CD12.mssante.fr", *here)
    assert (code, "OPÉRATEUR EXEMPLE, AUTRE, GIE" in said) == (0, True)
    code, said = run("members", "find", "cd12.oc.mssante.fr", *here)
    assert (code, "Y ressemblent : cd12.mssante.fr" in said) == (1, True)
    assert run("members", "find", "domaine chu-essai", *here)[0] == 0
    file.write_bytes(b"<html/>")
    code, said = run("members", "refresh", *here)
    assert (code, "ce n'est pas la liste blanche (not-a-list)" in said) == (1, True)
    assert run("members", "check", str(file), *here)[0] == 1
    assert "Dernier essai" in run("members", "show", *here)[1]


def test_a_mailbox_of_ours_outside_the_list_is_a_remark_of_the_check(tmp_path: Path) -> None:
    file = tmp_path / "liste.xml"
    file.write_bytes(a_list("mecs-exemple.mssante.fr", "cd12.mssante.fr"))
    endpoint = {"host": "localhost", "port": 993, "tls": "implicit"}
    operator = {"name": "op", "imap": endpoint, "smtp": endpoint, "ca_file": "ca.pem", "sasl": "none"}
    boxes = [
        {"name": "bonne", "address": "a@mecs-exemple.mssante.fr", "operator": "op"},
        {"name": "fausse", "address": "a@mecs-exemples.mssante.fr", "operator": "op"},
        {"name": "essai", "address": "a@ailleurs.example", "operator": "op", "test": True},
    ]
    chosen = Settings.model_validate(
        {
            "site": {"product_reference": "ESSAI1"},
            "operators": [operator],
            "mailboxes": boxes,
            "data_dir": tmp_path,
            "members": {"file": file},
        }
    )
    (absent,) = remarks_on_members(chosen, LiveMembers(chosen))
    assert "hub members refresh" in absent
    asyncio.run(make_refresher(chosen).refresh(datetime.now(UTC)))
    (remark,) = remarks_on_members(chosen, LiveMembers(chosen))
    assert "boîte fausse" in remark
    assert "Y ressemblent : mecs-exemple.mssante.fr" in remark
