"""From leaves to documents: archives read, loose files described, copies linked, each digest once.

In: the numbered leaves. Out: `Found`, the archives and every document that can be filed, those of archives first, in
the order of the leaves. A file that comes twice (a mail that forwards what it also attaches) is one document that names
both leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from hub.cda import Codes, read_archive, read_cda
from hub.message import Archive, Attachment, Defect, Document, DocumentForm, Limits
from hub.parse import pdf
from hub.parse.body import leaf_text
from hub.parse.doubts import Doubts
from hub.parse.leaf import Leaf
from hub.parse.sort import Sort, sort_of
from hub.parse.twins import original_of

ARCHIVES_MOST = 100  # in one mail; the trust space puts one


@dataclass(frozen=True, slots=True)
class Found:
    attachments: tuple[Attachment, ...] = ()
    archives: tuple[Archive, ...] = ()
    documents: tuple[Document, ...] = ()


def gather(
    leaves: Iterable[Leaf],
    limits: Limits,
    codes: Codes,
    doubts: Doubts,
    read_pdf: bool,
    words_for: frozenset[str] | None = None,
) -> Found:
    """Bytes of documents are in `Found.documents` only: those listed under an archive come without `raw`, `body` and
    `text`, so that nothing is carried twice."""
    gathering = _Gathering(limits, codes, doubts, read_pdf)
    attachments = []
    for leaf in leaves:
        digest = leaf.digest()
        attachments.append(leaf.described(digest))
        gathering.take(leaf, digest)
    gathering.link_copies()
    documents = gathering.documents()
    if read_pdf:
        documents = [with_pdf_text(document, words_for) for document in documents]
    return Found(tuple(attachments), tuple(gathering.described_archives()), tuple(documents))


def with_pdf_text(document: Document, words_for: frozenset[str] | None = None) -> Document:
    """The document with the text of its PDF: the file itself, or the PDF inside an N1. Of the copy inside an N3, which
    a human opens first, only the doubts; with `words_for` the same of an N1 whose type code is not among them
    (performance)."""
    if document.form is DocumentForm.PDF:
        source = document.raw
    elif b"%PDF-" in document.body[:1024]:
        source = document.body
    else:
        return document
    code = document.type_code.code if document.type_code else ""
    is_read = words_for is None or not code or code in words_for
    if document.level == "N3" or not is_read:
        doubts = pdf.check(source)
        return replace(document, defects=(*document.defects, *doubts)) if doubts else document
    found = pdf.read_text(source)
    return replace(document, text=document.text or found.text, defects=(*document.defects, *found.defects))


class _Gathering:
    def __init__(self, limits: Limits, codes: Codes, doubts: Doubts, read_pdf: bool) -> None:
        self._read_pdf = read_pdf
        self._limits = limits
        self._codes = codes
        self._doubts = doubts
        self._archives: list[Archive] = []
        self._archived: list[Document] = []
        self._loose: list[Document] = []
        self._numbers: dict[str, list[int]] = {}  # by digest, the leaves that carried it and were looked at
        self._unpacked = 0

    def take(self, leaf: Leaf, digest: str) -> None:
        sort = sort_of(leaf)
        if sort in (Sort.UNREAD, Sort.NESTED):
            self._doubts.add("nested-archive" if sort is Sort.NESTED else "unread-attachment", f"part {leaf.path}")
        if sort in (Sort.NOTHING, Sort.UNREAD, Sort.NESTED):
            return
        numbers = self._numbers.setdefault(digest, [])
        numbers.append(leaf.number)
        if len(numbers) > 1:
            self._add_number(digest, leaf.number)
        elif sort is Sort.ARCHIVE:
            self._take_archive(leaf, digest)
        else:
            self._take_loose(leaf, digest, sort)

    def _take_archive(self, leaf: Leaf, digest: str) -> None:
        if len(self._archives) >= ARCHIVES_MOST:
            self._doubts.add("too-many-archives")
            return
        left = self._limits
        if self._unpacked:
            left = replace(left, unpacked=max(left.unpacked - self._unpacked, 0))
        archive = read_archive(
            leaf.content,
            name=leaf.name or "",
            attachment=leaf.number,
            index=len(self._archives),
            limits=left,
            codes=self._codes,
            sha256=digest,
        )
        self._unpacked += sum(document.size for document in archive.documents)
        self._archives.append(archive)
        self._archived.extend(archive.documents)

    def _take_loose(self, leaf: Leaf, digest: str, sort: Sort) -> None:
        if sort is Sort.CDA:
            self._loose.append(
                read_cda(leaf.content, name=leaf.name, attachment=leaf.number, limits=self._limits, codes=self._codes)
            )
            return
        form = DocumentForm.PDF if sort is Sort.PDF else DocumentForm.OTHER
        self._loose.append(loose_file(leaf, digest, form, self._doubts))

    def _add_number(self, digest: str, number: int) -> None:
        """The same bytes once more: the documents that they gave name this leaf too."""
        first = self._numbers[digest][0]
        self._change(lambda document: document.attachments[:1] == (first,), number)

    def _change(self, chosen: Callable[[Document], bool], number: int) -> None:
        for documents in (self._archived, self._loose):
            for index, document in enumerate(documents):
                if chosen(document):
                    documents[index] = replace(document, attachments=(*document.attachments, number))

    def link_copies(self) -> None:
        """Loose files that stand in an archive too, or copy a document of it, are linked to it."""
        pdfs = sum(document.form is DocumentForm.PDF for document in self._loose)
        kept = []
        for document in self._loose:
            index = self._original(document, pdfs)
            if index is None:
                kept.append(document)
                continue
            original = self._archived[index]
            self._archived[index] = replace(original, attachments=(*original.attachments, *document.attachments))
        self._loose = kept

    def _original(self, loose: Document, pdfs: int) -> int | None:
        if loose.form is DocumentForm.PDF:
            return original_of(loose, self._archived, pdfs, len(self._archives), self._read_pdf)
        return next((i for i, document in enumerate(self._archived) if document.sha256 == loose.sha256), None)

    def documents(self) -> list[Document]:
        """Each once. Two archives that hold the same bytes and say different things of them stay two."""
        kept: dict[tuple[object, ...], Document] = {}
        for document in (*self._archived, *self._loose):
            key = (document.sha256, document.unique_id, document.action, document.patient)
            if key in kept:
                numbers = tuple(dict.fromkeys((*kept[key].attachments, *document.attachments)))
                document = replace(kept[key], attachments=numbers)
            kept[key] = document
        return list(kept.values())

    def described_archives(self) -> Iterable[Archive]:
        for index, archive in enumerate(self._archives):
            own = (document for document in self._archived if document.archive == index)
            yield replace(archive, documents=tuple(replace(d, raw=b"", body=b"", text="") for d in own))


def loose_file(leaf: Leaf, digest: str, form: DocumentForm, doubts: Doubts) -> Document:
    """A file without metadata; its `unique_id` is its digest, its `raw` what a human reads (`body` stays empty)."""
    stem, dot, _ = (leaf.name or "").rpartition(".")
    media_type = leaf.filed_type()
    is_text = form is DocumentForm.OTHER and media_type in ("text/plain", "text/csv")
    called_pdf = form is DocumentForm.OTHER and media_type == "application/pdf"
    return Document(
        form=form,
        unique_id=f"sha256:{digest}",
        sha256=digest,
        size=len(leaf.content),
        media_type=media_type,
        title=stem if dot else leaf.name or "",
        name=leaf.name,
        attachments=(leaf.number,),
        raw=leaf.content,
        text=leaf_text(leaf, pdf.TEXT_MOST, doubts) if is_text else "",
        defects=(Defect("pdf-unreadable"),) if called_pdf else (),
    )
