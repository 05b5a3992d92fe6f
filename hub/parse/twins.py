"""The PDF copy beside an archive: the same document for human eyes, linked, never filed a second time (RH-34,
mssante.md §4.3).

A PDF is a copy when its bytes are the body of a document, when its name follows the rule and speaks of exactly one
of them, or when it is the only PDF beside the only document of the only archive and its words are those of that
document: the text of the N1's own PDF; for an N3, the birth name of the person, or no text at all (a picture of it:
one PDF beside one document is its copy, ECO.2.1.1). Everything less certain (a bill beside a letter) stays a document
of its own, before a human.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hub.message import Document, comparable
from hub.parse.pdf import read_text

_NAME = re.compile(
    r"(?P<date>\d{8})_(?P<type>[^_]{1,60})_(?P<birth_name>[^_]+)_(?P<first_given>[^_.]+)(?:_[^_.]+)*\.pdf",
    re.IGNORECASE,
)


def original_of(
    pdf: Document, documents: Sequence[Document], pdfs: int, archives: int, may_read: bool = True
) -> int | None:
    """The index of the document that `pdf` copies, None when it is no copy. `pdfs` and `archives` are their numbers in
    the mail; without `may_read` no PDF is opened, and words prove nothing."""
    for index, document in enumerate(documents):
        if pdf.sha256 == document.sha256 or (document.body and pdf.raw == document.body):
            return index
    named = _NAME.fullmatch(pdf.name or "")
    if named:
        spoken_of = [i for i, document in enumerate(documents) if _speaks_of(named, document)]
        if len(spoken_of) > 1:
            spoken_of = [i for i in spoken_of if _act_day(documents[i]) == named["date"]]
        if len(spoken_of) == 1:
            return spoken_of[0]
        return None
    alone = may_read and len(documents) == pdfs == archives == 1
    return 0 if alone and _says_the_same(pdf, documents[0]) else None


def _says_the_same(pdf: Document, document: Document) -> bool:
    words = _words(read_text(pdf.raw).text)
    if b"%PDF-" in document.body[:1024]:
        return words == _words(read_text(document.body).text)
    name = _words((document.patient.birth_name if document.patient else None) or "")
    return not words or (bool(name) and f" {name} " in f" {words} ")


def _words(text: str) -> str:
    """Letters and digits only: two programs that draw one text set its blanks and lines apart."""
    return " ".join(re.findall(r"\w+", comparable(text) or ""))


def _speaks_of(named: re.Match[str], document: Document) -> bool:
    patient = document.patient
    if patient is None or not patient.birth_name:
        return False
    given = {comparable(name) for name in (patient.first_given, patient.used_given) if name}
    same_given = not given or comparable(named["first_given"]) in given
    return same_given and comparable(patient.birth_name) == comparable(named["birth_name"])


def _act_day(document: Document) -> str:
    return (document.act_at or document.created_at or "")[:10].replace("-", "")
