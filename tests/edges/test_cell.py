"""The cell on real child processes: what they may do, what becomes of a message that kills them, when they change."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from hub.cda import Codes
from hub.cell import Cell, pool
from hub.cell.child import DESCRIPTORS_MOST
from hub.cell.wire import LARGE
from hub.errors import Damaged, Temporary
from hub.message import Limits, ParsedMessage
from hub.parse import parse, parse_file
from hub.ports import Draft
from hub.raw import Whole
from tests import cdamaker
from tests.fakes_records import MemoryDraft, MemoryDrafts
from tests.mailmaker import TEXT, attached, mail, mixed

MEMORY = 512 * 1024**2
GOOD = mixed(TEXT, attached("IHE_XDM.ZIP", cdamaker.make_archive()), attached("a.pdf", cdamaker.make_pdf("Bilan")))

# A child whose reader does what the message says. It stands in for bugs of parsers that we cannot order.
_ILL = """
import os, sys, time
sys.path[:] = sys.argv[2].split(os.pathsep)
from hub.cell import child
real = child.parse
def parse(raw, limits, codes, read_pdf, words_for, witness):
    if b"TUE-TOUJOURS" in raw or (b"TUE-PDF" in raw and read_pdf): os.kill(os.getpid(), 9)
    if b"DORS" in raw: time.sleep(60)
    while b"BRULE" in raw: pass
    if b"LEVE" in raw: raise KeyError("x")
    if b"GONFLE" in raw: bytearray(2**40)
    return real(raw, limits, codes, read_pdf, words_for, witness)
