"""kill -9 at each stage of the dialogue with the next hop, and a next hop that drops, delays or refuses: nothing is
lost, a twin only where nobody can know, under the same Message-ID; the ladder and the letters tell the truth.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from bench.torture.crew import HOOKS
from bench.torture.wounds import FOLDER
from hub.message import Sending
from hub.sandbox.people import LINA
from tests.conftest import PROJECT_ROOT
from tests.edges.scripted_smtp import Script
from tests.pki import Authority
from tests.recipient import Case, answer
from tests.trips.answering import sendings_of
from tests.trips.house import wait_for
from tests.trips.mailbag import pdf
from tests.trips.office import ASE, DOCTOR, SECRETARIAT, Office, a_mail, running_office
from tests.trips.rough_hop import RoughHop, running_rough_hop

pytestmark = pytest.mark.timeout(300)  # servers are started, and the machine may be busy
EVIDENCE_WITHIN = 2  # seconds
NUMBERS = count(1)


@dataclass
class Rough:
    """An office whose operator is rough; `wounds` is where a point of `bench.torture` is armed."""

    office: Office
    hop: RoughHop
    wounds: Path

    def start(self) -> None:
        """`hub serve`, which a point may kill."""
        os.environ |= {FOLDER: str(self.wounds), "PYTHONPATH": f"{HOOKS}{os.pathsep}{PROJECT_ROOT}"}
        try:
            self.office.site.start()
        finally:
            del os.environ[FOLDER], os.environ["PYTHONPATH"]
        self.office.wait_for_door()

    def submit(self, *recipients: str) -> str:
        """One document; the hub's number of the message."""
        number = next(NUMBERS)
        before = self.messages()
        subject = f"[dossier {LINA.record_number}] [fiche navette]"
        files = [("scan0012.pdf", pdf(number))]
        self.office.submit(a_mail(subject, *recipients, files=files, number=f"rude-{number}"))
        (found,) = self.messages().keys() - before.keys()
        return found

    def messages(self) -> dict[str, str]:
        """Every message with its state."""
        with self.office.site.opened() as house:
            return {one.envelope.id: one.state for one in asyncio.run(house.spool.messages(limit=10_000))}

    def sendings(self, message: str) -> tuple[Sending, ...]:
        """What was made of it: one, once it is composed."""
        return tuple(one for one in sendings_of(self.office, "secretariat") if one.message == message)

    def stands(self, message: str) -> dict[str, str]:
        """recipient -> rung."""
        return {one.recipient: one.rung.value for sending in self.sendings(message) for one in sending.sent_to}

    def wait_until(self, message: str, *states: str, seconds: float = 40) -> str:
        site = self.office.site
        wait_for(
            lambda: self.messages()[message] in states, seconds, lambda: f"{self.messages()}\n{site.log()[-4000:]}"
        )
        return self.messages()[message]

    def copies(self, message: str) -> dict[str, int]:
        """How often each recipient's server took the mail made of it: always the same bytes, one Message-ID."""
        (sending,) = self.sendings(message)
        taken = {key: times for key, times in self.hop.copies().items() if key[1] == sending.message_id}
        assert len({raw for _, _, raw in taken}) == 1
        return {recipient: times for (recipient, _, _), times in taken.items()}


POLITE = Script(close_after_mail=True)  # each mail has a connection of its own


@pytest.fixture(scope="module")
def rough(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rough]:
    folder = tmp_path_factory.mktemp("rough")
    for name in ("armed", "fired"):
        (folder / "wounds" / name).mkdir(parents=True)
    hops: list[RoughHop] = []

    @contextmanager
    def hop(authority: Authority) -> Iterator[int]:
        with running_rough_hop(authority) as running:
            hops.append(running)
            yield running.port

    with running_office(folder, hop=hop, lease=2, evidence_within=EVIDENCE_WITHIN) as office:
        rough = Rough(office, hops[0], folder / "wounds")
        rough.hop.follow(POLITE)
        rough.start()
        yield rough


# --- killed -----------------------------------------------------------------------------------------------------------

# Where the dialogue stands when every process of the hub is gone -> how often the first recipient gets the mail.
STAGES = {
    "ehlo": 1,  # before MAIL
    "data": 1,  # after RCPT
    "body": 1,  # in DATA
    "dot": 2,  # after the final dot: the operator has it, and nobody was told
}


@pytest.mark.parametrize("stage", STAGES)
def test_killed_in_the_dialogue(rough: Rough, stage: str) -> None:
    site, letters = rough.office.site, len(rough.hop.taken(SECRETARIAT))
    assert site.service is not None
    service = site.service
    kill = once(lambda: os.killpg(service.pid, signal.SIGKILL))
    rough.hop.follow(Script(when_at={stage: kill}, cut_at=stage))
    message = rough.submit(ASE, DOCTOR)
    assert service.wait(30) == -signal.SIGKILL
    assert rough.stands(message) == {ASE: "prepared", DOCTOR: "prepared"}  # nobody said more
    rough.hop.follow(POLITE)
    rough.start()
    assert rough.wait_until(message, "DONE", "HELD") == "DONE"
    assert rough.copies(message) == {ASE: STAGES[stage], DOCTOR: 1}
    assert rough.stands(message) == {ASE: "submitted", DOCTOR: "submitted"}
    assert len(rough.hop.taken(SECRETARIAT)) == letters  # nothing happened that she must know


