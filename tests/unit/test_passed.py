"""An ordinary mail made fit for a signature: whatever its structure, it is written again or refused in plain words."""

from __future__ import annotations

import email
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.compose.dispatch import Undispatchable
from hub.compose.passed import canonical, entity_of
from hub.smime.signing import why_not_canonical

WORDS = "À l'attention de l'équipe : la synthèse est prête.\r\nFrom ici, tout va bien.\r\n.\r\n"


def test_her_words_are_the_same_after_it_and_no_relay_can_change_them() -> None:
    raw = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + WORDS.encode()
    entity = canonical(entity_of(raw))
    assert entity.isascii()
    assert why_not_canonical(entity) == ""
    read = email.message_from_bytes(entity).get_payload(decode=True)
    assert isinstance(read, bytes)
    assert read.decode().splitlines() == WORDS.splitlines()


def test_a_structure_that_cannot_be_written_again_is_refused_in_plain_words() -> None:
    """Found by bending the fuzzer's mails: the library reads this, and cannot write it."""
    raw = b"Content-Type: message/\n\nContent-Type: multipart/\n\x92"
    with pytest.raises(Undispatchable) as refused:
        canonical(entity_of(raw))
    assert refused.value.code == "odd-structure"
    assert "rien n'a été envoyé" in refused.value.public


TYPES = (
    "multipart/mixed; boundary=b",
    "multipart/",
    "message/rfc822",
    "message/delivery-status",
    "message/",
    "text/html",
)
marks = st.sampled_from([b"\n--b\n", b"\n--b--\n", b"\n\n", b"Content-Transfer-Encoding: base64\n", b"=?x?q?\xe9?="])
pieces = st.one_of(
    st.binary(max_size=40), marks, st.sampled_from(TYPES).map(lambda kind: f"Content-Type: {kind}\n".encode())
)


@given(st.lists(pieces, max_size=12).map(b"".join))
def test_nothing_else_is_ever_raised(raw: bytes) -> None:
    with suppress(Undispatchable):
        canonical(entity_of(raw))
