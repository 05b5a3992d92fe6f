"""Finds the phrases of the catalogue in French text: whole words, without accents, elisions or case.

Text in, tokens out; tokens in, hits out. One pass over the tokens whatever the number of phrases, and no pattern of
a site ever becomes a regular expression, so that no text and no rule can make it slow (libs.md §10, row 28).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TEXT_MOST = 20_000  # characters: a document says what it is on its first pages; the rest is only noise

# Fixed patterns of ours, each linear in the text.
_ODD_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'", "`": "'", "œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE"})
_NOT_WORD = re.compile(r"[^\w']|_")
_ELISION = re.compile(r"\b(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)'(?=[a-z0-9])", re.IGNORECASE)
_ACRONYM_MOST = 6


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase as its words are compared. An acronym (`OPP`, `PAI`) counts only where it is written in capitals."""

    words: tuple[str, ...]
    acronym: str | None = None
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase found at words `start` to `end` (excluded)."""

    phrase: Phrase
    start: int
    end: int


def tokens(text: str) -> list[str]:
    """The words of a text: NFKD, no accents, no elisions, case kept; `L. 223-5` and `L223-5` give `L223`, `5`."""
    spaced = _NOT_WORD.sub(" ", text[:TEXT_MOST].translate(_ODD_APOSTROPHES))
    plain = unicodedata.normalize("NFKD", spaced).encode("ascii", "ignore").decode()
    words = _ELISION.sub("", plain).replace("'", " ").split()
    return list(_articles_joined(words))


def _articles_joined(words: list[str]) -> Iterator[str]:
    """`L 223` is the article `L223`, as it is also written."""
    held = ""
    for word in words:
        if held and word.isdigit() and len(word) >= 3:
            yield held + word
            held = ""
            continue
        if held:
            yield held
        held = word if word in ("L", "R", "D") else ""
        if not held:
            yield word
    if held:
        yield held


def phrase(text: str) -> Phrase | None:
    """None when no word is left of it."""
    words = tokens(text)
    if not words:
        return None
    is_acronym = len(words) == 1 and text.isalpha() and text.isupper() and len(text) <= _ACRONYM_MOST
    return Phrase(tuple(word.lower() for word in words), words[0] if is_acronym else None, text)


class PhraseIndex:
    """All phrases, by their first word; immutable once built."""

    def __init__(self, phrases: Iterable[Phrase]) -> None:
        self._by_first: dict[str, tuple[Phrase, ...]] = {}
        for one in phrases:
            first = one.words[0]
            self._by_first[first] = (*self._by_first.get(first, ()), one)

    def find(self, words: list[str], capitals_matter: bool = True) -> list[Hit]:
        """Every phrase in the words (of `tokens`), in order of its start, longest first."""
        lowered = [word.lower() for word in words]
        hits: list[Hit] = []
        for start, word in enumerate(lowered):
            for one in self._by_first.get(word, ()):
                end = start + len(one.words)
                if tuple(lowered[start:end]) != one.words:
                    continue
                if capitals_matter and one.acronym is not None and words[start] != one.acronym:
                    continue
                hits.append(Hit(one, start, end))
        return sorted(hits, key=lambda hit: (hit.start, -hit.end, hit.phrase.shown))


def outer_hit(hits: list[Hit]) -> list[Hit | None]:
    """For each hit the longer one that holds it whole (`ordonnance` in `ordonnance de placement provisoire`)."""
    outer: list[Hit | None] = []
    widest: Hit | None = None
    for hit in hits:
        holds = widest is not None and hit.end <= widest.end and (hit.start, hit.end) != (widest.start, widest.end)
        outer.append(widest if holds else None)
        if widest is None or hit.end > widest.end:
            widest = hit
    return outer
