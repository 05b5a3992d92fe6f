"""Opaque S/MIME: the content taken out, DER or BER, streamed or not; what cannot be opened says why."""

from __future__ import annotations

import time

import pytest
from asn1crypto import cms, core
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cda import Codes
from hub.message import Limits, SignatureSeen
from hub.parse import parse
from hub.smime import unwrap
from tests.mailmaker import PDF, TEXT, attached, lines64, mail, mixed, multipart, part

INNER = b"Content-Type: text/plain; charset=utf-8\r\n\r\nContenu sign\xc3\xa9\r\n"


def signed(content: bytes | None, signers: int = 1) -> bytes:
    """A signed-data in DER; the signer is a shape without a real signature, since nothing is verified here."""
    signer = cms.SignerInfo(
        {
            "version": "v3",
            "sid": cms.SignerIdentifier(name="subject_key_identifier", value=b"fictif"),
            "digest_algorithm": {"algorithm": "sha256"},
            "signature_algorithm": {"algorithm": "sha256_rsa"},
            "signature": bytes(256),
        }
    )
    inner: dict[str, object] = {"content_type": "data"}
    if content is not None:
        inner["content"] = content
    data = cms.SignedData(
        {
            "version": "v3",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": inner,
            "signer_infos": [signer] * signers,
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": data}).dump())


def element(tag: int, *contents: bytes) -> bytes:
    """An indefinite-length element."""
    return bytes([tag, 0x80]) + b"".join(contents) + b"\0\0"


def piece(raw: bytes) -> bytes:
    """A primitive OCTET STRING."""
    return bytes(core.OctetString(raw).dump())


def streamed(*pieces: bytes) -> bytes:
    """A signed-data as a streaming writer makes it: every length indefinite, the content in pieces."""
    data_oid = bytes(core.ObjectIdentifier("1.2.840.113549.1.7.1").dump())
    signed_oid = bytes(core.ObjectIdentifier("1.2.840.113549.1.7.2").dump())
    content = element(0x30, data_oid, element(0xA0, element(0x24, *pieces)))
    return element(0x30, signed_oid, element(0xA0, element(0x30, b"\x02\x01\x01", b"\x31\x00", content, b"\x31\x00")))


def opaque(
    content: bytes, content_type: str = "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m"
) -> bytes:
    return part(content_type, lines64(content), [("Content-Transfer-Encoding", "base64")])


def test_the_content_comes_out_of_der() -> None:
    assert unwrap(signed(INNER)).content == INNER


def test_the_content_comes_out_of_ber_in_pieces() -> None:
    middle = len(INNER) // 2
    assert unwrap(streamed(piece(INNER[:middle]), piece(INNER[middle:]))).content == INNER
    nested = b"\x24" + bytes([len(piece(INNER))]) + piece(INNER)
    assert unwrap(streamed(piece(b"avant"), nested)).content == b"avant" + INNER
    assert unwrap(streamed()).content == b""


def test_many_small_pieces_are_joined_in_linear_time() -> None:
    start = time.process_time()
    assert unwrap(streamed(*[piece(b"abcd")] * 200_000)).content == b"abcd" * 200_000
    assert time.process_time() - start < 3


def test_what_is_encrypted_says_so() -> None:
    for oid in ("1.2.840.113549.1.7.3", "1.2.840.113549.1.9.16.1.23", "1.2.840.113549.1.7.6"):
        raw = element(0x30, bytes(core.ObjectIdentifier(oid).dump()), element(0xA0, element(0x30)))
        defect = unwrap(raw).defect
        assert defect is not None
        assert (defect.code, defect.grave) == ("encrypted-message", True)


@pytest.mark.parametrize(
    "raw", [b"", b"0", b"\x30\x80" * 1_000, signed(INNER)[:60], b"-----BEGIN CMS-----\nx", bytes(99)]
)
def test_what_is_no_cms_is_unreadable(raw: bytes) -> None:
    opened = unwrap(raw)
    assert opened.content is None
    assert opened.defect is not None
    assert opened.defect.code == "p7m-unreadable"


def test_a_signature_without_content_is_unreadable_and_bare_certificates_are_nothing() -> None:
    defect = unwrap(signed(None)).defect
    assert defect is not None
    assert defect.code == "p7m-unreadable"
    assert unwrap(signed(None, signers=0)).defect is None


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=0, max_size=6), st.integers(0, 8))
def test_no_bytes_make_it_raise(place: int, put: bytes, cut: int) -> None:
    for good in (signed(INNER), streamed(piece(INNER))):
        at = place % len(good)
        opened = unwrap(good[:at] + put + good[at + cut :])
        assert opened.content is None or opened.defect is None


def test_the_leaves_of_an_opaque_mail_are_found() -> None:
    inner = multipart("=_in", TEXT, attached("a.pdf", PDF))
    declared = "application/x-pkcs7-mime; smime-type=signed-data; name=smime.p7m"
    raw = mail(
        headers=[("Content-Type", declared), ("Content-Transfer-Encoding", "base64")], body=lines64(signed(inner))
    )
    message = parse(raw, Limits(), Codes.empty())
    assert [(leaf.number, leaf.path, leaf.name) for leaf in message.attachments] == [
        (1, "1.1", None),
        (2, "1.2", "a.pdf"),
    ]
    assert message.signature == SignatureSeen(form="opaque", protocol="application/x-pkcs7-mime")
    assert message.body == "Bonjour, voici le compte rendu."
    assert message.documents[0].raw == PDF
    assert message.defects == ()


def test_opaque_inside_opaque_inside_a_forward_is_found() -> None:
    once = opaque(signed(multipart("=_in", TEXT, attached("a.pdf", PDF))))
    message = parse(
        mixed(part("message/rfc822", mixed(opaque(signed(once)), boundary="=_b2"))), Limits(), Codes.empty()
    )
    assert [leaf.path for leaf in message.attachments] == ["1.1.1.1", "1.1.1.2"]
    assert message.signature == SignatureSeen(), "the signature of a mail that is carried is not that of this mail"


def test_a_signed_file_gives_the_file() -> None:
    message = parse(mixed(TEXT, attached("contrat.pdf.p7m", signed(PDF))), Limits(), Codes.empty())
    assert [(leaf.path, leaf.name) for leaf in message.attachments] == [("1", None), ("2.1", "contrat.pdf")]
    assert message.documents[0].raw == PDF
    assert message.signature == SignatureSeen()


def test_an_unreadable_p7m_stays_a_leaf_before_a_human() -> None:
    message = parse(mixed(TEXT, opaque(b"rien")), Limits(), Codes.empty())
    assert [leaf.name for leaf in message.attachments] == [None, "smime.p7m"]
    assert {d.code for d in message.defects if d.grave} == {"p7m-unreadable"}
