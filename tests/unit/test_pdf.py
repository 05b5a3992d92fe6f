"""PDF for archives: claims, conversion without loss, our own papers. pikepdf's validator is the judge of conformity
(veraPDF is not to be had here): it approves only what it knows to conform."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pikepdf import pdfa

from hub.errors import Misconfigured
from hub.pdf import Fact, Paper, Typefaces, archival, claim, write_paper
from hub.pdf.paper import Bullets, Grid, Heading, Words
from hub.sandbox.pdf import one_page_pdf
from tests.amounts import examples
from tests.pieces import AT, MINIMAL_PDF, archival_pdf, faces, office_pdf

PAPER = Paper(
    title="Fiche navette fictive",
    facts=(Fact("Type", "Document du secteur social / médico-social"), Fact("Usager", "ESSAI Léa")),
    blocks=(
        Heading("Motif"),
        Words("Œuvre à 12 € — « été »\n\nligne"),
        Bullets(("un", "deux")),
        Grid((), (("a", "b"),)),
    ),
    foot="Établissement fictif",
)


def words_of(raw: bytes) -> str:
    document = pypdfium2.PdfDocument(raw)
    return "\n".join(page.get_textpage().get_text_range() for page in document)


def drawn(raw: bytes) -> list[bytes]:
    return [page.render(scale=1.5).to_pil().tobytes() for page in pypdfium2.PdfDocument(raw)]


def without_the_way_it_opens(raw: bytes) -> bytes:
    """pikepdf does not look at OpenAction, which fpdf2 always writes (a place in the file: allowed by ISO 19005-1
    §6.6.1); without it every other part is judged."""
    with pikepdf.open(io.BytesIO(raw)) as pdf:
        del pdf.Root["/OpenAction"]
        written = io.BytesIO()
        pdf.save(written, **pdfa.resolve_save_kwargs("1b"))
    return written.getvalue()


# --- claims -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (MINIMAL_PDF, "1B"),
        (b"%PDF-1.7 <rdf:Description pdfaid:part='2' pdfaid:conformance='U'/> %%EOF", "2U"),
        (b'%PDF-1.7 pdfaid:part = "3"\n pdfaid:conformance = "A" %%EOF', "3A"),
        (b"%PDF-2.0 <pdfaid:part>4</pdfaid:part> %%EOF", "4"),
        (b"%PDF-1.4 %%EOF", ""),
        (MINIMAL_PDF + b"/Encrypt 5 0 R", ""),
        (b"", ""),
    ],
)
def test_the_claim_is_read_from_the_metadata(raw: bytes, expected: str) -> None:
    assert claim(raw) == expected


def test_a_pdf_that_claims_pdfa_is_kept_byte_for_byte() -> None:
    kept = archival(MINIMAL_PDF, AT)
    assert (kept.raw, kept.claim, kept.was_converted, kept.reason) == (MINIMAL_PDF, "1B", False, "")


# --- conversion -------------------------------------------------------------------------------------------------------


def test_what_an_office_program_makes_becomes_pdfa_1b_and_every_page_stays_as_it_was() -> None:
    raw = office_pdf()
    assert claim(raw) == ""
    made = archival(raw, AT)
    assert (made.claim, made.was_converted, made.reason) == ("1B", True, "")
    assert pdfa.validate_written(io.BytesIO(made.raw), "1b").passed
    assert words_of(made.raw) == words_of(raw)
    assert drawn(made.raw) == drawn(raw)


def test_a_pdf_of_word_becomes_pdfa_and_every_page_stays_as_it_was(testkit: Path) -> None:
    """The PDF inside an official N1 sample (Word 2016): none of them is PDF/A (cda-xdm.md §0)."""
    from hub.cda import Codes, read_cda
    from hub.message import Limits

    raw = (testkit / "cda/examples/DOC_NON_STRUCTURE_CDA-R2-N1.xml").read_bytes()
    body = read_cda(raw, name=None, attachment=1, limits=Limits(), codes=Codes.empty()).body
    made = archival(body, AT)
    assert made.was_converted
    assert pdfa.validate_written(io.BytesIO(made.raw), made.claim.lower()).passed
    assert drawn(made.raw) == drawn(body)


def test_the_copy_has_the_time_it_is_given_and_the_same_bytes_each_time() -> None:
    one, other = archival(office_pdf(), AT), archival(office_pdf(), AT)
    assert one == other
    assert AT.isoformat().encode() in one.raw
    assert archival(office_pdf(), datetime(2027, 1, 1, tzinfo=UTC)).raw != one.raw


def test_a_pdf_without_its_fonts_is_kept_and_the_reason_told() -> None:
    raw = one_page_pdf("Essai", ["Helvetica n'est pas dans le fichier."])
    assert archival(raw, AT) == archival(raw, AT)
    assert (archival(raw, AT).raw, archival(raw, AT).claim, archival(raw, AT).reason) == (raw, "", "pdfa-not-possible")


def test_a_pdf_with_a_password_is_kept_and_the_reason_told() -> None:
    with pikepdf.open(io.BytesIO(office_pdf())) as pdf:
        for words in ("", "secret"):
            written = io.BytesIO()
            pdf.save(written, encryption=pikepdf.Encryption(user=words, owner="o"))
            kept = archival(written.getvalue(), AT)
            assert (kept.raw, kept.reason) == (written.getvalue(), "pdf-encrypted")


def test_a_script_does_not_get_into_the_copy() -> None:
    with pikepdf.open(io.BytesIO(office_pdf())) as pdf:
        pdf.Root["/OpenAction"] = pikepdf.Dictionary(S=pikepdf.Name("/JavaScript"), JS="app.alert(1)")
        written = io.BytesIO()
        pdf.save(written)
    made = archival(written.getvalue(), AT)
    assert made.was_converted
    assert b"JavaScript" not in made.raw


def test_real_transparency_is_not_forced_into_pdfa_1() -> None:
    with pikepdf.open(io.BytesIO(office_pdf())) as pdf:
        page = pdf.pages[0]
        page.obj.Resources["/ExtGState"] = pikepdf.Dictionary(G=pikepdf.Dictionary(ca=0.5))
        page.contents_add(b"/G gs 0 0 90 90 re f")
        written = io.BytesIO()
        pdf.save(written)
    made = archival(written.getvalue(), AT)
    assert made.claim in ("2B", "")
    assert drawn(made.raw) == drawn(written.getvalue())


def test_a_note_that_nobody_sees_is_not_thrown_away_in_silence() -> None:
    with pikepdf.open(io.BytesIO(office_pdf())) as pdf:
        note = pikepdf.Dictionary(
            Type=pikepdf.Name("/Annot"), Subtype=pikepdf.Name("/Text"), Rect=[0, 0, 9, 9], F=2, Contents="caché"
        )
        pdf.pages[0].obj["/Annots"] = pikepdf.Array([pdf.make_indirect(note)])
        written = io.BytesIO()
        pdf.save(written)
    kept = archival(written.getvalue(), AT)
    assert (kept.raw, kept.reason) == (written.getvalue(), "pdfa-loss")


@given(st.binary(max_size=400), st.floats(0, 1), st.binary(max_size=6))
@settings(max_examples=examples(60))
def test_whatever_the_bytes_a_copy_comes_back_and_nothing_raises(junk: bytes, where: float, piece: bytes) -> None:
    assert archival(b"%PDF-1.4\n" + junk, AT).raw
    raw = bytearray(office_pdf())
    at = int(where * len(raw))
    raw[at : at + 6] = piece
    made = archival(bytes(raw), AT)
    assert made.was_converted or made.raw == bytes(raw)


# --- papers -----------------------------------------------------------------------------------------------------------


def test_a_paper_is_pdfa_1b_with_its_fonts_and_says_everything() -> None:
    raw = write_paper(PAPER, faces(), AT)
    assert claim(raw) == "1B"
    assert pdfa.validate_written(io.BytesIO(without_the_way_it_opens(raw)), "1b").passed
    said = words_of(raw).replace("\r\n", "\n")
    for part in (
        "Fiche navette fictive",
        "médico-social",
        "ESSAI Léa",
        "Motif",
        "Œuvre à 12 € — « été »",
        "deux",
        "page 1",
    ):
        assert part in said
    with pikepdf.open(io.BytesIO(raw)) as pdf:
        assert str(pdf.open_metadata()["xmp:CreateDate"]).startswith("2026-11-25T17:30:05")
        assert not pdf.is_encrypted


def test_a_paper_of_many_pages_is_whole() -> None:
    many = Paper(title="Long", facts=(), blocks=tuple(Words(f"paragraphe {n}. " * 20) for n in range(60)))
    raw = write_paper(many, faces(), AT)
    assert len(pypdfium2.PdfDocument(raw)) > 3
    assert all(f"paragraphe {n}." in words_of(raw) for n in range(60))


def test_the_same_paper_gives_the_same_bytes() -> None:
    assert write_paper(PAPER, faces(), AT) == write_paper(PAPER, faces(), AT)
    assert archival_pdf() == archival(archival_pdf(), AT).raw


def test_no_date_in_a_paper_is_that_of_the_clock() -> None:
    raw = write_paper(PAPER, faces(), AT)
    dates = re.findall(rb"xmp:[A-Za-z]+Date=\"([^\"]+)\"", raw)
    assert dates == [AT.astimezone(UTC).isoformat(timespec="seconds").encode()] * 3


def test_a_letter_that_the_font_lacks_is_a_question_mark_and_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    odd = Paper(title="漢字 🙂", facts=(), blocks=(Words("a\u202eb\x07c\ufeffd"),))
    said = words_of(write_paper(odd, faces(), AT))
    assert "?? ?" in said
    assert "abcd" in said
    assert "漢" not in caplog.text


@given(st.text(max_size=300), st.text(max_size=40))
@settings(max_examples=examples(25))
def test_any_words_become_a_paper(text: str, title: str) -> None:
    paper = Paper(
        title=title, facts=(Fact(title, text),), blocks=(Words(text), Bullets((text,)), Grid((title,), ((text,),)))
    )
    assert claim(write_paper(paper, faces(), AT)) == "1B"


def test_a_font_that_is_not_there_is_a_matter_of_configuration(tmp_path: Path) -> None:
    absent = Typefaces(tmp_path / "a.ttf", tmp_path / "b.ttf")
    with pytest.raises(Misconfigured, match="font file"):
        write_paper(PAPER, absent, AT)
