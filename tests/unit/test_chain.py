"""The chain of a certificate, from the known authorities alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Untrusted
from hub.trust.chain import chain_of
from hub.trust.names import check_name
from tests.igc import Igc, now

IGC = Igc("http://127.0.0.1:1")
LEAF = IGC.leaf()
BOTH = (IGC.organisations.der, IGC.root.der)


def test_it_goes_up_to_the_root() -> None:
    assert chain_of(LEAF.der, BOTH[:1], BOTH, now()) == (LEAF.der, *BOTH)
    assert chain_of(LEAF.der, BOTH[:1], BOTH[::-1], now()) == (LEAF.der, *BOTH)


def test_without_root_it_ends_with_the_highest_that_is_known() -> None:
    assert chain_of(LEAF.der, BOTH[:1], BOTH[:1], now()) == (LEAF.der, *BOTH[:1])
    assert chain_of(LEAF.der, (LEAF.der,), (LEAF.der,), now()) == (LEAF.der,)


def test_an_anchor_stands_in_it() -> None:
    other = IGC.leaf(issuer=IGC.root)
    with pytest.raises(Untrusted) as refused:
        chain_of(other.der, BOTH[:1], BOTH, now())
    assert refused.value.code == "peer-wrong-authority"


def test_who_knows_nobody_believes_nobody() -> None:
    with pytest.raises(Untrusted) as refused:
        chain_of(LEAF.der, (), (), now())
    assert refused.value.code == "peer-unknown-authority"


@given(st.integers(0, 5_000), st.integers(1, 255))
def test_whatever_is_changed_in_a_certificate_it_is_refused(place: int, flip: int) -> None:
    raw = bytearray(LEAF.der)
    raw[place % len(raw)] ^= flip
    with pytest.raises(Untrusted):
        chain_of(bytes(raw), BOTH[:1], BOTH, now())


@given(st.integers(0, 5_000), st.integers(1, 255))
def test_a_changed_certificate_is_no_exception_of_anybody_elses(place: int, flip: int) -> None:
    """The chain is looked at by OpenSSL first: what it lets through is read once more, by another library."""
    raw = bytearray(LEAF.der)
    raw[place % len(raw)] ^= flip
    try:
        check_name(bytes(raw), "localhost")
    except Untrusted as error:
        assert error.public  # noqa: PT017  (either outcome is right; any other exception is not)
