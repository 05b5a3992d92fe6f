"""XML that reaches outside, or grows inside: in METADATA.XML, in the CDA of an archive, and in a loose one.

The addresses are those of nobody: a test puts its own listener in the place of `127.0.0.1:9`.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.cdamaker import FOLDER, Sample, archive_files, make_cda, make_metadata, zip_of
from tests.hostile.shape import FILED, UNREADABLE, Collection
from tests.hostile.zips import mailed
from tests.mailmaker import TEXT, attached, mixed

MB = 1024**2
XMLS = Collection("xml")
NOWHERE = b"127.0.0.1:9"
CDA, METADATA = make_cda(Sample()), make_metadata([Sample()])
HEAD, ROOT = b'<?xml version="1.0" encoding="UTF-8"?>', b"<ClinicalDocument"
TITLE = b"<title>Note de suivi \xc3\xa9ducatif</title>"
BODY_START = b'<text mediaType="application/pdf" representation="B64">'


def with_dtd(dtd: bytes, inside: bytes = b"&x;") -> bytes:
    """A conformant CDA behind a DTD, whose title says `inside`."""
    raw = CDA.replace(b"\n" + ROOT, b"\n<!DOCTYPE ClinicalDocument " + dtd + b">\n" + ROOT)
    return raw.replace(TITLE, b"<title>" + inside + b"</title>")


def laughs(levels: int, times: int) -> bytes:
    lines = [b'<!ENTITY l0 "ha">']
    lines += [b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * times) for n in range(1, levels)]
    return b"[" + b"".join(lines) + b'<!ENTITY x "&l%d;">]' % (levels - 1)


def loose(raw: bytes) -> bytes:
    return mixed(TEXT, attached("document.xml", raw, "text/xml"))


def in_archive(raw: bytes) -> bytes:
    """Stored, not deflated: its ratio would give it away before anything was read."""
    return mailed(zip_of(archive_files(Sample(raw=raw)), method=0))


def in_metadata(raw: bytes) -> bytes:
    return mailed(zip_of({**archive_files(), f"{FOLDER}METADATA.XML": raw}, method=0))


def everywhere(name: str, make: Callable[[], bytes], *wanted: str, mild: str = "") -> None:
    XMLS.add(name, lambda: loose(make()), *wanted, mild=mild)
    XMLS.add(f"{name}-in-archive", lambda: in_archive(make()), *wanted, mild=mild)


def with_title(content: bytes) -> bytes:
    return CDA.replace(TITLE, content)


def with_root(attributes: bytes) -> bytes:
    return CDA.replace(ROOT, ROOT + b" " + attributes, 1)


def deep(levels: int) -> bytes:
    return with_title(b"<title>" + b"<a>" * levels + b"</a>" * levels + b"</title>")


def namespaces(count: int) -> bytes:
    return with_root(b" ".join(b'xmlns:n%d="urn:%d"' % (n, n) for n in range(count)))


def nested_namespaces(levels: int) -> bytes:
    opened = b"".join(b'<n%d:a xmlns:n%d="urn:%d">' % (n, n, n) for n in range(levels))
    closed = b"".join(b"</n%d:a>" % n for n in reversed(range(levels)))
    return with_title(b"<title>" + opened + closed + b"</title>")


def of_body(base64: bytes) -> bytes:
    start = CDA.index(BODY_START) + len(BODY_START)
    return CDA[:start] + base64 + CDA[CDA.index(b"</text>", start) :]


def doctype_metadata(dtd: bytes) -> bytes:
    return b"<!DOCTYPE x " + dtd + b">" + METADATA


for _name, _dtd in {
    "xxe-file": b'[<!ENTITY x SYSTEM "file:///etc/passwd">]',
    "xxe-http": b'[<!ENTITY x SYSTEM "http://' + NOWHERE + b'/x">]',
    "xxe-ftp": b'[<!ENTITY x SYSTEM "ftp://' + NOWHERE + b'/x">]',
    "xxe-public": b'[<!ENTITY x PUBLIC "-//x" "http://' + NOWHERE + b'/x">]',
    "parameter-entity": b'[<!ENTITY % p SYSTEM "http://' + NOWHERE + b'/x.dtd">%p;<!ENTITY x "y">]',
    "parameter-entity-file": b'[<!ENTITY % p SYSTEM "file:///etc/passwd">%p;<!ENTITY x "y">]',
    "external-dtd": b'SYSTEM "http://' + NOWHERE + b'/x.dtd" [<!ENTITY x "y">]',
    "external-dtd-file": b'SYSTEM "/etc/hostname" [<!ENTITY x "y">]',
    "laughs": laughs(10, 10),
    "laughs-deep": laughs(40, 2),
    "quadratic": b'[<!ENTITY x "' + b"a" * 100_000 + b'">]',
    "entity-loop": b'[<!ENTITY x "&y;"><!ENTITY y "&x;">]',
    "default-attributes": b'[<!ATTLIST title a CDATA "' + b"a" * 50_000 + b'"><!ENTITY x "y">]',
    "dtd-of-1mb": b"[" + b"<!-- x -->" * 100_000 + b'<!ENTITY x "y">]',
}.items():
    _inside = b"&x;" * (5_000 if _name == "quadratic" else 1)
    everywhere(_name, lambda dtd=_dtd, inside=_inside: with_dtd(dtd, inside), "doctype")  # type: ignore[misc]
    XMLS.add(f"{_name}-in-metadata", lambda dtd=_dtd: in_metadata(doctype_metadata(dtd)), "doctype")  # type: ignore[misc]

everywhere("doctype-alone", lambda: with_dtd(b"[]", b"x"), "doctype")
everywhere("doctype-after-comment", lambda: CDA.replace(b"\n" + ROOT, b"<!-- --><?a?><!DOCTYPE x>" + ROOT), "doctype")
everywhere("doctype-lower-case", lambda: CDA.replace(b"\n" + ROOT, b"<!doctype x>" + ROOT), "doctype", "not-xml")
everywhere("doctype-in-utf-16", lambda: with_dtd(b"[]", b"x").decode().encode("utf-16"), "doctype")
everywhere("doctype-in-utf-16-without-mark", lambda: with_dtd(b"[]", b"x").decode().encode("utf-16-le"), "doctype")
everywhere("doctype-in-utf-7", lambda: CDA.replace(b"UTF-8", b"utf-7").replace(b"\n" + ROOT, b"+ADw-!DOCTYPE x+AD4-"
  + ROOT), "not-xml")  # fmt: skip
everywhere("doctype-in-utf-32", lambda: with_dtd(b"[]", b"x").decode().encode("utf-32"), "doctype", "not-xml", FILED)
XMLS.add("ebcdic", lambda: in_archive(CDA.decode().encode("cp500", "replace")), "not-xml", "doctype")
XMLS.add("ebcdic-declared", lambda: loose(CDA.replace(b"UTF-8", b"IBM037")), "not-xml")
everywhere("encoding-unknown", lambda: CDA.replace(b"UTF-8", b"x-rien"), "not-xml")
everywhere("encoding-lies", lambda: CDA.replace(b"UTF-8", b"utf-16"))
everywhere("encoding-bad-utf-8", lambda: with_title(b"<title>\xff\xfe</title>"), "not-xml")
everywhere("encoding-nul", lambda: with_title(b"<title>\0</title>"), "not-xml")
everywhere("xinclude", lambda: with_title(
    b'<title><x:include xmlns:x="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'
    b'<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="http://' + NOWHERE + b'/x"/></title>'))  # fmt: skip
everywhere("schema-location", lambda: with_root(b'xsi:schemaLocation="urn:hl7-org:v3 http://' + NOWHERE + b'/x.xsd"'))
everywhere("style-sheet", lambda: CDA.replace(b"\n" + ROOT, b'<?xml-stylesheet type="text/xsl" href="http://'
  + NOWHERE + b'/x.xsl"?>' + ROOT))  # fmt: skip
everywhere("xml-base", lambda: with_root(b'xml:base="http://' + NOWHERE + b'/"'))
everywhere("attributes-100000", lambda: with_root(b" ".join(b'a%d=""' % n for n in range(100_000))), FILED, "not-xml")
everywhere("attributes-2500000", lambda: with_root(b" ".join(b'a%d=""' % n for n in range(2_500_000))), "too-large")
everywhere("attributes-twice", lambda: with_root(b'a="1" a="2"'), "not-xml")
everywhere("attribute-of-8mb", lambda: with_root(b'a="' + b"a" * (8 * MB) + b'"'), FILED, "not-xml")
everywhere("attribute-of-40mb", lambda: with_root(b'a="' + b"a" * (40 * MB) + b'"'), FILED, "not-xml", UNREADABLE)
everywhere("name-of-8mb", lambda: with_title(b"<" + b"n" * (8 * MB) + b"/>"), FILED, "not-xml")
everywhere("depth-100000", lambda: deep(100_000), "not-xml", UNREADABLE)
everywhere("depth-2000000", lambda: deep(2_000_000), "too-large")
everywhere("elements-3000000", lambda: with_title(b"<title/>" * 3_000_000), "too-large")
everywhere("texts-and-elements", lambda: with_title(b"<title>" + b"a<b/>" * 1_500_000 + b"</title>"), "too-large")
everywhere("namespaces-100000", lambda: namespaces(100_000), FILED, "not-xml")
everywhere("namespaces-nested", lambda: nested_namespaces(20_000), "not-xml", FILED, UNREADABLE)
everywhere(
    "namespaces-nested-large", lambda: nested_namespaces(20_000) + b" " * (10 * MB), "not-xml", FILED, UNREADABLE
)
everywhere("comments-1mb", lambda: with_title(b"<!-- x -->" * 500_000), "too-large")
everywhere("comment-in-prolog-never-ends", lambda: CDA.replace(b"\n" + ROOT, b"<!--" * 300_000 + ROOT), "not-xml")
everywhere("references", lambda: with_title(b"<title>" + b"&#233;" * 1_500_000 + b"</title>"))
everywhere("cdata", lambda: with_title(b"<title>" + b"<![CDATA[x]]>" * 600_000 + b"</title>"), "too-large")
everywhere("cdata-never-ends", lambda: with_title(b"<title><![CDATA[" + b"]]" * (4 * MB)), "not-xml")
everywhere("text-of-8mb", lambda: with_title(b"<title>" + b"a" * (8 * MB) + b"</title>"))
everywhere("text-of-20mb", lambda: with_title(b"<title>" + b"a" * (20 * MB) + b"</title>"), FILED, UNREADABLE)
XMLS.add("text-of-60mb", lambda: in_archive(of_body(b"A" * (60 * MB))), FILED, "too-large", UNREADABLE)
XMLS.add("text-of-40mb-loose", lambda: loose(of_body(b"JVBERi0x" * (5 * MB))), "bad-body", UNREADABLE)
everywhere("body-of-references", lambda: of_body(b"&#65;" * 2_000_000), "bad-body", "not-xml", FILED)
everywhere("several-cda", lambda: b"<x>" + CDA.removeprefix(HEAD) * 500 + b"</x>", "several-cda")
everywhere("cda-in-style-sheet", lambda: b'<s xmlns="http://www.w3.org/1999/XSL/Transform">' + CDA.removeprefix(HEAD)
  + b"</s>")  # fmt: skip
everywhere("ids-100000", lambda: CDA.replace(b"<patient>", b'<id root="1.2.250.1.213.1.4.10" extension="1"/>' * 100_000
  + b"<patient>"), FILED, "several-ins")  # fmt: skip
everywhere(
    "names-100000", lambda: CDA.replace(b"</name>", b'<given qualifier="BR">A</given>' * 100_000 + b"</name>", 1)
)
everywhere("authors-50000", lambda: CDA.replace(b"<custodian>", (CDA[CDA.index(b"<author>") : CDA.index(b"<custodian>")]
  * 5_000) + b"<custodian>"))  # fmt: skip
everywhere("numbers-long", lambda: CDA.replace(b'versionNumber value="1"', b'versionNumber value="' + b"9" * MB + b'"'))
everywhere("dates-long", lambda: CDA.replace(b"20240315101500", b"2" * MB))
everywhere("title-escape-codes", lambda: with_title(b"<title>a&#x9b;2J&#x202e;b[red]c[/]</title>"))
everywhere("cut", lambda: CDA[:-100], "not-xml")
everywhere("cut-in-a-tag", lambda: CDA[:1000] + b"<", "not-xml")
XMLS.add("metadata-documents-100000", lambda: in_metadata(METADATA.replace(b"<rim:RegistryPackage",
  b"<rim:ExtrinsicObject/>" * 100_000 + b"<rim:RegistryPackage")), "too-many-entries")  # fmt: skip
XMLS.add("metadata-slots-300000", lambda: in_metadata(METADATA.replace(b"<rim:Name>", b'<rim:Slot name="URI">'
  b"<rim:ValueList><rim:Value>1|a</rim:Value></rim:ValueList></rim:Slot>" * 100_000 + b"<rim:Name>", 1)),
  "too-large")  # fmt: skip
XMLS.add("metadata-pid-100000", lambda: in_metadata(METADATA.replace(b"<rim:Value>PID-8", b"<rim:Value>PID-3|1^^^&amp;"
  b"1.2&amp;ISO</rim:Value>" * 100_000 + b"<rim:Value>PID-8")))  # fmt: skip
XMLS.add("metadata-depth", lambda: in_metadata(METADATA.replace(b"<rim:Name>", b"<rim:Name>" * 200_000, 1)), "not-xml")
XMLS.add("metadata-17mb", lambda: in_metadata(METADATA + b"\n" * (17 * MB)), "too-large")
XMLS.add("metadata-hash-long", lambda: in_metadata(METADATA.replace(b'"hash"><rim:ValueList><rim:Value>',
  b'"hash"><rim:ValueList><rim:Value>' + b"0" * MB)), "hash-differs")  # fmt: skip
XMLS.add("metadata-size-long", lambda: in_metadata(METADATA.replace(b'"size"><rim:ValueList><rim:Value>',
  b'"size"><rim:ValueList><rim:Value>' + b"1" * 10_000)), "size-differs")  # fmt: skip
XMLS.add("metadata-empty", lambda: in_metadata(b""), "not-xml")
