"""Lists of revoked certificates: what counts, and everything that does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asn1crypto import core
from asn1crypto import crl as asn1_crl
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import example, given
from hypothesis import strategies as st

from hub.trust.crl import RevocationList, named_points, read_list
from hub.trust.statements import StatementRefused, fault_of
from tests.igc import Igc, now

POINT = "http://127.0.0.1:1/CRL/ORG.crl"
IGC = Igc("http://127.0.0.1:1")
LEAF = IGC.leaf()
ISSUER = IGC.organisations.certificate
WHOLE = IGC.crl(IGC.leaf("revoked"), LEAF)
REASONS = frozenset({x509.ReasonFlags.key_compromise})


def scope(**more: object) -> x509.IssuingDistributionPoint:
    said: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**said, **more})  # type: ignore[arg-type]


def read(raw: bytes) -> RevocationList:
    return read_list(raw, ISSUER)


def code(raw: bytes, issuer: x509.Certificate = ISSUER) -> str:
    with pytest.raises(StatementRefused) as refused:
        read_list(raw, issuer)
    return refused.value.code


def test_a_list_says_who_is_revoked_and_until_when_it_counts() -> None:
    other = IGC.leaf("other")
    found = read(IGC.crl(other))
    assert found.covers(LEAF.certificate, POINT)
    assert not found.lists(LEAF.certificate.serial_number)
    assert found.lists(other.certificate.serial_number)
    assert found.authority == "AC ELEMENTAIRE ORGANISATIONS ESSAI"
    assert fault_of(found, now()) == ""
    assert fault_of(found, found.next_update) == "ended"
    assert fault_of(found, found.this_update - timedelta(minutes=4)) == ""  # clocks differ a little
    assert fault_of(found, found.this_update - timedelta(minutes=6)) == "early"


@pytest.mark.parametrize("page", [b"", b"<html>Request unsuccessful. Incapsula incident</html>", b"0\x82\x01", b"\x30"])
def test_a_page_is_no_list(page: bytes) -> None:
    assert code(page) == "not-der"


def test_a_cut_or_longer_list_is_none() -> None:
    raw = IGC.crl()
    assert {code(raw[:-1]), code(raw + b"\0"), code(LEAF.der)} == {"not-der"}


def test_only_the_authority_itself_signs_its_list() -> None:
    assert code(IGC.crl(key=IGC.root.key)) == "not-its-signature"
    assert code(IGC.crl(issuer=IGC.root)) == "other-issuer"
    assert code(IGC.crl(issuer=LEAF), LEAF.certificate) == "not-its-signature"  # no authority: may sign no list
    assert code(Igc(branch="AUTRE").crl()) == "other-issuer"


def test_a_changed_list_is_refused() -> None:
    raw = bytearray(IGC.crl(LEAF))
    place = raw.index(LEAF.certificate.serial_number.to_bytes(2, "big"))
    raw[place + 1] ^= 1
    assert code(bytes(raw)) == "not-its-signature"


def test_a_weak_signature_is_refused() -> None:
    """Made by hand: the library signs with SHA-1 no more, and would still believe it."""
    crl = asn1_crl.CertificateList.load(IGC.crl())
    crl["tbs_cert_list"]["signature"]["algorithm"] = crl["signature_algorithm"]["algorithm"] = "sha1_rsa"
    signature = IGC.organisations.key.sign(crl["tbs_cert_list"].dump(), padding.PKCS1v15(), hashes.SHA1())
    crl["signature"] = core.OctetBitString(signature)
    assert code(crl.dump(force=True)) == "weak-signature"


@pytest.mark.parametrize(
    "extension",
    [
        scope(indirect_crl=True),
        scope(only_some_reasons=REASONS),
        scope(only_contains_attribute_certs=True),
        x509.DeltaCRLIndicator(1),
    ],
)
def test_what_is_not_the_whole_list_is_refused(extension: x509.ExtensionType) -> None:
    assert code(IGC.crl(extensions=[(extension, True)])) == "not-whole"


def test_a_critical_extension_that_nobody_knows_is_refused_and_another_is_not() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert code(IGC.crl(extensions=[(unknown, True)])) == "critical-extension"
    assert read(IGC.crl(extensions=[(unknown, False)])).covers(LEAF.certificate, POINT)


def test_a_list_for_others_says_nothing_of_this_certificate() -> None:
    authorities = read(IGC.crl(extensions=[(scope(only_contains_ca_certs=True), True)]))
    assert not authorities.covers(LEAF.certificate, POINT)
    assert authorities.covers(ISSUER, POINT)
    leaves = read(IGC.crl(extensions=[(scope(only_contains_user_certs=True), True)]))
    assert leaves.covers(LEAF.certificate, POINT)
    assert not leaves.covers(ISSUER, POINT)


def test_a_part_of_a_list_counts_for_those_who_name_its_point() -> None:
    def part(url: str) -> RevocationList:
        names = [x509.UniformResourceIdentifier(url)]
        return read(IGC.crl(extensions=[(scope(full_name=names), True)]))

    assert part(POINT).covers(LEAF.certificate, "http://127.0.0.1:1/fallback.crl")
    assert not part("http://127.0.0.1:1/CRL/PART-2.crl").covers(LEAF.certificate, POINT)


def test_points_are_read_and_those_for_some_reasons_only_are_not() -> None:
    assert named_points(LEAF.certificate) == (POINT, "ldap://annuaire.example/CN=AC?certificaterevocationlist;binary")
    assert named_points(IGC.leaf(has_points=False).certificate) == ()


@example(10, 1)  # another version
@given(st.integers(0, 5_000), st.integers(1, 255))
def test_whatever_is_changed_in_a_list_it_is_refused(place: int, flip: int) -> None:
    raw = bytearray(WHOLE)
    raw[place % len(raw)] ^= flip
    assert code(bytes(raw))


@given(st.binary(max_size=300))
def test_junk_is_refused(raw: bytes) -> None:
    assert code(raw) == "not-der"
