"""Archives that must not be believed: written byte by byte, so that each of their two directories can lie alone."""

from __future__ import annotations

import functools
import random
import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.cdamaker import FOLDER, Sample, archive_files, make_archive
from tests.hostile.shape import FILED, UNREADABLE, Collection
from tests.mailmaker import TEXT, attached, mixed

MB = 1024**2
ZIPS = Collection("zip")
NAME = "IHE_XDM.ZIP"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file; what is None is told as it is. `claimed` sizes stand in the directory, `local_…` before the bytes."""

    name: bytes
    content: bytes = b""
    method: int = 8
    flags: int = 0
    packed: bytes | None = None
    claimed: int | None = None
    claimed_packed: int | None = None
    local_claimed: int | None = None
    local_name: bytes | None = None
    local_flags: int | None = None
    crc: int | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    comment: bytes = b""
    mode: int = 0
    offset: int | None = None
    left_out: bool = False  # only in the directory


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def written(
    entries: Sequence[Entry], *, before: bytes = b"", comment: bytes = b"", count: int | None = None, shift: int = 0
) -> bytes:
    """The bytes of a zip. `count` is what the end record says, `shift` how far it is off about the directory."""
    out, directory = bytearray(before), bytearray()
    for entry in entries:
        packed = entry.packed
        if packed is None:
            packed = deflated(entry.content) if entry.method == 8 else entry.content
        size, crc = len(entry.content), zlib.crc32(entry.content) if entry.crc is None else entry.crc
        offset = len(out) if entry.offset is None else entry.offset
        claimed = size if entry.claimed is None else entry.claimed
        claimed_packed = len(packed) if entry.claimed_packed is None else entry.claimed_packed
        local = entry.name if entry.local_name is None else entry.local_name
        if not entry.left_out:
            local_flags = entry.flags if entry.local_flags is None else entry.local_flags
            local_size = claimed if entry.local_claimed is None else entry.local_claimed
            out += struct.pack(
                "<4sHHHHHIIIHH", b"PK\3\4", 20, local_flags, entry.method, 0, 33, crc, claimed_packed & 0xFFFFFFFF,
                local_size & 0xFFFFFFFF, len(local), len(entry.local_extra),
            )  # fmt: skip
            out += local + entry.local_extra + packed
        directory += struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0x314, 20, entry.flags, entry.method, 0, 33, crc,
            claimed_packed & 0xFFFFFFFF, claimed & 0xFFFFFFFF, len(entry.name), len(entry.extra), len(entry.comment),
            0, 0, (entry.mode & 0xFFFF) << 16, offset & 0xFFFFFFFF,
        )  # fmt: skip
        directory += entry.name + entry.extra + entry.comment
    start = len(out)
    total = len(entries) if count is None else count
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, total & 0xFFFF, total & 0xFFFF, len(directory), start + shift,
                      len(comment))  # fmt: skip
    return bytes(out + directory + end + comment)


@functools.cache
def honest() -> tuple[Entry, ...]:
    return tuple(Entry(name=name.encode(), content=raw) for name, raw in archive_files().items())


def zeros(size: int) -> bytes:
    """`size` zeros, deflated, without making them all at once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(packer.compress(bytes(MB)) for _ in range(size // MB)) + packer.flush()


def sparse(size: int, seed: int) -> bytes:
    """Bytes that deflate to about a hundredth: an honest ratio, just."""
    noise = random.Random(seed)
    return b"".join(noise.randbytes(100) + bytes(9_900) for _ in range(size // 10_000))


def beside(*more: Entry, name: str = NAME, **how: object) -> bytes:
    """A mail whose conformant archive has entries more."""
    return mailed(written([*honest(), *more], **how), name)  # type: ignore[arg-type]


def mailed(archive: bytes, name: str | None = NAME) -> bytes:
    return mixed(TEXT, attached(name, archive, "application/zip"))


def changed(file: str, **lies: object) -> bytes:
    """A mail whose archive lies about one of its files."""
    return mailed(written([replace(e, **lies) if e.name.endswith(file.encode()) else e for e in honest()]))  # type: ignore[arg-type]


def nested(levels: int, width: int, leaf: Callable[[], bytes]) -> bytes:
    """`42.zip`: each level holds the one below `width` times (the same bytes)."""
    raw = leaf()
    for level in range(levels):
        raw = written([Entry(name=b"%d-%d.zip" % (level, n), content=raw) for n in range(width)])
    return raw


def zip64(**sizes: int) -> bytes:
    """The extra field of a 64-bit entry: unpacked size, packed size, offset, as many as are given."""
    values = struct.pack(f"<{len(sizes)}Q", *sizes.values())
    return struct.pack("<HH", 1, len(values)) + values


def quine() -> bytes:
    """An archive whose directory names itself: an entry that begins at the first byte of the file."""
    return written([*honest(), Entry(name=b"IHE_XDM/again.zip", offset=0, left_out=True, method=0, claimed=10_000,
                                     claimed_packed=10_000)])  # fmt: skip


def sharing(copies: int) -> bytes:
    """Many entries of the directory over one local file (overlapping bomb)."""
    packed = zeros(10 * MB)
    first = Entry(name=b"a0000", packed=packed, claimed=10 * MB, crc=0)
    rest = [replace(first, name=b"a%04d" % n, offset=0, left_out=True) for n in range(1, copies)]
    return written([first, *rest])


def with_directory_of(count: int) -> bytes:
    return written([Entry(name=b"%06d" % n, method=0) for n in range(count)])


def twins(one: bytes, other: bytes) -> bytes:
    return beside(Entry(name=one, content=b"a"), Entry(name=other, content=b"b"))


_ = ZIPS.add
_("bomb-flat", lambda: beside(Entry(name=b"IHE_XDM/zeros", packed=zeros(300 * MB), claimed=300 * MB)), "bomb")
_("bomb-below-the-sum", lambda: beside(Entry(name=b"x", packed=zeros(190 * MB), claimed=190 * MB)), "bomb")
_("bomb-many", lambda: mailed(written([Entry(name=b"IHE_XDM/%d" % n, packed=zeros(5 * MB), claimed=5 * MB)
  for n in range(400)])), "bomb")  # fmt: skip
_("bomb-in-metadata", lambda: changed("METADATA.XML", packed=zeros(100 * MB), claimed=100 * MB), "bomb")
_("bomb-claims-little", lambda: changed("METADATA.XML", packed=zeros(500 * MB), claimed=5_000), "bad-zip", "not-xml")
_("bomb-claims-the-rest", lambda: changed("DOC0001.XML", packed=zeros(500 * MB), claimed=20_000), "bad-zip")
_("bomb-deflated-twice", lambda: changed("DOC0001.XML", content=deflated(deflated(bytes(100 * MB)))), "not-xml")
_("bomb-just-under-the-ratio", lambda: beside(*[Entry(name=b"IHE_XDM/%d" % n, content=sparse(19 * MB, n))
  for n in range(9)]))  # fmt: skip
_("bomb-of-announced-documents", lambda: mailed(make_archive(*[Sample(raw=sparse(18 * MB, n), mime_type="text/plain",
  unique_id=f"2.25.{n}", file=f"D{n}.TXT") for n in range(9)])), FILED, UNREADABLE)  # fmt: skip
_("nested-42", lambda: mailed(nested(5, 16, lambda: written([Entry(name=b"0", packed=zeros(100 * MB),
  claimed=100 * MB)])), "42.zip"), mild="unread-attachment")  # fmt: skip
_("nested-in-archive", lambda: beside(Entry(name=b"IHE_XDM/SUBSET01/IHE_XDM.ZIP", content=make_archive())))
_("nested-deep", lambda: mailed(nested(200, 1, make_archive), "x.zip"), mild="unread-attachment")
_("nested-xdm-in-zip", lambda: mailed(written([Entry(name=b"IHE_XDM.ZIP", content=make_archive())]), "x.zip"),
  mild="nested-archive")  # fmt: skip
_("quine", lambda: mailed(quine()), "bomb", "bad-zip")
_("overlap", lambda: mailed(sharing(400)), "bomb")
_("overlap-by-header", lambda: changed("DOC0001.XML", offset=0), "bomb", "bad-zip")
for _label, _path in {
    "slip": b"../../../../etc/cron.d/evil",
    "slip-inside": b"IHE_XDM/SUBSET01/../../../evil",
    "slip-backslash": b"..\\..\\evil",
    "absolute": b"/etc/passwd",
    "absolute-windows": b"C:\\Windows\\evil.dll",
    "unc": b"\\\\host\\share\\evil",
    "nul": b"IHE_XDM/a\0.xml",
    "control": b"IHE_XDM/\x1b[2Ja",
    "empty": b"",
    "long": b"a/" * 30_000,
}.items():
    _(f"name-{_label}", functools.partial(beside, Entry(name=_path, content=b"x")),
      *((FILED,) if _label == "long" else ("unsafe-name",)))  # fmt: skip
_("name-bidi", lambda: beside(Entry(name="IHE_XDM/\u202efdp.exe".encode(), content=b"x", flags=0x800)), "unsafe-name")
_("name-c1", lambda: beside(Entry(name="IHE_XDM/\x9b2Ja".encode(), content=b"x", flags=0x800)), "unsafe-name")
_("name-bad-utf8", lambda: beside(Entry(name=b"IHE_XDM/\xff\xfe", content=b"x", flags=0x800)), FILED, "bad-zip")
_("name-two-utf8", lambda: twins("IHE_XDM/é".encode(), "IHE_XDM/e\u0301".encode()))
_("twins", lambda: twins(b"IHE_XDM/A.XML", b"IHE_XDM/A.XML"), "duplicate-name")
_("twins-by-case", lambda: twins(b"IHE_XDM/A.XML", b"ihe_xdm/a.xml"), "duplicate-name")
_("twins-by-slashes", lambda: twins(b"IHE_XDM/A.XML", b"IHE_XDM//./A.XML"), "duplicate-name")
_("twins-by-backslash", lambda: twins(b"IHE_XDM/A.XML", b"IHE_XDM\\A.XML"), "duplicate-name")
_("twins-metadata", lambda: twins(f"{FOLDER}METADATA.XML".encode(), b"z"), "duplicate-name")
_("folder-and-file", lambda: twins(b"IHE_XDM/A", b"IHE_XDM/A/"))
_("link", lambda: beside(Entry(name=b"IHE_XDM/l", content=b"/etc/passwd", mode=stat.S_IFLNK | 0o777)), "link")
_("device", lambda: beside(Entry(name=b"IHE_XDM/d", mode=stat.S_IFBLK | 0o600)), "link")
_("fifo", lambda: beside(Entry(name=b"IHE_XDM/f", mode=stat.S_IFIFO | 0o600)), "link")
_("encrypted", lambda: changed("DOC0001.XML", flags=1), "encrypted")
_("encrypted-only-local", lambda: changed("DOC0001.XML", local_flags=1), "bad-zip")
_("encrypted-directory", lambda: changed("DOC0001.XML", flags=0x2000), "encrypted")
for _method in (1, 6, 9, 12, 14, 93, 95, 98, 99, 65_535):
    _(f"method-{_method}", functools.partial(changed, "DOC0001.XML", method=_method), "bad-zip")
_("size-less-than-real", lambda: changed("DOC0001.XML", claimed=100), "bad-zip")
_("size-more-than-real", lambda: changed("DOC0001.XML", claimed=100_000), "bad-zip")
_("size-nothing", lambda: changed("DOC0001.XML", claimed=0), "bad-zip")
_("size-packed-less", lambda: changed("DOC0001.XML", claimed_packed=10), "bad-zip")
_("size-packed-more", lambda: changed("DOC0001.XML", claimed_packed=10**6), "bomb", "bad-zip")
_("size-only-local-lies", lambda: changed("DOC0001.XML", local_claimed=10**9))
_("size-4gb", lambda: changed("DOC0001.XML", claimed=0xFFFFFFFE), "bomb")
_("crc-wrong", lambda: changed("DOC0001.XML", crc=1), "bad-zip")
_("local-name-differs", lambda: changed("DOC0001.XML", local_name=b"IHE_XDM/SUBSET01/DOC0002.XML"), "bad-zip")
_("zip64-lies", lambda: changed("DOC0001.XML", claimed=0xFFFFFFFF, extra=zip64(size=2**62)), "bomb", "bad-zip")
_("zip64-negative", lambda: changed("DOC0001.XML", claimed=0xFFFFFFFF, extra=zip64(size=2**64 - 1)), "bomb", "bad-zip")
_("zip64-offset", lambda: changed("DOC0001.XML", offset=0xFFFFFFFF, extra=zip64(offset=2**63)), "bomb", "bad-zip")
_("zip64-cut", lambda: changed("DOC0001.XML", claimed=0xFFFFFFFF, extra=b"\1\0\x08\0\0"), "bad-zip", "bomb")
_("extra-broken", lambda: changed("DOC0001.XML", extra=b"\xff" * 60_000), FILED, "bad-zip")
_("extra-local-long", lambda: changed("DOC0001.XML", local_extra=bytes(65_535)))
_("offset-beyond", lambda: changed("DOC0001.XML", offset=10**9), "bomb", "bad-zip")
_("offset-into-content", lambda: changed("DOC0001.XML", offset=7), "bomb", "bad-zip")
_("cut", lambda: mailed(make_archive()[:-300]), "bad-zip")
_("cut-at-the-end", lambda: mailed(make_archive()[:-1]), "bad-zip")
_("cut-in-half-without-name", lambda: mailed(make_archive()[:1500], None), "bad-zip")
_("junk-before", lambda: beside(before=b"MZ" + bytes(10_000)))
_("junk-before-shifted", lambda: beside(before=b"MZ" + bytes(10_000), shift=-10_002), "bomb", "bad-zip")
_("junk-after", lambda: mailed(make_archive() + bytes(100)), FILED, "bad-zip")
_("junk-after-long", lambda: mailed(make_archive() + bytes(70_000)), "bad-zip")
_("comment-long", lambda: beside(comment=b"c" * 65_535))
_("comment-holds-an-end", lambda: beside(comment=b"x" * 20 + written([])), FILED, "no-metadata", "bad-zip")
_("comment-holds-another-zip", lambda: beside(comment=make_archive(Sample(unique_id="2.25.7"))), FILED, "bad-zip")
_("comment-of-entry-long", lambda: changed("DOC0001.XML", comment=b"PK\1\2" * 10_000), "too-many-entries")
_("entries-65536", lambda: mailed(with_directory_of(65_536)), "too-many-entries")
_("entries-count-lies", lambda: mailed(written([*honest(), *[Entry(name=b"%d" % n) for n in range(600)]], count=3)),
  "too-many-entries")  # fmt: skip
_("entries-count-more", lambda: mailed(written(honest(), count=60_000)), FILED, "bad-zip")
_("directory-shifted", lambda: mailed(written(honest(), shift=10**6)), "bad-zip", "bomb")
_("directory-of-signs", lambda: mailed(b"PK\1\2" * MB + written(honest())), FILED, "too-many-entries", "bad-zip")
_("archives-many", lambda: mixed(TEXT, *[attached(NAME, make_archive(Sample(unique_id=f"2.25.{n}")))
  for n in range(150)]), "too-many-archives", "several-patients")  # fmt: skip
_("archives-many-large", lambda: mixed(TEXT, *[attached(NAME, written([*honest(), Entry(
  name=b"IHE_XDM/%d" % n, content=sparse(2 * MB, n))])) for n in range(90)]))  # fmt: skip
_("not-a-zip", lambda: mailed(b"PK\3\4" + bytes(1000)), "bad-zip")
_("only-an-end", lambda: mailed(written([])), "no-metadata")
_("no-metadata", lambda: mailed(written([Entry(name=b"IHE_XDM/SUBSET01/DOC.XML", content=b"<a/>")])), "no-metadata")