# At which commit the worker is gone -> how often the first recipient gets the mail.
COMMITS = {
    "record-composition.before-commit": 1,  # composed, and nothing kept of it: composed again under another Message-ID
    "record-delivery.before-commit": 2,  # the operator's 250 was heard, and not written down
    "record-delivery.committed": 1,
}


@pytest.mark.parametrize("point", COMMITS)
def test_killed_at_a_commit(rough: Rough, point: str) -> None:
    letters = len(rough.hop.taken(SECRETARIAT))
    arm = (rough.wounds / "armed" / point).touch
    if "delivery" in point:  # that of the first recipient, not a step before it
        rough.hop.follow(Script(close_after_mail=True, when_at={"dot": once(arm)}))
    else:
        arm()
    message = rough.submit(ASE, DOCTOR)
    wait_for(lambda: any((rough.wounds / "fired").glob(f"{point}.*")), 30, rough.office.site.log)
    assert rough.wait_until(message, "DONE", "HELD") == "DONE"
    assert rough.copies(message) == {ASE: COMMITS[point], DOCTOR: 1}
    assert rough.stands(message) == {ASE: "submitted", DOCTOR: "submitted"}
    assert len(rough.hop.taken(SECRETARIAT)) == letters


def once(deed: Callable[[], None]) -> Callable[[], None]:
    left = [deed]
    return lambda: left.pop()() if left else None


# --- dropped, delayed, refused ----------------------------------------------------------------------------------------


def test_a_drop_after_the_dot_waits_for_a_sign_then_a_human_is_asked_once(rough: Rough) -> None:
    letters = len(rough.hop.taken(SECRETARIAT))
    rough.hop.follow(Script(cut_at="dot"))
    message = rough.submit(ASE)
    wait_for(lambda: rough.stands(message) == {ASE: "uncertain"}, 20, rough.office.site.log)
    rough.hop.follow(POLITE)
    assert rough.messages()[message] == "PLANNED"
    assert rough.wait_until(message, "HELD") == "HELD"
    assert rough.copies(message) == {ASE: 1}  # the one before the cut: it is not sent again by itself
    assert rough.stands(message) == {ASE: "uncertain"}
    (letter,) = rough.hop.taken(SECRETARIAT)[letters:]
    assert "peut-être" in letter.get_content()
    assert ASE in letter.get_content()
    assert message[:8] in rough.office.said("held")


def test_a_sign_of_the_recipient_ends_the_doubt(rough: Rough) -> None:
    letters = len(rough.hop.taken(SECRETARIAT))
    rough.hop.follow(Script(cut_at="dot"))
    message = rough.submit(ASE)
    wait_for(lambda: rough.stands(message) == {ASE: "uncertain"}, 20, rough.office.site.log)
    rough.hop.follow(POLITE)
    (sending,) = rough.sendings(message)
    case = Case(sending, ASE, frozenset({"original"}), SECRETARIAT)
    rough.office.dovecot.deliver(SECRETARIAT, answer("displayed", case))
    assert rough.wait_until(message, "DONE", "HELD") == "DONE"
    assert rough.stands(message) == {ASE: "read"}
    assert rough.copies(message) == {ASE: 1}
    assert len(rough.hop.taken(SECRETARIAT)) == letters


def test_what_the_operator_delays_leaves_by_itself(rough: Rough) -> None:
    letters = len(rough.hop.taken(SECRETARIAT))
    rough.hop.follow(Script(replies={"rcpt": "451 4.7.1 try again later"}))
    tries = f"RCPT TO:<{ASE}>"
    asked = rough.hop.server.commands.count(tries)
    message = rough.submit(ASE)
    wait_for(lambda: rough.hop.server.commands.count(tries) > asked, 20, rough.office.site.log)
    assert rough.stands(message) == {ASE: "prepared"}
    rough.hop.follow(POLITE)
    assert rough.wait_until(message, "DONE", "HELD") == "DONE"
    assert (rough.copies(message), rough.stands(message)) == ({ASE: 1}, {ASE: "submitted"})
    assert len(rough.hop.taken(SECRETARIAT)) == letters


def test_one_who_is_refused_does_not_keep_it_from_the_other(rough: Rough) -> None:
    letters = len(rough.hop.taken(SECRETARIAT))
    rough.hop.follow(Script(close_after_mail=True, refuses=DOCTOR))
    message = rough.submit(DOCTOR, ASE)
    assert rough.wait_until(message, "DONE", "HELD") == "HELD"
    assert rough.copies(message) == {ASE: 1}
    assert rough.stands(message) == {ASE: "submitted", DOCTOR: "failed"}
    (letter,) = rough.hop.taken(SECRETARIAT)[letters:]
    assert DOCTOR in letter.get_content()
    assert ASE not in letter.get_content()
    rough.hop.follow(POLITE)


def test_nothing_was_lost(rough: Rough) -> None:
    """Every message is done or before a human, and the journal is whole."""
    assert set(rough.messages().values()) <= {"DONE", "HELD"}
    assert rough.office.site.command("journal", "verify").returncode == 0
