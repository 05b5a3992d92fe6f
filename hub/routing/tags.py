"""The kind that a subject asks for: `[fiche navette]`, `[Rapport de situation]`, `[fiche_navette]`.

The words in the brackets of a subject in, the kind that they call by its id or its name out. What is written there by
the author of a submission decides before any word of the document; brackets that call no kind (`[URGENT]`) say nothing.
"""

from __future__ import annotations

import re

from hub.message import Reason
from hub.routing.asked import in_brackets
from hub.routing.catalogue import UNKNOWN, Catalogue
from hub.routing.reasons import reason
from hub.routing.words import tokens

_BRACKETS = re.compile(r"\[([^\[\]]{1,100})\]")


def kind_asked(tags: tuple[str, ...], catalogue: Catalogue) -> tuple[str | None, tuple[Reason, ...]]:
    """The kind, None when no tag calls one or two tags call two; and what there is to say of it."""
    asked = {kind for tag in tags for kind in _called(tag, catalogue)}
    if len(asked) > 1:
        return None, (reason("several-kinds-asked"),)
    if not asked:
        return None, ()
    kind = asked.pop()
    return kind, (Reason("kind-asked", f"Type demandé dans l'objet : {catalogue.label(kind)}."),)


def untagged(subject: str, catalogue: Catalogue) -> str:
    """The subject without the brackets that call a kind or give a record number: they were meant for the hub."""

    def kept(tag: re.Match[str]) -> str:
        return "" if _called(tag[1], catalogue) or in_brackets(tag[0]) else tag[0]

    return " ".join(_BRACKETS.sub(kept, subject).split())


def _called(tag: str, catalogue: Catalogue) -> set[str]:
    """Without accents, capitals and little words that are elided; `fiche-navette` and `fiches navettes` too."""
    said = _form(tag)
    return {
        kind.id
        for kind in catalogue.kinds.values()
        if kind.id != UNKNOWN and said and said in (_form(kind.id), _form(kind.label))
    }


def _form(text: str) -> tuple[str, ...]:
    return tuple(word.lower().removesuffix("s") for word in tokens(text))
