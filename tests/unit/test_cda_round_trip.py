"""What the writer writes, the hub's own reader reads back: the same values, no doubt (cda-xdm.md §7, item 14)."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hub import ins
from hub.cda import read_archive, read_cda
from hub.cda.archive_writer import ARCHIVE_NAME, archive_as_read, write_archive
from hub.cda.rules import Unwritable
from hub.cda.stated import identity_of
from hub.cda.writer import write_cda
from hub.cda.writing import NORMAL, VISIBILITY, PdfBody, Piece, TextBody
from hub.message import Archive, Coded, Identity, Limits, LocalId, Usager
from tests.amounts import examples
from tests.pieces import ASE, CODES, DUI, EDUCATOR, GUARDIANS, LEA, LOT, MECS, MINIMAL_PDF, RECIPIENTS, form, piece

LETTERS = "abcdefghijklmnopqrstuvwxyzàâçéèêëîïôùûüÿñœæABCDEFGHIJKLMNOPQRSTUVWXYZÉÈÇ'’-"
NAMES = st.text(LETTERS, min_size=1, max_size=30).filter(lambda name: name.strip("'’- "))
SPOKEN = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc"]), max_size=60)
TITLES = SPOKEN.filter(lambda text: text.strip())
PDFS = st.binary(max_size=3000).map(lambda raw: MINIMAL_PDF + raw.replace(b"/Encrypt", b"") + b"\n%%EOF")
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-10, minutes=-30))])
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=ZONES)


@st.composite
def usagers(draw: st.DrawFn) -> Usager:
    given_names = draw(st.lists(NAMES, min_size=1, max_size=3))
    sex = draw(st.sampled_from("MF"))
    body = ("1" if sex == "M" else "2") + draw(st.sampled_from(["120538001001", "15032A004123", "99122B033999"]))
    identity = Identity(
        ins=f"{body}{ins.key_of(body):02d}",
        oid=draw(st.sampled_from(sorted(ins.OIDS))),
        local_ids=(LocalId("2.25.77", draw(st.text("0123456789/-<é'", min_size=1, max_size=12))),),
        birth_name=draw(NAMES),
        first_given=given_names[0],
        given_names=" ".join(given_names),
        used_name=draw(st.none() | NAMES),
        used_given=draw(st.none() | NAMES),
        birth_date=draw(st.dates(datetime(1990, 1, 1).date(), datetime(2019, 1, 1).date())).isoformat(),
        sex=sex,
        birth_place=draw(st.sampled_from(["38185", "2A004", "99100"])),
    )
    status = draw(st.sampled_from(["qualifiee", "validee", "provisoire"]))
    return Usager(id="u", identity=identity, ins_status=status, record_number="12", doubtful=draw(st.booleans()))


@st.composite
def pieces(draw: st.DrawFn) -> Piece:
    version = draw(st.integers(1, 9))
    created_at = draw(MOMENTS)
    return piece(
        usager=draw(usagers()),
        title=draw(TITLES),
        body=draw(PDFS.map(PdfBody) | TITLES.map(TextBody) | st.just(form(MINIMAL_PDF))),
        created_at=created_at,
        act_at=created_at - timedelta(days=draw(st.integers(0, 400))),
        act_until=draw(st.none() | st.just(created_at)),
        version=version,
        replaces="2.25.3" if version > 1 else None,
        action="replace" if version > 1 else "none",
        authors=draw(st.sampled_from([(EDUCATOR,), (DUI,), (DUI, EDUCATOR)])),
        guardians=draw(st.sampled_from([(), GUARDIANS])),
        recipients=draw(st.sampled_from([(), RECIPIENTS])),
        custodian=draw(st.sampled_from([None, ASE])),
    )


def opened(raw: bytes) -> Archive:
    return read_archive(raw, name=ARCHIVE_NAME, attachment=2, index=0, limits=Limits(), codes=CODES)


def utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(("title", "shown"), [("  Note\n du  soir ", "Note du soir"), ("No\u202ete", "Note")])
def test_a_title_is_written_as_it_will_be_shown(title: str, shown: str) -> None:
    assert piece(title=title).shown_title == shown
    assert piece(title="\u202a").shown_title == piece().type_code.label


@given(pieces())
@settings(max_examples=examples(150))
def test_the_reader_reads_back_what_was_written_and_doubts_nothing(written: Piece) -> None:
    archive = opened(write_archive((written,), LOT, CODES).raw)
    (document,) = archive.documents
    assert (archive.defects, document.defects) == ((), ())
    assert document.patient == identity_of(written)
    assert document.title == written.shown_title
    assert document.unique_id == written.unique_id
    assert (document.set_id, document.version, document.action) == (
        written.set_id,
        str(written.version),
        written.action,
    )
    assert document.replaces == ((written.replaces,) if written.replaces else ())
    assert (document.created_at, document.act_at) == (utc(written.created_at), utc(written.began_at))
    assert (document.hash_ok, document.size_ok) == (True, True)
    assert [author.person_id for author in document.authors] == [author.national_id for author in written.authors]
    assert document.custodian_id == (written.custodian or written.issuer).national_id
    match written.body:
        case PdfBody(raw):
            assert (document.level, document.body_type, document.body) == ("N1", "application/pdf", raw)
        case TextBody(text):
            assert (document.level, document.body_type, document.text) == ("N1", "text/plain", text)
        case _:
            assert (document.level, document.body) == ("N3", MINIMAL_PDF)


@given(pieces())
@settings(max_examples=examples(60))
def test_a_cda_alone_is_read_back_without_doubt(written: Piece) -> None:
    document = read_cda(write_cda(written, CODES), name=None, attachment=1, limits=Limits(), codes=CODES)
    assert document.defects == ()
    assert document.patient == identity_of(written)


@given(pieces())
@settings(max_examples=examples(40))
def test_the_same_piece_gives_the_same_bytes(written: Piece) -> None:
    one, other = (write_archive((written,), LOT, CODES) for _ in range(2))
    assert one == other


def test_codes_of_an_esms_and_classes_are_read_back() -> None:
    (document,) = opened(write_archive((piece(),), LOT, CODES).raw).documents
    assert [each.code if each else None for each in (document.facility_code, document.practice_code)] == [
        "SA20",
        "ESSMS",
    ]
    assert document.class_code is not None
    assert document.class_code.code == "10"
    assert document.format_code == Coded(
        "urn:ihe:iti:xds-sd:pdf:2008", "1.3.6.1.4.1.19376.1.2.3", "Document à corps non structuré en Pdf/A-1"
    )


@pytest.mark.parametrize(("action", "read"), [("none", "none"), ("replace", "replace"), ("delete", "delete")])
def test_the_asked_action_is_read_back(action: str, read: str) -> None:
    version = {"version": 2, "replaces": "2.25.3"} if action == "replace" else {}
    written = write_archive((piece(action=action, **version),), LOT, CODES)
    assert opened(written.raw).documents[0].action == read
    assert (written.replaces, written.deletes) == (action == "replace", action == "delete")


def test_who_may_not_see_a_document_stands_in_the_metadata() -> None:
    hidden = piece(confidentiality=(NORMAL, Coded("INVISIBLE_PATIENT", VISIBILITY)))
    written = write_archive((hidden,), LOT, CODES)
    assert [each.code for each in opened(written.raw).documents[0].confidentiality] == ["N", "INVISIBLE_PATIENT"]
    assert written.visibility == {"INVISIBLE_PATIENT"}


# --- the archive ------------------------------------------------------------------------------------------------------


def files_of(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_an_archive_has_exactly_the_files_of_the_rule() -> None:
    """cda-xdm.md §7 item 11: names, 8.3."""
    files = files_of(write_archive((piece(), piece(unique_id="2.25.5")), LOT, CODES).raw)
    assert list(files) == [
        "INDEX.HTM",
        "README.TXT",
        "IHE_XDM/",
        "IHE_XDM/SUBSET01/",
        "IHE_XDM/SUBSET01/METADATA.XML",
        "IHE_XDM/SUBSET01/DOC0001.XML",
        "IHE_XDM/SUBSET01/DOC0002.XML",
    ]
    assert files["IHE_XDM/SUBSET01/METADATA.XML"].startswith(b"<?xml")


def test_readme_is_seven_bit_with_crlf_and_index_is_well_formed_with_its_link() -> None:
    files = files_of(write_archive((piece(),), LOT, CODES).raw)
    readme = files["README.TXT"]
    assert readme.isascii()
    assert readme.count(b"\r\n") == readme.count(b"\n") == readme.count(b"\r")
    assert b"MECS Les Erables & Cie (fictive) (1990000029)" in readme
    page = etree.fromstring(files["INDEX.HTM"], etree.XMLParser(load_dtd=False, no_network=True))
    assert [a.get("href") for a in page.iter("{http://www.w3.org/1999/xhtml}a")] == [
        "README.TXT",
        "IHE_XDM/SUBSET01/DOC0001.XML",
    ]


def test_what_surrounds_the_documents_names_no_usager() -> None:
    files = files_of(write_archive((piece(),), LOT, CODES).raw)
    for name in ("INDEX.HTM", "README.TXT"):
        assert b"ESSAI" not in files[name].replace(b"essai", b"")
        assert (LEA.identity.ins or "").encode() not in files[name]


def test_an_archive_is_about_one_usager() -> None:
    """ECO.2.1.1: impossible otherwise."""
    other = replace(LEA, id="usager-2")
    with pytest.raises(Unwritable, match="several-usagers"):
        write_archive((piece(), piece(unique_id="2.25.5", usager=other)), LOT, CODES)
    renamed = replace(LEA, identity=replace(LEA.identity, birth_name="Autre"))
    with pytest.raises(Unwritable, match="several-usagers"):
        write_archive((piece(), piece(unique_id="2.25.5", usager=renamed)), LOT, CODES)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ((), "no-piece"),
        ((piece(), piece()), "twice"),
        ((piece(authors=()),), "author-absent"),
        (tuple(piece(unique_id=f"2.25.{n}") for n in range(1, 101)), "too-many-pieces"),
    ],
    ids=["nothing", "twice the same", "nobody", "a hundred"],
)
def test_an_archive_that_may_not_be_is_refused(made: tuple[Piece, ...], code: str) -> None:
    with pytest.raises(Unwritable, match=code):
        write_archive(made, LOT, CODES)


def test_a_lot_without_time_or_with_a_long_id_is_refused() -> None:
    for lot in (replace(LOT, sent_at=datetime(2026, 1, 1)), replace(LOT, unique_id="2.25." + "1" * 70)):
        with pytest.raises(Unwritable, match="bad-lot"):
            write_archive((piece(),), lot, CODES)


def test_a_structure_of_corsica_gives_a_source_id_that_is_an_oid(testkit: object) -> None:
    corsican = replace(LOT, sender=replace(EDUCATOR, structure=replace(MECS, national_id="12A0000029")))
    metadata = files_of(write_archive((piece(),), corsican, CODES).raw)["IHE_XDM/SUBSET01/METADATA.XML"]
    assert b"12A0000029^" not in metadata.split(b"sourceId")[0][-200:]
    assert b'value="2.25.' in metadata


@pytest.mark.parametrize(
    ("usager", "expected"),
    [
        (LEA, True),
        (replace(LEA, identity=replace(LEA.identity, oid=ins.NIA)), True),
        (replace(LEA, identity=replace(LEA.identity, oid=ins.TEST)), False),
        (replace(LEA, identity=replace(LEA.identity, oid=ins.DEMONSTRATION)), False),
        (replace(LEA, ins_status="validee"), False),
    ],
    ids=["NIR", "NIA", "test", "demonstration", "not qualified"],
)
def test_ins_is_qualified_only_under_a_production_authority(usager: Usager, expected: bool) -> None:
    """X-MSS-INS (ECO.2.4.2, RH-65)."""
    assert write_archive((piece(usager=usager),), LOT, CODES).ins_is_qualified is expected


def test_an_archive_that_somebody_else_made_is_described_as_ours() -> None:
    ours = write_archive((piece(), piece(unique_id="2.25.5")), LOT, CODES)
    seen = archive_as_read(ours.raw, opened(ours.raw))
    assert (seen.types, seen.identity, seen.ins_is_qualified) == (ours.types, ours.identity, True)


def test_a_doubtful_archive_of_somebody_else_is_refused() -> None:
    raw = write_archive((piece(),), LOT, CODES).raw
    archive = opened(raw[: len(raw) // 2])
    with pytest.raises(Unwritable, match="archive-doubtful"):
        archive_as_read(raw, archive)


def test_an_archive_is_dated_and_the_clock_has_no_part_in_it() -> None:
    with zipfile.ZipFile(io.BytesIO(write_archive((piece(),), LOT, CODES).raw)) as file:
        assert {info.date_time for info in file.infolist()} == {(2026, 11, 25, 17, 30, 4)}  # a zip counts in twos
