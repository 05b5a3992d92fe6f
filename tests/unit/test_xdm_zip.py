"""Zip files that an archive must not be: each is refused with its reason, in memory, quickly."""

from __future__ import annotations

import io
import stat
import struct
import time
import warnings
import zipfile
import zlib

import pytest

from hub.cda import Codes, looks_like_archive, read_archive
from hub.message import Archive, Limits
from tests.cdamaker import FOLDER, archive_files, make_archive, zip_of


def read(raw: bytes, limits: Limits | None = None) -> Archive:
    return read_archive(raw, name="IHE_XDM.ZIP", attachment=1, index=0, limits=limits or Limits(), codes=Codes.empty())


def graves(archive: Archive) -> set[str]:
    return {defect.code for defect in archive.defects if defect.grave}


def with_entry(name: str, raw: bytes = b"x", **attributes: int) -> bytes:
    """A conformant archive with one entry more, whose directory says what is given."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in archive_files().items():
            archive.writestr(path, content)
        entry = zipfile.ZipInfo(name)
        entry.compress_type = zipfile.ZIP_DEFLATED
        for attribute, value in attributes.items():
            setattr(entry, attribute, value)
        archive.writestr(entry, raw)
    return stream.getvalue()


@pytest.mark.parametrize(
    "name",
    ["../evil.xml", "IHE_XDM/../../evil.xml", "/etc/evil", "C:evil.xml", "C:\\evil.xml", "..\\evil.xml", "a\nb.xml"],
)
def test_a_name_that_leads_elsewhere_refuses_the_archive(name: str) -> None:
    archive = read(with_entry(name))
    assert graves(archive) == {"unsafe-name"}
    assert archive.documents == ()


def test_a_nul_in_a_name_is_seen_though_the_library_cuts_it() -> None:
    raw = with_entry("IHE_XDM/SUBSET01/EVILQXML").replace(b"EVILQXML", b"EVIL\x00XML")
    assert graves(read(raw)) == {"unsafe-name"}


def test_a_symbolic_link_refuses_the_archive() -> None:
    archive = read(with_entry("IHE_XDM/SUBSET01/LINK", external_attr=(stat.S_IFLNK | 0o777) << 16))
    assert graves(archive) == {"link"}
    assert archive.documents == ()


def test_an_encrypted_entry_refuses_the_archive() -> None:
    raw = bytearray(make_archive())
    at = raw.rfind(b"PK\x01\x02")
    raw[at + 8] |= 1
    archive = read(bytes(raw))
    assert graves(archive) == {"encrypted"}
    assert archive.documents == ()


@pytest.mark.parametrize(
    "name", ["IHE_XDM/SUBSET01/DOC0001.XML", "ihe_xdm/subset01/doc0001.xml", "IHE_XDM\\SUBSET01\\DOC0001.XML"]
)
def test_two_entries_of_one_name_refuse_the_archive(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the library warns of what is done here on purpose
        raw = with_entry(name, b"<evil/>")
    archive = read(raw)
    assert graves(archive) == {"duplicate-name"}
    assert archive.documents == ()


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    raw = with_entry("IHE_XDM/SUBSET01/BIG.XML", b" " * 40 * 1024**2)
    start = time.perf_counter()
    archive = read(raw)
    assert time.perf_counter() - start < 0.1
    assert graves(archive) == {"bomb"}
    assert archive.documents == ()


def test_the_sum_of_all_files_has_a_bound() -> None:
    assert graves(read(make_archive(), Limits(unpacked=5_000))) == {"bomb"}


def test_a_size_that_lies_downward_does_not_unpack_more() -> None:
    """The directory says 10 bytes, the stream holds 40 MB; its CRC is that of the first ten."""
    big = b" " * 40 * 1024**2
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{FOLDER}METADATA.XML", big)
    raw = bytearray(stream.getvalue())
    lie = struct.pack("<I", zlib.crc32(big[:10])), struct.pack("<I", 10)
    directory = raw.rfind(b"PK\x01\x02")
    raw[14:18], raw[22:26] = lie
    raw[directory + 16 : directory + 20], raw[directory + 24 : directory + 28] = lie
    found = read(bytes(raw))
    assert graves(found) == {"bad-zip"}


def test_overlapping_entries_are_a_bomb() -> None:
    raw = bytearray(make_archive())
    first = raw.find(b"PK\x01\x02")
    second = raw.find(b"PK\x01\x02", first + 4)
    raw[second + 42 : second + 46] = raw[first + 42 : first + 46]
    assert graves(read(bytes(raw))) == {"bomb"}


def test_too_many_entries_are_refused_without_reading_them() -> None:
    files = {f"F{number}": b"" for number in range(600)}
    assert graves(read(zip_of(files))) == {"too-many-entries"}
    assert graves(read(make_archive(), Limits(entries=3))) == {"too-many-entries"}


def test_a_directory_that_lies_about_its_count_is_not_believed() -> None:
    raw = bytearray(zip_of({f"F{number}": b"" for number in range(600)}))
    end = raw.rfind(b"PK\x05\x06")
    raw[end + 8 : end + 12] = struct.pack("<HH", 1, 1)
    assert graves(read(bytes(raw))) == {"too-many-entries"}


def test_other_methods_of_compression_are_refused() -> None:
    assert graves(read(zip_of(archive_files(), zipfile.ZIP_LZMA))) == {"bad-zip"}


def test_stored_entries_are_read() -> None:
    archive = read(zip_of(archive_files(), zipfile.ZIP_STORED))
    assert archive.defects == ()
    assert len(archive.documents) == 1


def test_a_wrong_checksum_of_a_document_leaves_no_document() -> None:
    raw = bytearray(zip_of(archive_files(), zipfile.ZIP_STORED))
    at = raw.find(b"Note de suivi", raw.find(b"<ClinicalDocument"))
    raw[at] ^= 1
    archive = read(bytes(raw))
    assert graves(archive) == {"bad-zip"}
    assert archive.documents == ()


def test_damage_in_a_file_beside_is_a_grave_doubt_and_the_document_stays() -> None:
    raw = bytearray(zip_of(archive_files(), zipfile.ZIP_STORED))
    raw[raw.find(b"Emis par")] ^= 1
    archive = read(bytes(raw))
    assert graves(archive) == {"bad-zip"}
    assert len(archive.documents) == 1


def test_a_local_name_other_than_that_of_the_directory_is_refused() -> None:
    raw = make_archive().replace(b"DOC0001.XML", b"DOC0002.XML", 1)
    archive = read(raw)
    assert graves(archive) == {"bad-zip"}
    assert archive.documents == ()


@pytest.mark.parametrize(
    "raw", [b"", b"not a zip", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), make_archive()[:-30], make_archive()[:400]]
)
def test_what_is_no_zip_is_said(raw: bytes) -> None:
    archive = read(raw)
    assert graves(archive) <= {"bad-zip", "no-metadata"}
    assert graves(archive)
    assert archive.documents == ()


def test_a_zip_inside_is_not_opened() -> None:
    files = archive_files()
    files[f"{FOLDER}INNER.ZIP"] = make_archive()
    archive = read(zip_of(files))
    assert archive.defects == ()
    assert len(archive.documents) == 1


def test_a_zip_after_foreign_bytes_is_read() -> None:
    assert len(read(b"some bytes before" + make_archive()).documents) == 1


# --- is it an archive? ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["IHE_XDM.ZIP", "ihe_xdm.zip", " IHE_XDM.Zip ", "C:\\temp\\IHE_XDM.ZIP"])
def test_the_name_alone_makes_an_archive_even_of_broken_bytes(name: str) -> None:
    assert looks_like_archive(b"not a zip", name, "application/octet-stream")


@pytest.mark.parametrize(
    "folder", [FOLDER, "ihe_xdm/lucy_0/", "samplexdm/IHE_XDM/SUBSET01/", "IHE_XDM\\SUBSET01\\", ""]
)
def test_a_zip_with_metadata_is_an_archive_under_any_name(folder: str) -> None:
    raw = make_archive(folder=folder)
    assert looks_like_archive(raw, "envoi.zip", "application/zip")
    assert looks_like_archive(raw, None, "application/octet-stream")


def test_another_zip_is_none() -> None:
    assert not looks_like_archive(zip_of({"word/document.xml": b"<w/>"}), "lettre.docx", "application/octet-stream")
    assert not looks_like_archive(zip_of({"my_metadata.xml": b"<w/>"}), "a.zip", "application/zip")
    assert not looks_like_archive(zip_of({"META-INF/metadata.xml": b"<w/>"}), "livre.epub", "application/epub+zip")
    assert not looks_like_archive(b"%PDF-1.4 METADATA.XML", "a.pdf", "application/pdf")
    assert not looks_like_archive(b"PK\x03\x04 METADATA.XML", "a.zip", "application/zip")
