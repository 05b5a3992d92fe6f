"""Operators found by DNS: a real resolver's answers, and all that a DNS can do wrong (RH-10, EX_LPS_0300)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.rcode
import pytest

from hub.settings import Dns
from hub.trust.discovery import Discovery, first_reached
from hub.trust.srv import NotFound, Record, Wanted, in_order, srv_name, usable
from tests.edges.dns_server import Names, Said, running_names, srv
from tests.edges.ports import free_port

DOMAIN = "asso.mssante.example"
IMAP = f"_imap._tcp.{DOMAIN}"
PSC, CERTIFICATE = "10 100 143 psc.operateur.example.", "20 100 143 authcli.operateur.example."
BOTH = srv(IMAP, PSC, CERTIFICATE)
FRONT = Record(20, 100, 143, "authcli.operateur.example")
WANTED = Wanted()


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def later(self, **span: float) -> None:
        self.at += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    async with running_names(lambda name: BOTH) as running:
        yield running


def discovery(names: Names, folder: Path, clock: Clock, seconds: float = 2.0) -> Discovery:
    dns = Dns(servers=(names.address,), answer_within=timedelta(seconds=seconds))
    return Discovery(dns, folder, clock, random=lambda: 0.0)


async def refused(names: Names, tmp_path: Path, said: Said, wanted: Wanted = WANTED, seconds: float = 2.0) -> NotFound:
    names.script = lambda name: said
    with pytest.raises(NotFound) as caught:
        await discovery(names, tmp_path, Clock(), seconds).find(DOMAIN, "imap", wanted)
    return caught.value


# --- what an answer gives


async def test_the_front_end_of_certificates_is_taken_not_the_first_one(
    names: Names, tmp_path: Path, clock: Clock
) -> None:
    endpoint = await discovery(names, tmp_path, clock).endpoint(DOMAIN, "imap", WANTED)
    assert (endpoint.host, endpoint.port, endpoint.tls) == ("authcli.operateur.example", 143, "starttls")
    assert endpoint.server_name is None
    assert names.asked == [IMAP]


async def test_submission_is_asked_by_its_own_name_and_the_name_of_the_certificate_may_be_set(
    names: Names, tmp_path: Path, clock: Clock
) -> None:
    names.script = lambda name: srv(name, "20 100 587 smtp.operateur.example.")
    found = await discovery(names, tmp_path, clock).endpoint(DOMAIN, "submission", WANTED, "front.operateur.example")
    assert (found.host, found.port, found.server_name) == ("smtp.operateur.example", 587, "front.operateur.example")
    assert names.asked == [f"_submission._tcp.{DOMAIN}"]


async def test_capitals_and_final_dots_change_nothing(names: Names, tmp_path: Path, clock: Clock) -> None:
    names.script = lambda name: srv(IMAP.upper(), "20 100 143 AuthCli.Operateur.EXAMPLE.")
    found = await discovery(names, tmp_path, clock).find(f"{DOMAIN.upper()}.", "imap", WANTED)
    assert found.records == (FRONT,)
    assert names.asked == [IMAP]


async def test_an_answer_over_an_alias_is_taken_with_the_shortest_time_of_the_chain(
    names: Names, tmp_path: Path, clock: Clock
) -> None:
    alias = f"{IMAP}. 600 CNAME _imap._tcp.operateur.example."
    names.script = lambda name: Said((alias, f"_imap._tcp.operateur.example. 86000 SRV {CERTIFICATE}"))
    looks = discovery(names, tmp_path, clock)
    assert (await looks.find(DOMAIN, "imap", WANTED)).records == (FRONT,)
    assert (await looks.ask(DOMAIN, "imap")).seconds == 600


async def test_an_answer_that_is_cut_short_is_asked_for_again_over_tcp(
    names: Names, tmp_path: Path, clock: Clock
) -> None:
    many = [f"20 {n} 143 front-{n}.operateur.example." for n in range(40)]
    whole = srv(IMAP, *many)
    names.script = lambda name: Said(whole.records, is_cut=True)
    assert len((await discovery(names, tmp_path, clock).find(DOMAIN, "imap", WANTED)).records) == 40


async def test_another_priority_can_be_set(names: Names, tmp_path: Path, clock: Clock) -> None:
    found = await discovery(names, tmp_path, clock).find(DOMAIN, "imap", Wanted(priority=10))
    assert [record.target for record in found.records] == ["psc.operateur.example"]


# --- what cannot be used


async def test_without_the_priority_of_certificates_the_refusal_lists_what_is_there(
    names: Names, tmp_path: Path
) -> None:
    error = await refused(names, tmp_path, srv(IMAP, PSC, "30 5 143 autre.operateur.example."))
    assert error.code == "dns-no-priority"
    assert "10 100 143 psc.operateur.example, 30 5 143 autre.operateur.example" in error.private


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (Said(rcode=dns.rcode.NXDOMAIN), "dns-nxdomain"),
        (Said(), "dns-no-answer"),
        (Said(rcode=dns.rcode.SERVFAIL), "dns-failed"),
        (Said(rcode=dns.rcode.REFUSED), "dns-failed"),
        (Said(garbage=b"\x81\x80\x00\x01"), "dns-timeout"),  # may be forged: the right one is waited for
        (Said(garbage=b"\x81\x80" + b"\xc0\x0c" * 30), "dns-timeout"),
        (srv(IMAP, "20 0 0 ."), "dns-not-offered"),
        (srv(IMAP, "20 0 0 .", PSC), "dns-no-priority"),
        (srv(IMAP, "20 0 0 authcli.operateur.example."), "dns-garbage"),
        (srv(IMAP, "20 0 143 192.0.2.7."), "dns-garbage"),
        (srv(IMAP, r"20 0 143 un\032nom.operateur.example."), "dns-garbage"),
    ],
)
async def test_what_cannot_be_used_is_named(names: Names, tmp_path: Path, said: Said, code: str) -> None:
    assert (await refused(names, tmp_path, said)).code == code


async def test_a_dns_that_is_silent_costs_the_time_that_is_set_no_more(names: Names, tmp_path: Path) -> None:
    began = asyncio.get_running_loop().time()
    assert (await refused(names, tmp_path, Said(is_silent=True), seconds=0.6)).code == "dns-timeout"
    assert asyncio.get_running_loop().time() - began < 2.0


async def test_an_answer_cut_short_that_nobody_completes_is_a_failure(tmp_path: Path) -> None:
    cut = Said(BOTH.records, is_cut=True)
    async with running_names(lambda name: cut, has_tcp=False) as names:
        assert (await refused(names, tmp_path, cut, seconds=0.6)).code in ("dns-failed", "dns-timeout")


async def test_only_hosts_that_the_settings_allow_are_taken(names: Names, tmp_path: Path, clock: Clock) -> None:
    error = await refused(names, tmp_path / "a", BOTH, Wanted(targets=("*.mssante.fr",)))
    assert (error.code, error.found) == ("dns-target", (FRONT,))
    looks = discovery(names, tmp_path / "b", clock)
    assert (await looks.find(DOMAIN, "imap", Wanted(targets=("AUTHCLI.*",)))).records == (FRONT,)


@pytest.mark.parametrize("domain", ["a..mssante.example", f"{'x' * 64}.mssante.example", ".".join(["x" * 60] * 4)])
async def test_a_domain_that_nobody_can_ask_for_is_refused(
    names: Names, tmp_path: Path, clock: Clock, domain: str
) -> None:
    with pytest.raises(NotFound) as caught:
        await discovery(names, tmp_path, clock).find(domain, "imap", WANTED)
    assert caught.value.code == "dns-name"
    assert names.asked == []


# --- what is kept


async def test_an_answer_is_used_as_long_as_it_says_and_renewed_then(
    names: Names, tmp_path: Path, clock: Clock
) -> None:
    looks = discovery(names, tmp_path, clock)
    await looks.find(DOMAIN, "imap", WANTED)
    clock.later(minutes=59)
    assert (await discovery(names, tmp_path, clock).find(DOMAIN, "imap", WANTED)).records == (FRONT,)  # another process
    assert len(names.asked) == 1
    clock.later(minutes=2)
    names.script = lambda name: srv(IMAP, "20 100 143 nouveau.operateur.example.")
    assert (await looks.find(DOMAIN, "imap", WANTED)).records[0].target == "nouveau.operateur.example"
    assert len(names.asked) == 2


@pytest.mark.parametrize(("ttl", "too_early", "late"), [(0, {"minutes": 4}, {"minutes": 2}),
                                                          (10**6, {"hours": 23}, {"hours": 2})])  # fmt: skip
async def test_the_time_that_it_says_has_bounds(
    names: Names, tmp_path: Path, clock: Clock, ttl: int, too_early: dict[str, float], late: dict[str, float]
) -> None:
    names.script = lambda name: srv(IMAP, CERTIFICATE, ttl=ttl)
    looks = discovery(names, tmp_path, clock)
    for span, asked in (({}, 1), (too_early, 1), (late, 2)):
        clock.later(**span)
        await looks.find(DOMAIN, "imap", WANTED)
        assert len(names.asked) == asked


@pytest.mark.parametrize(
    "said",
    [
        Said(rcode=dns.rcode.NXDOMAIN),
        Said(rcode=dns.rcode.SERVFAIL),
        Said(),
        Said(is_silent=True),
        Said(garbage=b"\x81\x80"),
        srv(IMAP, "20 0 0 ."),
        srv(IMAP, PSC),
    ],
)
async def test_the_last_good_answer_outlives_a_dns_that_fails(
    names: Names, tmp_path: Path, clock: Clock, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    looks = discovery(names, tmp_path, clock, seconds=0.6)
    await looks.find(DOMAIN, "imap", WANTED)
    names.script = lambda name: said
    clock.later(days=3)
    with caplog.at_level(logging.WARNING, "hub.trust"):
        found = await looks.find(DOMAIN, "imap", WANTED)
    assert (found.records, found.is_fresh) == ((FRONT,), False)
    assert "the last good answer is used" in caplog.text
    assert (trouble := looks.trouble(DOMAIN, "imap")) is not None
    assert (trouble.since, trouble.code[:4]) == (clock.at, "dns-")
    asked = len(names.asked)
    await looks.find(DOMAIN, "imap", WANTED)
    assert len(names.asked) == asked  # not at every connection
    names.script = lambda name: BOTH
    clock.later(minutes=6)
    assert (await looks.find(DOMAIN, "imap", WANTED)).is_fresh
    assert looks.trouble(DOMAIN, "imap") is None


async def test_a_name_never_found_is_asked_again_soon_and_not_at_every_connection(
    names: Names, tmp_path: Path, clock: Clock
) -> None:
    names.script = lambda name: srv(IMAP, PSC)
    looks = discovery(names, tmp_path, clock)
    for _ in range(3):
        with pytest.raises(NotFound) as caught:
            await looks.find(DOMAIN, "imap", WANTED)
        assert caught.value.code == "dns-no-priority"
    assert len(names.asked) == 1
    names.script = lambda name: BOTH
    clock.later(seconds=11)
    assert (await looks.find(DOMAIN, "imap", WANTED)).records == (FRONT,)


async def test_other_settings_do_not_use_what_was_kept_for_the_former_ones(
    names: Names, tmp_path: Path, clock: Clock
) -> None:
    looks = discovery(names, tmp_path, clock)
    await looks.find(DOMAIN, "imap", WANTED)
    with pytest.raises(NotFound):
        await looks.find(DOMAIN, "imap", Wanted(priority=30))
    assert len(names.asked) == 2


async def test_a_spoilt_copy_is_asked_for_anew(names: Names, tmp_path: Path, clock: Clock) -> None:
    looks = discovery(names, tmp_path, clock)
    await looks.find(DOMAIN, "imap", WANTED)
    for spoilt in (b"", b"{", b'{"records": [[1]], "seconds": 5}', b'{"records": "x", "seconds": 1}', b"[]"):
        (tmp_path / f"srv.{IMAP}").write_bytes(spoilt)
        assert (await looks.find(DOMAIN, "imap", WANTED)).records == (FRONT,)
    assert len(names.asked) == 6


async def test_a_disk_that_takes_nothing_stops_no_mailbox(names: Names, tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "trust").write_bytes(b"no folder")
    looks = discovery(names, tmp_path / "trust", clock)
    assert (await looks.find(DOMAIN, "imap", WANTED)).records == (FRONT,)
    names.script = lambda name: Said(rcode=dns.rcode.SERVFAIL)
    with pytest.raises(NotFound, match="dns-failed"):
        await looks.find(DOMAIN, "imap", WANTED)


async def test_many_mailboxes_ask_once(names: Names, tmp_path: Path, clock: Clock) -> None:
    looks = [discovery(names, tmp_path, clock) for _ in range(20)]
    found = await asyncio.gather(*(one.find(DOMAIN, "imap", WANTED) for one in looks))
    assert {one.records for one in found} == {(FRONT,)}
    assert len(names.asked) == 1


# --- several hosts of one priority


def test_the_weights_rule_the_order_by_chance() -> None:
    heavy, light, none = Record(20, 90, 143, "a"), Record(20, 10, 143, "b"), Record(20, 0, 143, "c")
    firsts = [in_order((none, light, heavy), lambda drawn=n / 1010: drawn)[0] for n in range(1010)]  # type: ignore[misc]
    assert (firsts.count(heavy), firsts.count(light), firsts.count(none)) == (900, 100, 10)
    assert sorted(in_order((none, light, heavy), lambda: 0.999)) == sorted((none, light, heavy))


async def test_of_several_hosts_the_first_that_takes_connections_is_used() -> None:
    listener = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    dead, alive = Record(20, 9, free_port(), "localhost"), Record(20, 1, port, "localhost")
    try:
        assert await first_reached((dead, alive)) == alive
        assert await first_reached((dead,)) == dead
        assert await first_reached((dead, dead)) == dead
    finally:
        listener.close()


def test_one_bad_record_does_not_spoil_the_others() -> None:
    bad = Record(20, 100, 143, "192.0.2.7")
    assert usable(srv_name(DOMAIN, "imap"), (bad, FRONT), WANTED) == (FRONT,)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
    ],
)
def test_a_server_is_an_address_perhaps_with_its_port(written: str, address: tuple[str, int]) -> None:
    assert Dns(servers=(written,)).addresses == (address,)


@pytest.mark.parametrize("written", ["dns.example", "192.0.2", "192.0.2.53:", "192.0.2.53:0", "192.0.2.53:70000", ""])
def test_what_is_no_address_of_a_server_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="DNS server"):
        Dns(servers=(written,))
