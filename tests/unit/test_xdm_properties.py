"""Whatever the bytes, reading an archive or a document gives an answer and never raises."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cda import Codes, looks_like_archive, looks_like_cda, read_archive, read_cda
from hub.message import Archive, Limits
from tests.amounts import examples
from tests.cdamaker import FOLDER, Sample, archive_files, make_archive, make_cda, make_metadata, zip_of
from tests.hostile.zips import honest, written

LIMITS = Limits(unpacked=1024**2, entries=20)
WHOLE = make_archive(Sample(), Sample(unique_id="2.25.2", file="DOC0002.XML", body=None))
STORED = zip_of(archive_files(), method=0)
METADATA, CDA = make_metadata([Sample()]), make_cda(Sample())
Spots = list[tuple[float, bytes]]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SPOTS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6)), min_size=1, max_size=8)


def read(raw: bytes) -> Archive:
    looks_like_archive(raw, None, "application/zip")
    return read_archive(raw, name="IHE_XDM.ZIP", attachment=1, index=0, limits=LIMITS, codes=Codes.empty())


def mutated(raw: bytes, spots: Spots) -> bytes:
    """Bytes written over, put in or taken out (an empty piece) at some places."""
    changed = bytearray(raw)
    for number, (where, piece) in enumerate(spots):
        at = int(where * len(changed))
        changed[at : at + (len(piece) if number % 2 else 0 if piece else 4)] = piece
    return bytes(changed)


@given(st.binary(max_size=500))
@settings(max_examples=examples(150), deadline=None)
def test_arbitrary_bytes_never_raise(raw: bytes) -> None:
    assert read(raw).documents == ()
    assert read(b"PK\x03\x04" + raw + WHOLE[-120:]) is not None
    read_cda(raw, name=None, attachment=1, limits=LIMITS, codes=Codes.empty())
    looks_like_cda(raw)


@given(st.sampled_from([WHOLE, STORED]), SPOTS)
@settings(max_examples=examples(300), deadline=None)
def test_a_mutated_archive_never_raises_and_a_document_is_never_taken_for_right(whole: bytes, spots: Spots) -> None:
    archive = read(mutated(whole, spots))
    sound = {document.sha256 for document in read(whole).documents}
    for document in archive.documents:
        grave = any(defect.grave for defect in (*archive.defects, *document.defects))
        assert document.sha256 in sound or document.hash_ok is not True or grave


@given(SPOTS)
@settings(max_examples=examples(200), deadline=None)
def test_mutated_metadata_never_raise(spots: Spots) -> None:
    read(zip_of({f"{FOLDER}METADATA.XML": mutated(METADATA, spots), f"{FOLDER}DOC0001.XML": CDA}, method=0))


@given(SPOTS)
@settings(max_examples=examples(200), deadline=None)
def test_a_mutated_document_never_raises(spots: Spots) -> None:
    raw = mutated(CDA, spots)
    document = read_cda(raw, name=None, attachment=1, limits=LIMITS, codes=Codes.empty())
    assert document.raw == raw
    looks_like_cda(raw)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=20)), max_size=6, unique_by=lambda pair: pair[0]))
@settings(max_examples=examples(150), deadline=None)
def test_any_names_of_entries_never_raise(files: list[tuple[str, bytes]]) -> None:
    named = {name: raw for name, raw in files if name.partition("\x00")[0]}  # the writer cuts at NUL
    read(zip_of({**named, **archive_files()}))


NUMBERS = st.integers(0, 40) | st.integers(0, 0xFFFFFFFF) | st.sampled_from([8, 9, 0x800, 0xFFFF, 0xFFFFFFFF])
LIES = st.fixed_dictionaries(
    {},
    optional={
        "method": NUMBERS.map(lambda n: n & 0xFFFF),
        "flags": NUMBERS.map(lambda n: n & 0xFFFF),
        "local_flags": NUMBERS.map(lambda n: n & 0xFFFF),
        "claimed": NUMBERS,
        "claimed_packed": NUMBERS,
        "local_claimed": NUMBERS,
        "offset": NUMBERS,
        "crc": NUMBERS,
        "extra": st.binary(max_size=40),
        "local_extra": st.binary(max_size=40),
        "comment": st.binary(max_size=40),
        "mode": NUMBERS,
        "local_name": st.binary(max_size=30),
    },
)


@given(st.integers(0, len(honest()) - 1), LIES, st.binary(max_size=30), st.integers(-50, 50))
@settings(max_examples=examples(300), deadline=None)
def test_a_lie_of_a_directory_never_raises_and_never_passes_for_the_truth(
    place: int, lies: dict[str, object], before: bytes, shift: int
) -> None:
    entries = list(honest())
    entries[place] = replace(entries[place], **lies)  # type: ignore[arg-type]
    archive = read(written(entries, before=before, shift=shift))
    sound = {document.sha256 for document in read(WHOLE).documents}
    for document in archive.documents:
        grave = any(defect.grave for defect in (*archive.defects, *document.defects))
        assert document.sha256 in sound or grave
