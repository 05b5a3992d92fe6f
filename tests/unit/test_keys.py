"""The key ring: what it seals opens again, and nothing else does."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from hub.errors import Damaged, Misconfigured
from hub.trust.keys import CHUNK, NONCE, TAG, KeyRing

RING = KeyRing({"old": b"o" * 32, "now": b"n" * 32})


def _streamed(clear: bytes, aad: bytes = b"blob", piece: int = 300_000, ring: KeyRing = RING) -> bytes:
    stream = ring.sealing(aad)
    sealed = [stream.write(clear[start : start + piece]) for start in range(0, len(clear), piece)]
    return b"".join(sealed) + stream.finish()


def _opened(sealed: bytes, aad: bytes = b"blob", piece: int = 70_000) -> bytes:
    return b"".join(RING.opening((sealed[start : start + piece] for start in range(0, len(sealed), piece)), aad))


# --- pieces


@pytest.mark.parametrize("clear", [b"", b"x", os.urandom(70_000)])
def test_what_is_sealed_opens_again(clear: bytes) -> None:
    sealed = RING.seal(clear, b"place")
    assert RING.open(sealed, b"place") == clear
    assert len(clear) < 100 or clear not in sealed


def test_two_seals_of_the_same_bytes_differ() -> None:
    assert RING.seal(b"x", b"") != RING.seal(b"x", b"")


def test_a_sealed_piece_belongs_to_its_place() -> None:
    with pytest.raises(Damaged):
        RING.open(RING.seal(b"x", b"step:1"), b"step:2")


def test_every_altered_byte_is_noticed() -> None:
    sealed = RING.seal(b"bonjour", b"place")
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises((Damaged, Misconfigured)):
            RING.open(bytes(altered), b"place")


@pytest.mark.parametrize("length", range(0, 40))
def test_a_piece_cut_short_is_damaged(length: int) -> None:
    with pytest.raises(Damaged):
        RING.open(RING.seal(b"bonjour", b"place")[:length], b"place")


def test_the_last_key_seals_and_older_ones_still_open() -> None:
    before = KeyRing({"old": b"o" * 32}).seal(b"x", b"")
    assert RING.current_id == "now"
    assert RING.open(before, b"") == b"x"


def test_a_key_that_is_not_in_the_ring_is_a_misconfiguration() -> None:
    sealed = KeyRing({"lost": b"l" * 32}).seal(b"x", b"")
    with pytest.raises(Misconfigured, match="lost"):
        RING.open(sealed, b"")


def test_another_key_under_the_same_name_does_not_open() -> None:
    with pytest.raises(Damaged):
        RING.open(KeyRing({"now": b"z" * 32}).seal(b"x", b""), b"")


# --- streams


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17])
def test_a_stream_of_any_size_opens_again(size: int) -> None:
    clear = os.urandom(size)
    assert _opened(_streamed(clear)) == clear


def test_a_stream_is_the_same_whatever_the_pieces() -> None:
    clear = os.urandom(CHUNK + 5)
    for piece in (1_000, CHUNK, 3 * CHUNK):
        assert _opened(_streamed(clear, piece=piece), piece=piece) == clear


def test_a_stream_cut_anywhere_is_damaged() -> None:
    sealed = _streamed(os.urandom(2 * CHUNK))
    chunk = NONCE + CHUNK + TAG
    header = len(sealed) - 2 * chunk
    for length in (0, 3, header - 1, header, header + 5, header + chunk - 1, header + chunk, len(sealed) - 1):
        with pytest.raises(Damaged):
            _opened(sealed[:length])


def test_chunks_cannot_be_swapped_doubled_or_taken_from_another_stream() -> None:
    chunk = NONCE + CHUNK + TAG
    sealed, other = _streamed(os.urandom(3 * CHUNK)), _streamed(os.urandom(3 * CHUNK))
    header = len(sealed) - 3 * chunk
    head, first, second, last = sealed[:header], *(sealed[header + n * chunk :][:chunk] for n in range(3))
    foreign = other[header:][:chunk]
    assert _opened(head + first + second + last)
    for forged in (
        head + second + first + last,
        head + first + first + second + last,
        head + first + last,
        head + foreign + second + last,
        other[:header] + first + second + last,
        head + first + second + last + last,
        head + first + second,
    ):
        with pytest.raises(Damaged):
            _opened(forged)


def test_a_stream_belongs_to_its_place() -> None:
    with pytest.raises(Damaged):
        _opened(_streamed(b"x"), b"elsewhere")


def test_a_piece_is_not_a_stream_and_a_stream_not_a_piece() -> None:
    with pytest.raises(Damaged):
        _opened(RING.seal(b"x", b"blob"))
    with pytest.raises(Damaged):
        RING.open(_streamed(b"x"), b"blob")


def test_no_clear_byte_is_in_the_stream() -> None:
    clear = b"Dupont Camille " * 100_000
    assert b"Dupont" not in _streamed(clear)


# --- the key file


def test_a_new_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    made = KeyRing.create(tmp_path / "data.keys")
    assert stat.S_IMODE((tmp_path / "data.keys").stat().st_mode) == 0o600
    assert KeyRing.load(tmp_path / "data.keys").open(made.seal(b"x", b""), b"") == b"x"


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    KeyRing.create(tmp_path / "data.keys")
    before = (tmp_path / "data.keys").read_bytes()
    with pytest.raises(Misconfigured, match="not overwritten"):
        KeyRing.create(tmp_path / "data.keys")
    assert (tmp_path / "data.keys").read_bytes() == before


def test_rotation_seals_with_a_new_key_and_keeps_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "data.keys"
    old = KeyRing.create(file)
    new = KeyRing.rotate(file)
    assert new.current_id != old.current_id
    assert new.open(old.seal(b"x", b""), b"") == b"x"
    assert KeyRing.load(file).current_id == new.current_id
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["data.keys"]
    with pytest.raises(Misconfigured, match=new.current_id):
        old.open(new.seal(b"x", b""), b"")


def test_a_running_process_opens_what_another_sealed_after_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "data.keys"
    KeyRing.create(file)
    running = KeyRing.load(file)
    new = KeyRing.rotate(file)
    assert running.open(new.seal(b"x", b""), b"") == b"x"
    stream = new.sealing(b"")
    sealed = [bytes(stream.write(b"yz")), bytes(stream.finish())]
    assert b"".join(running.opening(sealed, b"")) == b"yz"
    assert running.current_id != new.current_id
    stranger = KeyRing({"k9": b"9" * 32})
    with pytest.raises(Misconfigured, match="k9 is not in the ring"):
        running.open(stranger.seal(b"x", b""), b"")


def test_a_file_without_its_last_line_end_can_be_rotated(tmp_path: Path) -> None:
    file = tmp_path / "data.keys"
    file.write_text(f"# notre clé\n\nk1:{base64.b64encode(b'1' * 32).decode()}".replace("é", "e"))
    assert KeyRing.rotate(file).open(KeyRing({"k1": b"1" * 32}).seal(b"x", b""), b"") == b"x"


GOOD = base64.b64encode(b"1" * 32).decode()


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        (f"k1:{GOOD}\nk2\n", ":2", "id:base64"),
        (f"k1:{GOOD}\nk1:{GOOD}\n", ":2", "twice"),
        ("# one\nk1:not base64!\n", ":2", "not base64"),
        (f"k1:{GOOD[:20]}\n", ":1", "bytes"),
        (f"a name with blanks:{GOOD}\n", ":1", "id"),
        (f"{'k' * 17}:{GOOD}\n", ":1", "id"),
        ("# nothing\n\n", ":1", "no key"),
    ],
)
def test_a_bad_key_file_is_named_with_its_line_and_no_key(tmp_path: Path, text: str, where: str, why: str) -> None:
    file = tmp_path / "data.keys"
    file.write_text(text)
    with pytest.raises(Misconfigured) as caught:
        KeyRing.load(file)
    assert f"{file}{where} - " in caught.value.private
    assert why in caught.value.private
    assert GOOD[:10] not in caught.value.private


def test_a_missing_or_unreadable_key_file_is_a_misconfiguration(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="hub init"):
        KeyRing.load(tmp_path / "none.keys")
    (tmp_path / "binary.keys").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured):
        KeyRing.load(tmp_path / "binary.keys")
    with pytest.raises(Misconfigured):
        KeyRing.create(tmp_path / "no folder" / "data.keys")
    with pytest.raises(Misconfigured):
        KeyRing.rotate(tmp_path / "none.keys")
