"""The content of an opaque CMS signed-data (RFC 8551 §3.5.2, RFC 5652 §5), DER or BER with indefinite lengths.

asn1crypto reads the structure; the pieces of a streamed content are joined here, because asn1crypto joins them in
quadratic time. Nothing raises: what cannot be read is `p7m-unreadable`, what is encrypted is `encrypted-message`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from hub.message import Defect

_ENCRYPTED = frozenset(
    {"enveloped_data", "encrypted_data", "authenticated_enveloped_data", "signed_and_enveloped_data"}
)
_SEQUENCE, _OID = 0x30, 0x06
_OCTETS, _OCTETS_IN_PIECES = 0x04, 0x24
_OID_MOST = 64  # bytes; asn1crypto makes one number of each arc, in quadratic time
_PIECES_DEEP = 4  # writers nest one level; X.690 sets no bound
_PIECES_MOST = 250_000  # writers take 1,000 bytes or more at a time: 60,000 pieces in the largest mail that is read


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """`content` is the inner MIME entity, None when there is none to read: then `defect` says why, or is None too
    for a message that only carries certificates."""

    content: bytes | None = None
    defect: Defect | None = None


def unwrap(raw: bytes) -> Unwrapped:
    """`raw` is the decoded part; PEM armour is tolerated."""
    from asn1crypto import cms, core, pem  # most mails hold no CMS: its 30 ms are paid by the first that does

    try:
        if raw.lstrip()[:5] == b"-----":
            _, _, raw = pem.unarmor(raw.lstrip())
        if raw[0] != _SEQUENCE or not _has_short_oid(raw, 2 + (raw[1] & 0x7F if raw[1] > 0x80 else 0)):
            return _unreadable("content type")
        wrapping = cms.ContentInfo.load(raw)
        form = wrapping["content_type"].native
        if form in _ENCRYPTED:
            return Unwrapped(defect=Defect("encrypted-message", grave=True))
        if form != "signed_data":
            return _unreadable("not signed-data")
        signed = wrapping["content"]
        if not _has_short_oid(signed["encap_content_info"].contents, 0):
            return _unreadable("content type")
        inner = signed["encap_content_info"]["content"]
        if not isinstance(inner, core.OctetString | core.ParsableOctetString):  # by version 1 or 3 of the signed-data
            return Unwrapped() if not len(signed["signer_infos"]) else _unreadable("no content")
        if inner.method:
            pieces = list(islice(_pieces(inner.contents, 0, len(inner.contents)), _PIECES_MOST + 1))
            return Unwrapped(b"".join(pieces)) if len(pieces) <= _PIECES_MOST else _unreadable("too many pieces")
        return Unwrapped(inner.contents)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, RecursionError) as error:
        # what asn1crypto raises on bytes that are no CMS (fuzzed in tests/unit/test_smime_unwrap.py)
        return _unreadable(type(error).__name__)


def _unreadable(why: str) -> Unwrapped:
    return Unwrapped(defect=Defect("p7m-unreadable", why, grave=True))


def _has_short_oid(raw: bytes, at: int) -> bool:
    return raw[at] == _OID and raw[at + 1] <= _OID_MOST


def _pieces(raw: bytes, at: int, end: int, depth: int = 0) -> Iterator[bytes]:
    """The primitive pieces of a constructed OCTET STRING (X.690 §8.7.3) between two offsets, in order. Raises
    ValueError or IndexError on anything else."""
    while at < end and raw[at : at + 2] != b"\0\0":
        tag, length = raw[at], raw[at + 1]
        at += 2
        if length > 0x80:
            length, at = int.from_bytes(raw[at : at + length - 0x80]), at + length - 0x80
        elif length == 0x80:
            raise ValueError("pieces of indefinite length inside pieces")
        if at + length > end:
            raise ValueError("a piece is longer than its whole")
        if tag == _OCTETS:
            yield raw[at : at + length]
        elif tag == _OCTETS_IN_PIECES and depth < _PIECES_DEEP:
            yield from _pieces(raw, at, at + length, depth + 1)
        else:
            raise ValueError("not an octet string")
        at += length
