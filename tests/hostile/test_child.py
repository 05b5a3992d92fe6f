"""Each named hostile shape through the real cell, under the limits that a site has: held with a reason, or read whole,
in less than 300 MB and 5 s; then an honest mail through the same cell."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from hub.errors import Damaged
from hub.message import ParsedMessage
from hub.raw import Whole
from hub.settings import Reading
from tests import cdamaker
from tests.hostile.measured import Measured, measured_cell
from tests.hostile.shape import Shape, doubts_of, graves_of
from tests.hostile.shapes import NAMED, SHAPES
from tests.hostile.xmls import NOWHERE
from tests.mailmaker import TEXT, attached, mixed, part

MB = 1024**2
MEMORY_MOST, PROCESSOR_MOST = 300 * MB, 5.0
SETTINGS = Reading()
HONEST = mixed(TEXT, attached("IHE_XDM.ZIP", cdamaker.make_archive()))
# All of them take minutes: HUB_HOSTILE=all, or a part of a name. Every day: the named ones, and one of so many others.
WHICH = os.environ.get("HUB_HOSTILE", "")
SHARE = 25

OUTSIDE = ("xxe", "parameter-entity", "external-dtd", "xinclude", "schema-location", "style-sheet", "xml-base")


def of_the_day() -> list[Shape]:
    if WHICH:
        return [shape for shape in SHAPES if WHICH == "all" or WHICH in shape.name]
    return [shape for number, shape in enumerate(SHAPES) if shape.name in NAMED or number % SHARE == 0]


@pytest.fixture
async def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Measured]:
    async with measured_cell(monkeypatch, SETTINGS.memory, SETTINGS.seconds.total_seconds(), tmp_path) as measured:
        yield measured


@pytest.fixture
def listener() -> Iterator[tuple[bytes, list[object]]]:
    """An address of ours in the place of the one that hostile XML names, and who came to it."""
    visits: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def wait() -> None:
            try:
                while True:
                    connection, peer = server.accept()
                    visits.append(peer)
                    connection.close()
            except OSError:
                return

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        yield b"127.0.0.1:%d" % server.getsockname()[1], visits
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def wrong_with(shape: Shape, message: ParsedMessage) -> str:
    """Why the reader's answer is not what the shape asks for; empty when it is."""
    graves, codes = graves_of(message), {defect.code for defect in doubts_of(message)}
    if shape.mild and shape.mild not in codes:
        return f"{shape.mild} is not said"
    if graves & shape.wanted or (shape.may_pass and not graves):
        return ""
    return f"graves {sorted(graves)}, wanted {sorted(shape.wanted)}"


@pytest.mark.timeout(7200 if WHICH else 900)
async def test_each_shape_ends_with_its_reason_and_within_its_bounds(measured: Measured) -> None:
    failures: list[str] = []
    cell, own = measured.cell, psutil.Process()
    for shape in of_the_day():
        raw = shape.make()
        digest = sha256(raw).hexdigest()
        measured.begin()
        before = own.memory_info().rss
        try:
            failures += [f"{shape.name}: {wrong}"] if (wrong := wrong_with(shape, await cell.read(Whole(raw)))) else []
        except Damaged as error:
            failures += [] if shape.may_die else [f"{shape.name}: {error.private}"]
        measured.end()
        if measured.peak > MEMORY_MOST or measured.processor > PROCESSOR_MOST + 0.2:
            failures.append(f"{shape.name}: {measured.peak // MB} MB, {measured.processor:.1f} s")
        if own.memory_info().rss > before + 64 * MB:
            failures.append(f"{shape.name}: the hub's side grew by {(own.memory_info().rss - before) // MB} MB")
        assert sha256(raw).hexdigest() == digest
        del raw
    assert not failures, "\n".join(failures)
    assert graves_of(await cell.read(Whole(HONEST))) == set()


def test_shapes_have_names_of_their_own_and_reasons_that_are_told() -> None:
    from hub.routing.reasons import reason

    assert {shape.name for shape in SHAPES} >= NAMED
    assert [name for name, count in Counter(shape.name for shape in SHAPES).items() if count > 1] == []
    for code in {code for shape in SHAPES for code in (*shape.wanted, shape.mild) if code}:
        assert reason(code).text != reason("no-such-code").text, code


async def test_hostile_xml_reaches_nobody(measured: Measured, listener: tuple[bytes, list[object]]) -> None:
    address, visits = listener
    reaching = [shape for shape in SHAPES if shape.name.startswith("xml-") and any(w in shape.name for w in OUTSIDE)]
    assert len(reaching) > 20
    for shape in reaching:
        await measured.cell.read(Whole(shape.make().replace(NOWHERE, address)))
    await asyncio.sleep(0.2)
    assert visits == []
    socket.create_connection(("127.0.0.1", int(address.rpartition(b":")[2]))).close()  # it does listen
    await asyncio.sleep(0.2)
    assert len(visits) == 1


def heavy(size: int) -> bytes:
    """A PDF of about `size` bytes that does not deflate, as scans are."""
    pdf = cdamaker.make_pdf()
    return pdf[:9] + b"%" + os.urandom(size).replace(b"\n", b" ").replace(b"\r", b" ") + b"\n" + pdf[9:]


@pytest.mark.parametrize(
    ("make", "documents"),
    [
        (lambda: mixed(TEXT, attached("IHE_XDM.ZIP", cdamaker.make_archive(cdamaker.Sample(body=heavy(18 * MB))))), 1),
        (lambda: mixed(TEXT, attached("IHE_XDM.ZIP", cdamaker.make_archive(cdamaker.Sample(body=heavy(41 * MB))))), 1),
        (lambda: mixed(TEXT, attached("scan.pdf", heavy(42 * MB))), 1),
        (lambda: mixed(TEXT, attached("photo.jpg", os.urandom(42 * MB))), 1),
        (lambda: mixed(TEXT, *[attached(f"{n}.pdf", heavy(MB)) for n in range(41)]), 41),
        (
            lambda: mixed(TEXT, part("message/rfc822", mixed(TEXT, attached("a.pdf", heavy(42 * MB)), boundary="=_2"))),
            1,
        ),
    ],
    ids=["archive-of-25-mb", "archive-of-60-mb", "pdf-of-60-mb", "picture-of-60-mb", "many-pdfs", "forwarded"],
)
async def test_honest_large_mails_are_read_under_the_same_limits(
    measured: Measured, make: Callable[[], bytes], documents: int
) -> None:
    raw = make()
    assert len(raw) < SETTINGS.message
    measured.begin()
    message = await measured.cell.read(Whole(raw))
    measured.end()
    assert (len(message.documents), graves_of(message), measured.deaths) == (documents, set(), 0)
    assert measured.peak < 280 * MB  # well under the limit: what an honest mail needs is not a matter of luck
    assert "pdf-unreadable" not in {defect.code for defect in doubts_of(message)}
