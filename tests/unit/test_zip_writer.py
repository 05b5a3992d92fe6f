"""The zip writer against the zip readers that there are: Python's, the hub's own, Info-ZIP's when it is installed."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cda.zip_writer import Entry, Packing, zipped
from hub.cda.zipsafe import open_shelf
from hub.message import Limits
from tests.amounts import examples

AT = datetime(2026, 11, 25, 17, 30, 5)
ENTRIES = st.lists(
    st.builds(
        Entry,
        st.text("ABCXYZ0189_", min_size=1, max_size=8).map(lambda name: f"IHE_XDM/{name}.XML"),
        st.binary(max_size=3000) | st.text("abc +/", max_size=3000).map(str.encode),
        st.sampled_from(Packing),
    ),
    max_size=6,
    unique_by=lambda entry: entry.name,
)


@given(ENTRIES)
@settings(max_examples=examples(150))
def test_every_reader_finds_what_was_put_in(entries: list[Entry]) -> None:
    raw = zipped([Entry("IHE_XDM/", b""), *entries], AT)
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        assert file.testzip() is None
        assert file.namelist() == ["IHE_XDM/", *(entry.name for entry in entries)]
        assert [file.read(entry.name) for entry in entries] == [entry.raw for entry in entries]
        assert {info.date_time for info in file.infolist()} == {(2026, 11, 25, 17, 30, 4)}
        assert file.getinfo("IHE_XDM/").is_dir()
    shelf = open_shelf(raw, Limits())
    assert shelf.defects == ()
    assert {path: shelf.read(path) for path in shelf.files} == {entry.name: entry.raw for entry in entries}


@given(ENTRIES)
@settings(max_examples=examples(30))
def test_the_same_entries_give_the_same_bytes(entries: list[Entry]) -> None:
    assert zipped(entries, AT) == zipped(list(entries), AT)


def test_huffman_coding_alone_is_as_small_as_deflate_where_the_content_is_packed_already() -> None:
    import base64
    import random

    body = base64.b64encode(random.Random(1).randbytes(40_000))
    sizes = {packing: len(zipped([Entry("A", body, packing)], AT)) for packing in Packing}
    assert sizes[Packing.CODED] < 0.77 * sizes[Packing.STORED]
    assert sizes[Packing.CODED] < 1.01 * sizes[Packing.DEFLATED]


def test_info_zip_finds_no_fault(tmp_path: Path) -> None:
    program = shutil.which("unzip")
    if program is None:
        pytest.skip("unzip is not installed")
    entries = [
        Entry("INDEX.HTM", b"<html/>"),
        Entry("IHE_XDM/", b""),
        Entry("IHE_XDM/A.XML", b"a" * 999, Packing.CODED),
    ]
    (tmp_path / "a.zip").write_bytes(zipped(entries, AT))
    done = subprocess.run([program, "-t", str(tmp_path / "a.zip")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "No errors detected" in done.stdout
