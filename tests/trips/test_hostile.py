"""A mailbox full of hostile mail, with ordinary letters between: the letters are filed, each of the others comes before
a human with a reason, nobody dies, and the pages and commands that show them show no trick of theirs.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from hashlib import sha256

import pytest

from bench.letters import letters
from hub import journal
from hub.message import Hold
from hub.sandbox.people import usagers_csv
from hub.spool import MessageSummary, StepSummary
from tests.hostile.shape import Shape
from tests.hostile.shapes import NAMED, SHAPES
from tests.trips.house import HOME, Site, running_site

LETTERS = 10
LARGE = 512 * 1024  # what is larger is read in `tests/hostile`: here it would only cost time
EVERY = 25
# Their names and subjects carry what a terminal would obey, or what our own markup would.
SHOWN = ("escape-codes", "c1-codes", "markup", "bidi", "line-ends", "control", "name-nul", "tnef-names")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

pytestmark = pytest.mark.timeout(600)

Carried = dict[str, tuple[MessageSummary, tuple[StepSummary, ...]]]


def as_served(raw: bytes) -> bytes:
    """Dovecot's own way with stored bytes that IMAP does not allow (RFC 3501 §4.3.1): lines end by CRLF, no NUL."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", raw).replace(b"\0", b"\x80")


def chosen() -> dict[str, tuple[Shape, bytes]]:
    """Shapes of every sort, by the digest of what lies in the mailbox: those that are shown, and one of each few."""
    names = [
        s for n, s in enumerate(SHAPES) if n % EVERY == 0 or s.name in NAMED or any(word in s.name for word in SHOWN)
    ]
    made = ((shape, as_served(shape.make())) for shape in names)
    return {sha256(raw).hexdigest(): (shape, raw) for shape, raw in made if 0 < len(raw) < LARGE}


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[Shape, bytes]]:
    return chosen()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, tuple[Shape, bytes]]) -> Iterator[Site]:
    """After the service has carried everything."""
    with running_site(tmp_path_factory.mktemp("hostile"), usagers_csv(), lease=60) as site:
        ordinary = letters(LETTERS)
        for number, (_shape, raw) in enumerate(shapes.values()):
            if number % (len(shapes) // LETTERS) == 0 and (letter := next(ordinary, None)):
                site.dovecot.deliver(HOME, letter)
            site.dovecot.deliver(HOME, raw)
        site.dovecot.deliver(HOME, *ordinary)
        site.start()
        site.wait_until_settled(len(shapes) + LETTERS, seconds=400)
        site.stop()
        yield site


@pytest.fixture(scope="module")
def carried(site: Site) -> Carried:
    with site.opened() as house:

        async def all_of_them() -> Carried:
            messages = await house.spool.messages(limit=10_000)
            return {m.envelope.sha256: (m, await house.spool.steps(m.id)) for m in messages}

        return asyncio.run(all_of_them())


def test_the_letters_are_filed_and_everything_else_ends_with_a_reason(
    shapes: dict[str, tuple[Shape, bytes]], carried: Carried
) -> None:
    wrong = []
    for digest, (shape, _raw) in shapes.items():
        message, steps = carried[digest]
        reasons = {reason.code for step in steps if isinstance(step.step, Hold) for reason in step.step.reasons}
        if message.state == "HELD" and (reasons & shape.wanted or (shape.may_pass and reasons)):
            continue
        if message.state == "DONE" and shape.may_pass:
            continue
        wrong.append(f"{shape.name}: {message.state} {sorted(reasons)}, wanted {sorted(shape.wanted)}")
    assert not wrong, "\n".join(wrong)
    ordinary = [message for digest, (message, _) in carried.items() if digest not in shapes]
    assert [message.state for message in ordinary] == ["DONE"] * LETTERS


def test_nobody_died_and_the_originals_are_whole(
    site: Site, shapes: dict[str, tuple[Shape, bytes]], carried: Carried
) -> None:
    assert [message.id for message, _ in carried.values() if message.deaths] == []
    with site.opened() as house:
        for digest, (_shape, raw) in shapes.items():
            kept = asyncio.run(house.blobs.get(digest))
            assert kept == raw
        assert house.database.read_now(journal.verify).broken_at is None


def test_the_ledger_balances(site: Site) -> None:
    told = site.command("ledger")
    assert told.returncode == 0, told.stdout + told.stderr


def test_commands_show_each_of_them_and_obey_none(
    site: Site, shapes: dict[str, tuple[Shape, bytes]], carried: Carried
) -> None:
    held = site.command("held")
    assert held.returncode == 0, held.stderr
    assert _CONTROL.search(held.stdout.replace("\n", "")) is None
    looked_at = {word: (s, d) for word in SHOWN for d, (s, _) in shapes.items() if word in s.name}  # one of each trick
    assert set(looked_at) == set(SHOWN)
    for shape, digest in looked_at.values():
        shown = site.command("show", carried[digest][0].id)
        assert (shape.name, shown.returncode, shown.stderr) == (shape.name, 0, "")
        found = _CONTROL.search(shown.stdout.replace("\n", ""))
        assert found is None, (shape.name, found)
        assert "Traceback" not in shown.stdout
