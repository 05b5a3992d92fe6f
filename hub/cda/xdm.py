"""The reader of IHE_XDM archives (IHE ITI TF-2 3.32, CI-SIS): tolerant of form, strict on safety and integrity.

Bytes of a zip come in, an `Archive` goes out: its documents in the order of the metadata, each compared with them, and
every doubt as a defect. Whatever makes the archive unsafe or ambiguous leaves no document at all, and a grave reason.
Nothing raises, nothing is written, no zip inside the zip is opened.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from itertools import combinations
from urllib.parse import unquote

from hub.cda.codes import Codes
from hub.cda.document import Contents, compose, is_xml, read_contents
from hub.cda.doubts import Unreadable, grave, mild
from hub.cda.identity import read_cx, same_person
from hub.cda.metadata import Entry, read_metadata
from hub.cda.zipsafe import Shelf, directory_of, open_shelf
from hub.ins import is_ins_oid
from hub.message import Archive, Defect, Document, Limits

ARCHIVE_NAME = "ihe_xdm.zip"
_METADATA = "metadata.xml"
_METADATA_MOST = 16 * 1024**2  # bytes; those of the official samples have 6 to 40 KB
_NEVER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/")  # a URI with a scheme (or a drive), an absolute path
# In a central directory a name follows a slash or the 46 bytes of its entry.
_SIGN_OF_XDM = re.compile(rb"(?:[/\\]|PK\x01\x02.{42})metadata\.xml|ihe_xdm[/\\]", re.IGNORECASE | re.DOTALL)
_LOCAL_SIGN = re.compile(
    rb"PK\x03\x04.{26}(?:[^\x00-\x1f]{0,80}[/\\])?(?:metadata\.xml|ihe_xdm[/\\])", re.IGNORECASE | re.DOTALL
)
_OTHER_ZIPS = ("application/vnd.", "application/epub", "application/java")
# What may lie beside a document without being one: a style sheet, its pictures, a page for browsers.
_COMPANIONS = (".xsl", ".xslt", ".css", ".js", ".gif", ".htm", ".html")


def looks_like_archive(raw: bytes, name: str | None, media_type: str) -> bool:
    """Whether the bytes are to be read as an IHE_XDM archive: by name (even when they are no zip, so that they are held
    as such), or a zip whose directory names a METADATA.XML or a folder IHE_XDM."""
    if (name or "").replace("\\", "/").rsplit("/", 1)[-1].strip().casefold() == ARCHIVE_NAME:
        return True
    if raw[:4] != b"PK\x03\x04" or media_type.lower().startswith(_OTHER_ZIPS):
        return False
    directory = directory_of(raw)
    if directory is None:  # cut on its way: the local headers still tell what it was
        return _LOCAL_SIGN.search(raw) is not None
    return _SIGN_OF_XDM.search(directory) is not None


def read_archive(
    raw: bytes, *, name: str, attachment: int, index: int, limits: Limits, codes: Codes, sha256: str = ""
) -> Archive:
    """`attachment` is the number of the leaf that carried the archive, `index` its place among the archives; `sha256`
    that of `raw`, where it is known."""
    sha256 = sha256 or hashlib.sha256(raw).hexdigest()
    try:
        shelf = open_shelf(raw, limits)
    except Unreadable as refused:
        return Archive(name=name, attachment=attachment, sha256=sha256, defects=(refused.defect,))
    reading = _Reading(shelf, limits, codes, attachment, index, list(shelf.defects))
    if not any(defect.grave for defect in shelf.defects):
        reading.read()
    return Archive(
        name=name,
        attachment=attachment,
        sha256=sha256,
        defects=tuple(dict.fromkeys(reading.defects)),
        documents=tuple(reading.documents),
    )


@dataclass(slots=True)
class _Reading:
    """One archive being read: what was found so far. Lives for the length of a call."""

    shelf: Shelf
    limits: Limits
    codes: Codes
    attachment: int
    index: int
    defects: list[Defect]
    documents: list[Document] = field(default_factory=list)
    patient_ids: list[str] = field(default_factory=list)
    contents: dict[str, Contents | Defect] = field(default_factory=dict)
    announced: int = 0

    def read(self) -> None:
        found = _metadata_paths(self.shelf)
        if not found:
            self.defects.append(grave("no-metadata"))
        for path in found:
            self._read_subset(path)
        if _several_patients(self.patient_ids, self.documents):
            self.defects.append(grave("several-patients"))
        self._verify_the_rest(found)

    def _read_subset(self, path: str) -> None:
        try:
            if self.shelf.files[path].file_size > _METADATA_MOST:
                raise Unreadable("too-large", "METADATA.XML")
            submission = read_metadata(self.shelf.read(path), self.limits.entries - self.announced)
        except Unreadable as refused:
            self.defects.append(refused.defect)
            return
        self.patient_ids += submission.patient_ids
        folder = path.rpartition("/")[0]
        for entry in submission.entries:
            self.announced += 1
            if entry.patient_id:
                self.patient_ids.append(entry.patient_id)
            self._read_entry(folder, path, entry, alone=len(submission.entries) == 1)

    def _read_entry(self, folder: str, metadata: str, entry: Entry, alone: bool) -> None:
        path, doubts = _resolve(self.shelf, folder, metadata, entry, alone)
        if path is None:
            self.defects.append(grave("missing-file", f"document {self.announced}"))
            return
        if path not in self.contents:
            self.contents[path] = self._read_contents(path, entry)
        contents = self.contents[path]
        if isinstance(contents, Defect):
            self.defects.append(contents)
            return
        document = compose(
            contents,
            entry,
            name=path.rpartition("/")[2],
            attachment=self.attachment,
            archive=self.index,
            codes=self.codes,
            defects=doubts,
        )
        self.documents.append(document)

    def _read_contents(self, path: str, entry: Entry) -> Contents | Defect:
        try:
            return read_contents(self.shelf.read(path), self.limits, is_xml(entry.mime_type, path))
        except Unreadable as refused:
            return replace(refused.defect, detail=f"document {self.announced}: {refused.defect.detail}")

    def _verify_the_rest(self, metadata: list[str]) -> None:
        """INDEX.HTM, README.TXT and whatever else: damage there means that the archive was damaged on its way."""
        for path in self.shelf.files:
            if path in self.contents or path in metadata:
                continue
            try:
                self.shelf.read(path)
            except Unreadable as refused:
                self.defects.append(refused.defect)


def _metadata_paths(shelf: Shelf) -> list[str]:
    """Every METADATA.XML, in order of path; those under an IHE_XDM folder when there are such."""
    found = sorted(path for path in shelf.files if path.rpartition("/")[2].casefold() == _METADATA)
    proper = [path for path in found if "ihe_xdm" in path.casefold().split("/")[:-1]]
    return proper or found


def _resolve(
    shelf: Shelf, folder: str, metadata: str, entry: Entry, alone: bool
) -> tuple[str | None, tuple[Defect, ...]]:
    """The file that an entry speaks of, inside its subset and nowhere else; without a URI, the only one there is."""
    prefix = f"{folder}/" if folder else ""
    if entry.uri is None:
        inside = [path for path in shelf.files if path.startswith(prefix) and path != metadata]
        meant = [path for path in inside if not path.lower().endswith(_COMPANIONS)]
        return (meant[0], (mild("uri-absent"),)) if alone and len(meant) == 1 else (None, ())
    for uri in (entry.uri, unquote(entry.uri)):
        parts = [part for part in uri.replace("\\", "/").split("/") if part not in ("", ".")]
        if _NEVER.match(uri.replace("\\", "/")) or ".." in parts:
            continue
        wanted = "/".join(parts)
        if prefix and wanted.casefold().startswith(prefix.casefold()):  # written from the root of the archive
            wanted = wanted[len(prefix) :]
        found, doubts = _without_case(shelf, prefix + wanted)
        if found is not None and found != metadata:
            return found, doubts
    return None, ()


def _without_case(shelf: Shelf, wanted: str) -> tuple[str | None, tuple[Defect, ...]]:
    if wanted in shelf.files:
        return wanted, ()
    folded = wanted.casefold()
    found = next((path for path in shelf.files if path.casefold() == folded), None)
    return found, (() if found is None else (mild("uri-case"),))


def _several_patients(patient_ids: list[str], documents: list[Document]) -> bool:
    """Whether ids of one authority differ (the INS are one authority), or two documents are about two people. One
    archive is one patient (IHE_XDM in the CI-SIS)."""
    values: dict[str, set[str]] = {}
    for each in patient_ids:
        cx = read_cx(each)
        if cx is not None:
            values.setdefault("ins" if is_ins_oid(cx.oid) else cx.oid, set()).add(cx.value)
    if any(len(several) > 1 for several in values.values()):
        return True
    people = list(dict.fromkeys(document.patient for document in documents if document.patient is not None))
    return any(not same_person(one, other) for one, other in combinations(people[:20], 2))
