"""Whether a certificate is that of a server: by a name of its SAN, or by its fingerprint."""

from __future__ import annotations

import pytest

from hub.errors import Untrusted
from hub.trust.authorities import fingerprint
from hub.trust.names import check_name, check_pin, shown
from tests.igc import Igc

IGC = Igc()


def code(names: list[str], asked: str) -> str:
    """`""`: it fits."""
    try:
        check_name(IGC.leaf("imap.operateur.example", names).der, asked)
    except Untrusted as error:
        return error.code
    return ""


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["imap.operateur.example"], "imap.operateur.example"),
        (["imap.operateur.example"], "IMAP.Operateur.example."),
        (["a.example", "imap.operateur.example"], "imap.operateur.example"),
        (["*.operateur.example"], "imap.operateur.example"),
        (["127.0.0.1"], "127.0.0.1"),
        (["xn--hpital-dxa.example"], "xn--hpital-dxa.example"),
    ],
)
def test_a_name_that_fits(names: list[str], asked: str) -> None:
    assert code(names, asked) == ""


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["smtp.operateur.example"], "imap.operateur.example"),
        (["operateur.example"], "imap.operateur.example"),
        (["*.operateur.example"], "operateur.example"),
        (["*.operateur.example"], "a.imap.operateur.example"),
        (["i*.operateur.example"], "imap.operateur.example"),
        (["*"], "localhost"),
        (["imap.operateur.example.autre.example"], "imap.operateur.example"),
        (["127.0.0.1"], "localhost"),
        (["localhost"], "127.0.0.1"),
        (["a.example"], "n o name"),
    ],
)
def test_a_name_that_does_not(names: list[str], asked: str) -> None:
    assert code(names, asked) == "peer-other-name"


def test_the_common_name_counts_for_nothing() -> None:
    leaf = IGC.leaf("imap.operateur.example", ())
    with pytest.raises(Untrusted) as refused:
        check_name(leaf.der, "imap.operateur.example")
    assert refused.value.code == "peer-no-name"
    pin = shown(fingerprint(leaf.der))
    assert "« imap.operateur.example »" in refused.value.public
    assert f'pin: "{pin}"' in refused.value.public


def test_a_pin_is_that_of_one_certificate() -> None:
    leaf, other = IGC.leaf(names=()), IGC.leaf(names=())
    pins = frozenset({fingerprint(leaf.der), "ab" * 32})
    check_pin(leaf.der, pins)
    with pytest.raises(Untrusted, match="not a pin") as refused:
        check_pin(other.der, pins)
    assert shown(fingerprint(other.der)) in refused.value.public
