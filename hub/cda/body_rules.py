"""The hub's own rules for the body of what it writes: the official ones look at no body at all (cda-xdm.md §1.6).

A body in, its faults out (see `cda.rules`). A PDF is judged by its bytes, never by a name or a media type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.cda.body import sort_of
from hub.cda.writing import Content, FormBody, PdfBody, Table, TextBody
from hub.message import Reason

OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_ENCRYPTED = re.compile(rb"/Encrypt[ \t\r\n]*[0-9<]")


def body_faults(body: Content) -> Iterator[Reason]:
    match body:
        case PdfBody():
            yield from _pdf(body.raw)
        case TextBody():
            yield from _text(body.text)
        case FormBody():
            yield from _form(body)


def _text(text: str) -> Iterator[Reason]:
    if not text.strip():
        yield Reason("body-empty", "Le texte du document est vide.")
    elif sort_of(text.encode("utf-8", "replace")) != "text/plain":
        yield Reason("not-text", "Le texte du document contient un fichier : joignez ce fichier au lieu de le coller.")


def _pdf(raw: bytes) -> Iterator[Reason]:
    if sort_of(raw) != "application/pdf":
        yield Reason("not-pdf", "Le fichier joint n'est pas un PDF : enregistrez-le en PDF et joignez-le de nouveau.")
    elif raw.rfind(b"%%EOF") < 0:
        yield Reason("pdf-cut", "Le PDF est incomplet (fin absente) : joignez-le de nouveau.")
    elif _ENCRYPTED.search(raw):
        yield Reason("pdf-encrypted", "Le PDF est protégé par un mot de passe : enregistrez-le sans protection.")


def _form(body: FormBody) -> Iterator[Reason]:
    if not OID.fullmatch(body.model):
        yield Reason("form-model", "Le modèle du formulaire n'a pas d'identifiant valable.")
    if not body.sections:
        yield Reason("body-empty", "Le formulaire est vide.")
    if any(not section.title.strip() or not section.blocks for section in body.sections):
        yield Reason("section-empty", "Une rubrique du formulaire n'a pas de titre ou pas de contenu.")
    tables = [block for section in body.sections for block in section.blocks if isinstance(block, Table)]
    if any(
        not table.rows or len({len(row) for row in (table.head or table.rows[0], *table.rows)}) > 1 for table in tables
    ):
        yield Reason("table-ragged", "Un tableau du formulaire est vide ou n'a pas le même nombre de cases par ligne.")
    if body.pdf:
        yield from _pdf(body.pdf)