child.parse = parse
child.main(int(sys.argv[1]))
"""

NewCell = Callable[..., Cell]


class InPieces:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @property
    def size(self) -> int:
        return len(self.raw)

    async def pieces(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.raw), 1_000_003):
            yield self.raw[start : start + 1_000_003]


def light(message: ParsedMessage) -> ParsedMessage:
    """What comes out of a child when nobody asks for the bytes of documents."""
    return replace(message, documents=tuple(replace(d, raw=b"", body=b"") for d in message.documents))


@pytest.fixture
async def new_cell(tmp_path: Path) -> AsyncIterator[NewCell]:
    cells: list[Cell] = []

    def new(seconds: float = 20, processes: int = 1, recycle_after: int = 100, memory: int = MEMORY) -> Cell:
        cells.append(Cell(Limits(), memory, seconds, processes, recycle_after, tmp_path))
        return cells[-1]

    yield new
    for cell in cells:
        await cell.close()


@pytest.fixture
def ill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_BOOT", _ILL)


def children() -> list[psutil.Process]:
    """The readers that this test started and that still live."""
    living = [p for p in psutil.Process().children() if is_alive(p.pid)]
    return [p for p in living if "hub.cell" in " ".join(p.cmdline())]


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def kernel_limits(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/limits").read_text("ascii").splitlines()


async def only_child() -> psutil.Process:
    await until(lambda: len(children()) == 1)
    return children()[0]


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.02)


async def test_the_child_reads_what_parse_reads(new_cell: NewCell) -> None:
    cell = new_cell()
    cell.start()
    assert await cell.read(Whole(GOOD)) == light(parse(GOOD, Limits(), Codes.empty()))
    assert await cell.read(Whole(b"")) == parse(b"", Limits(), Codes.empty())


async def test_the_child_reads_no_more_words_than_it_is_asked_for(new_cell: NewCell) -> None:
    for asked in (frozenset[str](), frozenset({"80788-3", "34133-9"})):
        read = await new_cell().read(Whole(GOOD), asked)
        assert read == light(parse(GOOD, Limits(), Codes.empty(), words_for=asked))


async def test_a_file_given_by_hand_is_read_in_the_child_too(new_cell: NewCell) -> None:
    archive = cdamaker.make_archive()
    message = await new_cell().read_file(archive, "été/IHE_XDM.ZIP")
    assert message == light(parse_file(archive, Limits(), Codes.empty(), "IHE_XDM.ZIP"))
    assert message.archives


async def test_code_tables_reach_the_child(new_cell: NewCell, tmp_path: Path) -> None:
    (tmp_path / "types.csv").write_text("code,system,label,source,date\n1,2.25.1,Un,essai,2026-01-01\n", "utf-8")
    message = await new_cell().read(Whole(GOOD))
    assert "unknown-code" in {defect.code for document in message.documents for defect in document.defects}


async def test_a_message_of_60_mb_goes_through(new_cell: NewCell) -> None:
    content = os.urandom(1024) * (42 * 1024)
    raw = mixed(TEXT, attached("gros.jpg", content))
    assert len(raw) > 55 * 1024**2
    drafts = MemoryDrafts()
    message = await new_cell(memory=1024**3).read(InPieces(raw), drafts=drafts)
    [(digest, draft)] = drafts.all
    assert message.documents[0].sha256 == digest
    assert message.documents[0].raw == b""
    assert draft.raw == content


async def test_the_bytes_of_documents_come_with_the_message_or_after_it(new_cell: NewCell) -> None:
    small, large = os.urandom(1000), [os.urandom(LARGE + n) for n in (1, 200_000)]
    raw = mixed(TEXT, *(attached(f"{len(one)}.jpg", one) for one in (large[0], small, large[1])))
    cell, drafts = new_cell(), MemoryDrafts()
    for _ in range(2):  # what follows the first answer is not taken for the second
        drafts = MemoryDrafts()
        message = await cell.read(Whole(raw), drafts=drafts)
        assert [document.raw for document in message.documents] == [b"", small, b""]
        assert [bytes(draft.raw) for _, draft in drafts.all] == large
    nobody_asked = await cell.read(Whole(raw))
    assert [document.raw for document in nobody_asked.documents] == [b"", b"", b""]


async def test_a_full_disk_under_a_large_document_is_not_the_messages_fault(new_cell: NewCell) -> None:
    class Full(MemoryDraft):
        async def write(self, piece: bytes) -> None:
            raise Temporary("a blob cannot be written: ENOSPC")

    class FullDrafts(MemoryDrafts):
        def begin(self, sha256: str) -> Draft:
            return Full()

    cell = new_cell()
    raw = mixed(TEXT, attached("grand.jpg", os.urandom(5 * LARGE)))
    with pytest.raises(Temporary, match="ENOSPC"):
        await cell.read(Whole(raw), drafts=FullDrafts())
    drafts = MemoryDrafts()
    assert (await cell.read(Whole(raw), drafts=drafts)).documents
    assert len(drafts.all[0][1].raw) == 5 * LARGE


async def test_a_message_that_cannot_be_had_whole_is_not_read(new_cell: NewCell) -> None:
    class CutShort(InPieces):
        async def pieces(self) -> AsyncIterator[bytes]:
            yield self.raw[:100_000]
            raise Damaged("blob: its digest differs")

    cell = new_cell()
    with pytest.raises(Damaged, match="digest"):
        await cell.read(CutShort(bytes(5_000_000)))
    assert (await cell.read(Whole(mail()))).subject == "Essai"


async def test_the_child_is_confined(new_cell: NewCell) -> None:
    await new_cell().read(Whole(mail()))
    child = await only_child()
    limits = kernel_limits(child.pid)
    for name, most in [
        ("Max address space", MEMORY),
        ("Max core file size", 0),
        ("Max file size", 0),
        ("Max processes", 0),
        ("Max open files", DESCRIPTORS_MOST),
    ]:
        (line,) = [line for line in limits if line.startswith(name)]
        assert line.removeprefix(name).split()[:2] == [str(most)] * 2
    open_files = {os.readlink(f"/proc/{child.pid}/fd/{n}").split(":")[0] for n in os.listdir(f"/proc/{child.pid}/fd")}
    assert open_files <= {"/dev/null", "socket"}
    assert set(child.environ()) == set(pool._ENVIRONMENT)


def test_the_child_imports_no_database_and_starts_fast() -> None:
    code = "import sys, hub.cell.child; print([m for m in ('sqlalchemy', 'pydantic', 'dramatiq') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=os.getcwd())
    assert found.stdout.strip() == "[]"


@pytest.mark.usefixtures("ill")
async def test_a_message_that_kills_on_pdf_is_read_without(new_cell: NewCell) -> None:
    message = await new_cell().read(
        Whole(mixed(TEXT, attached("a.pdf", cdamaker.make_pdf("Bilan")), subject="TUE-PDF"))
    )
    assert [d.code for d in message.defects] == ["pdf-unreadable"]
    assert message.documents[0].text == ""


@pytest.mark.usefixtures("ill")
@pytest.mark.parametrize(
    ("subject", "reason"), [("TUE-TOUJOURS", "exit -9"), ("LEVE", "exception KeyError"), ("GONFLE", "memory")]
)
async def test_a_message_that_kills_twice_is_damaged_and_the_next_is_read(
    new_cell: NewCell, subject: str, reason: str
) -> None:
    cell = new_cell()
    with pytest.raises(Damaged) as raised:
        await cell.read(Whole(mail(subject=subject)))
    assert raised.value.private.count(reason) == 2
    assert (await cell.read(Whole(mail()))).subject == "Essai"


@pytest.mark.usefixtures("ill")
async def test_a_message_that_never_ends_is_killed_at_its_deadline(new_cell: NewCell) -> None:
    cell = new_cell(seconds=0.5)
    await cell.read(Whole(mail()))
    slow = children()[0].pid
    start = time.monotonic()
    with pytest.raises(Damaged, match="deadline"):
        await cell.read(Whole(mail(subject="DORS")))
    assert 0.9 < time.monotonic() - start < 10
    await until(lambda: not is_alive(slow))
    assert (await cell.read(Whole(mail()))).subject == "Essai"


@pytest.mark.usefixtures("ill")
async def test_a_message_that_burns_the_processor_is_ended_by_the_kernel(
    new_cell: NewCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "DEADLINE", 100)  # a busy machine takes its time
    cell = new_cell(seconds=0.5)
    with pytest.raises(Damaged, match="processor time, then processor time"):
        await cell.read(Whole(mail(subject="BRULE")))
    assert (await cell.read(Whole(mail()))).subject == "Essai"


@pytest.mark.usefixtures("ill")
async def test_a_cancelled_reading_never_answers_the_next_one(new_cell: NewCell) -> None:
    cell = new_cell()
    await cell.read(Whole(mail()))
    reading = asyncio.create_task(cell.read(Whole(mail(subject="DORS"))))
    await asyncio.sleep(0.1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await cell.read(Whole(mail(subject="Suivant")))).subject == "Suivant"


async def test_a_child_killed_between_two_messages_costs_nothing(new_cell: NewCell) -> None:
    cell = new_cell()
    await cell.read(Whole(mail()))
    idle = await only_child()
    idle.send_signal(signal.SIGKILL)
    await until(lambda: not is_alive(idle.pid))
    assert await cell.read(Whole(GOOD)) == light(parse(GOOD, Limits(), Codes.empty()))


async def test_a_child_is_replaced_after_its_share(new_cell: NewCell) -> None:
    cell = new_cell(recycle_after=2)
    await cell.read(Whole(mail()))
    first = (await only_child()).pid
    await cell.read(Whole(mail()))
    assert (await cell.read(Whole(mail()))).subject == "Essai"
    assert (await only_child()).pid != first


async def test_a_pdf_bomb_does_not_take_the_hub_with_it(new_cell: NewCell) -> None:
    page = b"BT /F1 1 Tf (" + b"a" * 1000 + b") Tj ET\n"
    packer = zlib.compressobj(9)
    once = b"".join(packer.compress(page * 1000) for _ in range(300)) + packer.flush()
    twice = zlib.compress(once, 9)
    stream = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (len(twice), twice)
    pdf = cdamaker.make_pdf("x")
    start = pdf.index(b"4 0 obj")
    bomb = pdf[:start] + b"4 0 obj\n" + stream + pdf[pdf.index(b"\nendobj", start) :]
    assert len(bomb) < 100_000
    cell = new_cell(memory=400 * 1024**2)
    raw = mixed(TEXT, attached("bombe.pdf", bomb), attached("b.jpg", bytes(70_000)))
    message = await cell.read(Whole(raw), drafts=MemoryDrafts())
    assert [d.name for d in message.documents] == ["bombe.pdf", "b.jpg"]
    assert message.documents[0].raw == bomb
    assert (await cell.read(Whole(GOOD))).archives


async def test_two_children_work_at_once(new_cell: NewCell) -> None:
    cell = new_cell(processes=2)
    cell.start()
    messages = await asyncio.gather(*(cell.read(Whole(mail(subject=f"n{n}"))) for n in range(20)))
    assert [message.subject for message in messages] == [f"n{n}" for n in range(20)]
    assert len(children()) == 2


async def test_no_child_at_all_is_temporary(new_cell: NewCell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_BOOT", "raise SystemExit(3)")
    with pytest.raises(Temporary):
        await new_cell().read(Whole(mail()))


async def test_closing_ends_the_children(new_cell: NewCell) -> None:
    cell = new_cell(processes=2)
    cell.start()
    await cell.read(Whole(mail()))
    await cell.close()
    assert children() == []


async def test_a_child_does_not_outlive_a_hub_that_was_killed(tmp_path: Path) -> None:
    """Its socket is closed by the kernel: it reads the end and leaves."""
    code = (
        "import asyncio, os, signal, sys\nfrom pathlib import Path\nfrom hub.cell import Cell\n"
        "from hub.message import Limits\nfrom hub.raw import Whole\n"
        "async def main():\n"
        f"    cell = Cell(Limits(), {MEMORY}, 20, 1, 9, Path({str(tmp_path)!r}))\n"
        "    await cell.read(Whole(b'Subject: x\\r\\n\\r\\n'))\n"
        "    print(cell._places[0].fill().popen.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    hub = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, cwd=os.getcwd()
    )
    out, _ = await hub.communicate()
    pid = int(out)
    await until(lambda: not is_alive(pid))
