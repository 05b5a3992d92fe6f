"""Clues of PDFs read in a real child process: only when asked, within its limits, and never at the price of the
message. All people are fictional."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub import ins
from hub.cell import Cell
from hub.message import Clue, Defect, Limits
from hub.raw import Whole
from tests.hostile import pdfs
from tests.mailmaker import TEXT, attached, mixed
from tests.pdfmaker import a_pdf, drawn, ins_payload
from tests.unit.routing_samples import LOU_INS

PAYLOAD = ins_payload(S1=LOU_INS, S2=ins.NIR, S3="LOU", S4="MARTINEAU", S5="F", S6="14-03-2015")
FORM = a_pdf(drawn(PAYLOAD), fields={"numero_dossier": "D-12"})
SUBMITTED = mixed(TEXT, attached("fiche.pdf", FORM))


@pytest.fixture
async def cell(tmp_path: Path) -> AsyncIterator[Cell]:
    made = Cell(Limits(), 512 * 1024**2, 2, 1, 100, tmp_path)
    yield made
    await made.close()


async def test_clues_are_read_in_the_child_when_they_are_asked_for(cell: Cell) -> None:
    (document,) = (await cell.read(Whole(SUBMITTED), clues=True)).documents
    assert document.clues[0] == Clue(way="form", place="form", numbers=("D-12",))
    assert [clue.way for clue in document.clues] == ["form", "datamatrix"]
    assert document.clues[1].readings[0].ins == LOU_INS
    (document,) = (await cell.read(Whole(SUBMITTED))).documents
    assert document.clues == ()


def busy(seconds_of_drawing: int) -> bytes:
    """A PDF with a text that is read at once, and pages that are long to draw."""
    line = b"0.3 w 10 10 m 580 830 l 10 800 l 590 40 l h f*\n"
    return a_pdf(line * seconds_of_drawing * 6_000)


async def test_a_pdf_too_long_to_draw_is_still_read_for_its_words(cell: Cell) -> None:
    message = await cell.read(Whole(mixed(TEXT, attached("plan.pdf", busy(60)))), clues=True)
    (document,) = message.documents
    assert document.clues == ()
    assert Defect("pdf-unreadable") not in (*message.defects, *document.defects)


@pytest.mark.parametrize(
    "raw",
    [pdfs.image(30_000, 30_000, b"\xff" * 1000), pdfs.forms(30), pdfs.form_of_itself(), pdfs.text_bomb(10**6, 50)],
    ids=["image", "forms", "itself", "text"],
)
async def test_a_bomb_costs_a_child_and_no_message(cell: Cell, raw: bytes) -> None:
    began = time.monotonic()
    message = await cell.read(Whole(mixed(TEXT, attached("bombe.pdf", raw))), clues=True)
    assert len(message.documents) == 1
    assert time.monotonic() - began < 30
    (document,) = (await cell.read(Whole(SUBMITTED), clues=True)).documents
    assert document.clues  # the next one is read as ever
