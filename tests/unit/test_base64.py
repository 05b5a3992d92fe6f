"""Base64 to the letter, whole or piece by piece: the same bytes or the same refusal."""

from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub import base64 as ours
from tests.amounts import examples

LETTERS = st.lists(st.sampled_from([b"QUJD", b"QQ==", b"QUI=", b"Q", b"=", b"\r\n", b" ", b"\t", b"+/", b"!", b"\xe9"]))


def whole(written: bytes) -> bytes | None:
    letters = written.translate(None, b"\r\n \t")
    if len(letters) % 4 or letters.endswith(b"==="):
        return None
    try:
        return binascii.a2b_base64(letters, strict_mode=True)
    except binascii.Error:
        return None


@settings(max_examples=examples(300), deadline=None)
@given(LETTERS.map(b"".join), st.integers(1, 9))
def test_pieces_say_what_the_whole_says(written: bytes, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, "PIECE", piece)
        assert ours.strict(memoryview(written)) == whole(written)


def test_a_long_content_comes_out_whole() -> None:
    content = bytes(range(256)) * 60_000
    assert ours.strict(base64.encodebytes(content)) == content
    assert ours.strict(base64.encodebytes(content)[:-10]) is None


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=400), st.sampled_from([8, 32, 33, 76]), st.integers(0, 600), st.binary(max_size=3), st.data())
def test_lines_of_one_length_say_what_any_lines_say(
    content: bytes, width: int, at: int, odd: bytes, data: st.DataObject
) -> None:
    letters = base64.b64encode(content)
    end = data.draw(st.sampled_from([b"\r\n", b"\r\n\r\n", b"\r", b""]))
    written = b"\r\n".join(letters[start : start + width] for start in range(0, len(letters), width)) + end
    assert ours.strict(written) == content
    bent = written[:at] + odd + written[at + data.draw(st.integers(0, 3)) :]
    assert ours.strict(bent) == whole(bent)
