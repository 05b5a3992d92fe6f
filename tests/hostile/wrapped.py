"""What other programs wrap mails and files in: winmail.dat, S/MIME, receipts; broken, endless, inside each other."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable

from asn1crypto import cms, core

from tests.cdamaker import make_archive
from tests.hostile.mime import deep_mails
from tests.hostile.shape import FILED, UNREADABLE, Collection
from tests.hostile.zips import Entry, mailed, written
from tests.mailmaker import PDF, TEXT, attached, mail, mixed, part, winmail

MB = 1024**2
WRAPPED = Collection("wrapped")
_ = WRAPPED.add

# --- winmail.dat ----------------------------------------------------------------------------------------------------

SIGNATURE = b"\x78\x9f\x3e\x22\x01\x00"
WHOLE = winmail(("a.pdf", PDF), body="Bonjour")


def tnef(*objects: tuple[int, int, int, bytes]) -> bytes:
    return SIGNATURE + b"".join(
        struct.pack("<BHHI", level, name, kind, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)
        for level, name, kind, value in objects
    )


def properties(count: int, body: bytes) -> bytes:
    return tnef((1, 0x9003, 6, struct.pack("<I", count) + body))


def many_values(count: int, kind: int = 0x1003) -> bytes:
    """A property that says it has `count` values."""
    return properties(1, struct.pack("<HHI", kind, 0x3001, count) + bytes(4_000))


def embedded(raw: bytes) -> bytes:
    """A stream as the object that another one has attached (PidTagAttachDataObject)."""
    value = b"\x07\x03\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46" + raw
    value += bytes(-len(value) % 4)
    return tnef(
        (2, 0x9002, 6, bytes(14)), (2, 0x9005, 6, struct.pack("<IHHII", 1, 0x000D, 0x3701, 1, len(value)) + value)
    )


def sent(raw: bytes) -> bytes:
    return mixed(TEXT, attached("winmail.dat", raw, "application/ms-tnef"))


def nested_winmail(levels: int) -> bytes:
    raw = winmail(("a.pdf", PDF))
    for _level in range(levels):
        raw = winmail(("winmail.dat", raw))
    return raw


BROKEN = ("tnef-unreadable", "tnef-empty")
_("tnef-cut", lambda: sent(WHOLE[:-20]), "tnef-unreadable")
_("tnef-cut-early", lambda: sent(WHOLE[:9]), *BROKEN)
_("tnef-only-its-mark", lambda: sent(SIGNATURE), *BROKEN)
_("tnef-not-one", lambda: sent(b"x" * 1_000), "tnef-unreadable")
_("tnef-embedded-values", lambda: sent(embedded(many_values(0x7FFFFFFF))), "tnef-unreadable")
_("tnef-embedded-deep", lambda: sent(functools.reduce(lambda raw, _n: embedded(raw), range(2_000), WHOLE)),
  "tnef-unreadable")  # fmt: skip
_("tnef-length-huge", lambda: sent(SIGNATURE + struct.pack("<BHHI", 2, 0x800F, 6, 0xFFFFFFFF) + bytes(100)),
  "tnef-unreadable")  # fmt: skip
_("tnef-objects", lambda: sent(tnef(*[(2, 0x9002, 6, bytes(14))] * 200_000)), "tnef-unreadable")
_("tnef-files", lambda: sent(winmail(*[(f"{n}.pdf", PDF) for n in range(1_500)])), "too-many-parts", "tnef-unreadable")
_("tnef-nested", lambda: sent(nested_winmail(200)), "too-deep")
_("tnef-count-lies", lambda: sent(properties(0x7FFFFFFF, bytes(1_000))), "tnef-unreadable")
for _kind in (0x0003, 0x001E, 0x0102, 0x1002, 0x1003, 0x1005, 0x1014, 0x101E, 0x101F, 0x1048, 0x1102):
    _(f"tnef-values-{_kind:04x}", functools.partial(lambda kind: sent(many_values(0x7FFFFFFF, kind)), _kind),
      *BROKEN, FILED, UNREADABLE)  # fmt: skip
_("tnef-values-many-properties", lambda: sent(properties(1_000, struct.pack("<HHI", 0x1003, 0x3001, 250_000) * 1_000)),
  *BROKEN, UNREADABLE)  # fmt: skip
_("tnef-files-with-values", lambda: sent(tnef(*[(2, 0x9005, 6, struct.pack("<IHHI", 1, 0x101F, 0x3707, 90_000_000)
  + bytes(2_000))] * 1_000)), *BROKEN, UNREADABLE)  # fmt: skip
_("tnef-body-10mb", lambda: sent(winmail(body="a" * (10 * MB))))
_("tnef-html-bomb", lambda: sent(properties(1, struct.pack("<HHII", 0x0102, 0x1013, 1, 10 * MB) + b"<p" * (5 * MB))),
  FILED, *BROKEN, UNREADABLE)  # fmt: skip
_("tnef-file-40mb", lambda: sent(winmail(("a.pdf", b"%PDF-1.4" + bytes(25 * MB)))))
_("tnef-names", lambda: sent(winmail(("../../\x1b[2J\0a.pdf", PDF), ("C:\\x", PDF))))
_("tnef-in-zip-in-mail", lambda: mixed(part("message/rfc822", mixed(TEXT, attached("x.zip", written(
  [Entry(name=b"winmail.dat", content=WHOLE)]), "application/zip"), boundary="=_b2"))),
  mild="unread-attachment")  # fmt: skip
_("tnef-in-mail-in-tnef", lambda: sent(winmail(("m.eml", sent(nested_winmail(3))))))
_("tnef-holds-an-archive-bomb", lambda: sent(winmail(("IHE_XDM.ZIP", written([Entry(name=b"METADATA.XML",
  content=bytes(50 * MB))])))), "bomb")  # fmt: skip
_("tnef-holds-deep-mails", lambda: sent(winmail(("m.eml", deep_mails(2_000)))), "too-deep")


# --- S/MIME ---------------------------------------------------------------------------------------------------------


def opaque(raw: bytes, name: str = "smime.p7m") -> bytes:
    return mixed(TEXT, attached(name, raw, "application/pkcs7-mime"))


def signed(content: bytes | None, certificates: int = 0) -> bytes:
    """A signed-data without signers."""
    inner: dict[str, object] = {"content_type": "data"}
    if content is not None:
        inner["content"] = content
    data = {"version": "v1", "digest_algorithms": [], "encap_content_info": inner, "signer_infos": []}
    raw = bytes(cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)}).dump())
    return raw if not certificates else _with_certificates(raw, certificates)


def _with_certificates(raw: bytes, count: int) -> bytes:
    """`count` empty certificates in front of the signers."""
    data_oid = bytes(core.ObjectIdentifier("1.2.840.113549.1.7.1").dump())
    signed_oid = bytes(core.ObjectIdentifier("1.2.840.113549.1.7.2").dump())
    version, algorithms, signers = b"\x02\x01\x01", b"\x31\x00", b"\x31\x00"
    content = _long(0x30, data_oid + _long(0xA0, _long(0x04, mail())))
    body = version + algorithms + content + _long(0xA0, b"\x30\x03\x02\x01\x01" * count) + signers
    return _long(0x30, signed_oid + _long(0xA0, _long(0x30, body)))


def _long(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x84]) + len(content).to_bytes(4, "big") + content


def endless(levels: int, tag: int = 0x30) -> bytes:
    """Elements of indefinite length inside each other, never ended."""
    return bytes([tag, 0x80]) * levels


def ended(levels: int, tag: int = 0x30) -> bytes:
    return endless(levels, tag) + b"\0\0" * levels


def signed_in(wrap: Callable[[bytes], bytes]) -> bytes:
    """A signed-data whose content octets are as `wrap` makes them."""
    data_oid = bytes(core.ObjectIdentifier("1.2.840.113549.1.7.1").dump())
    signed_oid = bytes(core.ObjectIdentifier("1.2.840.113549.1.7.2").dump())
    content = b"\x30\x80" + data_oid + b"\xa0\x80" + wrap(mail()) + b"\0\0\0\0"
    body = b"\x30\x80\x02\x01\x01\x31\x00" + content + b"\x31\x00\0\0"
    return b"\x30\x80" + signed_oid + b"\xa0\x80" + body + b"\0\0\0\0"


def oid_long_inside() -> bytes:
    """A signed-data whose content says that it is of a type of a million characters."""
    signed_oid = bytes(core.ObjectIdentifier("1.2.840.113549.1.7.2").dump())
    content = _long(0x30, _long(0x06, b"\x81" * MB + b"\1") + _long(0xA0, _long(0x04, b"x")))
    return _long(0x30, signed_oid + _long(0xA0, _long(0x30, b"\x02\x01\x01\x31\x00" + content + b"\x31\x00")))


def nested_signed(levels: int) -> bytes:
    raw = mail()
    for _level in range(levels):
        raw = mail(headers=[("Content-Type", "application/pkcs7-mime"), ("Content-Transfer-Encoding", "binary")],
                   body=signed(raw))  # fmt: skip
    return raw


UNREAD = "p7m-unreadable"
_("p7m-cut", lambda: opaque(signed(mail())[:-50]), UNREAD)
_("p7m-junk", lambda: opaque(b"\x30\x80" + b"\xff" * 1_000), UNREAD)
_("p7m-empty", lambda: opaque(b"\0"), UNREAD)
_("p7m-endless", lambda: opaque(endless(100_000)), UNREAD)
_("p7m-endless-ended", lambda: opaque(ended(500_000)), UNREAD)
_("p7m-endless-content", lambda: opaque(signed_in(lambda raw: ended(100_000, 0x24))), UNREAD)
_("p7m-pieces-of-one-byte", lambda: opaque(signed_in(lambda raw: b"\x24\x80" + b"\x04\x01a" * 2_000_000 + b"\0\0")),
  UNREAD,
  UNREADABLE)  # fmt: skip
_("p7m-pieces-nested", lambda: opaque(signed_in(lambda raw: b"\x24\x82\xff\xff" * 10_000)), UNREAD)
_("p7m-length-lies", lambda: opaque(b"\x30\x84\x7f\xff\xff\xff" + signed(mail())[4:]), UNREAD)
_("p7m-length-of-126-bytes", lambda: opaque(b"\x30\xfe" + b"\xff" * 126), UNREAD)
_("p7m-certificates-100000", lambda: opaque(signed(None, 100_000)), FILED, UNREAD)
_("p7m-oid-long", lambda: opaque(_long(0x30, _long(0x06, b"\x81" * MB + b"\1") + b"\xa0\0")), UNREAD)
_("p7m-oid-long-inside", lambda: opaque(oid_long_inside()), UNREAD)
_("p7m-encrypted", lambda: opaque(signed(mail()).replace(bytes.fromhex("2a864886f70d010702"),
  bytes.fromhex("2a864886f70d010703"))), "encrypted-message", UNREAD)  # fmt: skip
_("p7m-nested", lambda: nested_signed(80), "too-deep")
_("p7m-holds-deep-mails", lambda: opaque(signed(deep_mails(3_000))), "too-deep")
_("p7m-holds-an-archive", lambda: opaque(signed(mailed(make_archive()))))
_("p7m-pem-never-ends", lambda: opaque(b"-----BEGIN CMS-----\n" + b"A" * (10 * MB)), UNREAD)
_(
    "p7s-junk",
    lambda: mixed(TEXT, attached("smime.p7s", ended(100_000), "application/pkcs7-signature"), subtype="signed"),
)


# --- receipts -------------------------------------------------------------------------------------------------------


def receipt(kind: str, fields: bytes) -> bytes:
    return mixed(TEXT, part(f"message/{kind}", fields), subtype="report", extra=f"; report-type={kind}")


MDN, DSN = "disposition-notification", "delivery-status"
for _form in (MDN, DSN):
    _label = "mdn" if _form == MDN else "dsn"
    _(f"{_label}-empty", functools.partial(receipt, _form, b""))
    _(f"{_label}-nul", functools.partial(receipt, _form, b"\0" * 100_000))
    _(f"{_label}-10mb", functools.partial(receipt, _form, b"Action: failed\r\n" * 600_000))
    _(f"{_label}-folded", functools.partial(receipt, _form, b"Disposition: a\r\n" + b" ;b/c\r\n" * 500_000))
    _(f"{_label}-words", functools.partial(receipt, _form, b"Error: " + b"=?utf-8?q?=e9?= " * 100_000))
    _(
        f"{_label}-words-short",
        functools.partial(receipt, _form, (b"Error: " + b"=?utf-8?q?=e9?= " * 200 + b"\r\n") * 20),
    )
    _(f"{_label}-words-lie", functools.partial(receipt, _form, b"Error: =?x-rien?b?%%%?= =?utf-7?q?+2AA-?=\r\n"))
    _(f"{_label}-semicolons", functools.partial(receipt, _form, b"Disposition: " + b";" * 60_000))
    _(f"{_label}-codes", functools.partial(receipt, _form, b"Error: " + b"902" * 20_000 + b"^"))
    _(f"{_label}-addresses", functools.partial(receipt, _form, b"Final-Recipient: rfc822;" + b"<" * 60_000))
    _(f"{_label}-control", functools.partial(receipt, _form, b"Final-Recipient: rfc822;\x1b[2J\r\nAction: \x1b[2J\r\n"))
    _(f"{_label}-groups", functools.partial(receipt, _form, b"Final-Recipient: a\r\n\r\n" * 3_000))
    _(f"{_label}-gives-back-deep-mails", functools.partial(lambda form: mixed(TEXT, part(f"message/{form}",
      b"Action: failed\r\n"), part("message/rfc822", deep_mails(2_000)), subtype="report"), _form),
      "too-deep")  # fmt: skip
