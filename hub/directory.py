"""What is known of the mailboxes of others: how a directory is asked, what it answers, how several answers become one.

The national directory (its extraction, its API) and the site's own address book answer in the same words: `Wanted` goes
in, `Found` comes out; `joined` makes one of several. `known_of` says what is known of one address. Pure. An address
that no directory has is no error: mailboxes of applications (APP) are never published (mssante.md §10.3).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

Source = Literal["book", "extraction", "api"]  # the nearer to the site, the more it is believed
SOURCES: tuple[Source, ...] = ("book", "extraction", "api")
KINDS = ("PER", "ORG", "APP", "CAB")
LIMIT_MOST = 200
WORDS_MOST = 12

_PLAIN = {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "’": "'", "ʼ": "'", "`": "'"}
_ODD = re.compile(f"[{''.join(_PLAIN)}]")
_MARKS = re.compile("[\u0300-\u036f]+")  # accents, once they stand apart (NFKD)
_WORD = re.compile(r"[^\W_]+")
# Words that tell nothing apart: left out, unless nothing else is asked for.
_EMPTY = frozenset(("a", "au", "aux", "d", "de", "des", "du", "en", "et", "l", "la", "le", "les"))
_ALSO = {"saint": "st", "st": "saint", "sainte": "ste", "ste": "sainte"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One activity of a person, or the place of an organisation's mailbox. What is not said is "". `sign`: the name
    over the door (enseigne); `structure_id`: such as `FINESS 990657926`; `department`: its code."""

    profession: str = ""
    skill: str = ""
    service: str = ""
    organisation: str = ""
    sign: str = ""
    structure_id: str = ""
    street: str = ""
    postal_code: str = ""
    town: str = ""
    department: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A mailbox and whose it is. `kind`: one of KINDS, "" when it is not said. `seen_at`: as of when the source has, or
    had, it; `gone_at`: since when it has it no more. `person_id`: RPPS or ADELI number."""

    address: str
    kind: str
    source: Source
    seen_at: datetime
    title: str = ""
    family: str = ""
    given: str = ""
    person_id: str = ""
    description: str = ""
    activities: tuple[Activity, ...] = ()
    gone_at: datetime | None = None

    @property
    def name(self) -> str:
        """As people say it: `DR Adrien CHAMONT`, or service and organisation; the address for want of better."""
        if self.family or self.given:
            return " ".join(filter(None, (self.title, self.given, self.family)))
        activity = self.activities[0] if self.activities else Activity()
        return (
            " - ".join(filter(None, (activity.organisation or activity.sign, activity.service)))
            or self.description
            or self.address
        )

    @property
    def departments(self) -> frozenset[str]:
        return frozenset(activity.department for activity in self.activities if activity.department)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`text`: what somebody typed. `department`: its code (29, 2A, 976)."""

    text: str
    kind: str | None = None
    department: str | None = None
    limit: int = 20

    def fits(self, entry: Entry) -> bool:
        """Whether an entry is of the kind and the département wanted."""
        if self.kind is not None and entry.kind != self.kind:
            return False
        return self.department is None or self.department.upper() in entry.departments


@dataclass(frozen=True, slots=True)
class Away:
    """A source that could not be asked, and why (a code)."""

    source: Source
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The nearest first. `is_whole` is False when there are more than were wanted."""

    entries: tuple[Entry, ...] = ()
    is_whole: bool = True
    away: tuple[Away, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an address. `is_listed`: some directory has it now; with `gone_at` it had it until then.
    Neither: nothing is known, which is no fault."""

    address: str
    is_listed: bool = False
    kind: str = ""
    name: str = ""
    organisation: str = ""
    seen_at: datetime | None = None
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """A word that is asked for, in the forms in which it may stand (folded): each form is words that stand together."""

    forms: tuple[tuple[str, ...], ...]


# --- words


def folded(text: str) -> str:
    """Without accents, ligatures and case."""
    if text.isascii():
        return text.lower()
    return _MARKS.sub("", unicodedata.normalize("NFKD", unligatured(text))).lower()


def unligatured(text: str) -> str:
    """`CŒUR` as `COEUR`, and the apostrophe of typographers as that of keyboards."""
    return _ODD.sub(lambda found: _PLAIN[found[0]], text)


def words_of(text: str) -> list[str]:
    """The words of a text, folded: letters and digits, whatever stands between."""
    return _WORD.findall(folded(text))


def terms_of(text: str) -> tuple[Term, ...]:
    """What somebody typed, as terms that must all be met. `d'Aprével` is met by `D'APREVEL` and by `DAPREVEL`, `jean
    loup` by `Jean-Loup`, `saint` by `ST`."""
    terms: dict[Term, None] = {}
    empty: dict[Term, None] = {}
    before = ""  # articles and particles just before: `le goff` is met by `LEGOFF`
    for chunk in folded(text).split():
        words = _WORD.findall(chunk)
        if not words:
            continue
        if _EMPTY.issuperset(words):
            empty[Term((tuple(words),))] = None
            before += "".join(words)
            continue
        forms = [tuple(word for word in words if word not in _EMPTY)]
        if len(words) > 1:
            forms.append(("".join(words),))
        elif words[0] in _ALSO:
            forms.append((_ALSO[words[0]],))
        if before:
            forms.append((before + "".join(words),))
        terms[Term(tuple(dict.fromkeys(forms)))] = None
        before = ""
    return tuple(terms or empty)[:WORDS_MOST]


def address_key(address: str) -> str:
    """Under which an address is compared: no mailbox of the trust space differs from another by case alone."""
    return address.strip().lower()


def department_of(postal_code: str) -> str:
    """The code of the département: 29, 2A, 2B, 976; "" when the postal code is none."""
    if len(postal_code) != 5 or not postal_code.isdecimal():
        return ""
    if postal_code.startswith("20"):
        return "2A" if postal_code < "20200" else "2B"
    return postal_code[:3] if postal_code.startswith(("97", "98")) else postal_code[:2]


# --- answers


def closeness(entry: Entry, terms: Sequence[Term]) -> tuple[object, ...]:
    """Sorts the nearest first: present, by how much of the name was meant, then by name."""
    names = set(words_of(f"{entry.family} {entry.given}"))
    if not names:
        names = {
            word
            for activity in entry.activities
            for word in words_of(f"{activity.organisation} {activity.sign} {activity.service}")
        }
    points = sum(max(_points(form, names) for form in term.forms) for term in terms)
    return entry.gone_at is not None, -points, folded(entry.family or entry.name), folded(entry.given), entry.address


def _points(form: tuple[str, ...], names: set[str]) -> int:
    if names.issuperset(form):
        return 3
    return 1 if all(any(name.startswith(word) for name in names) for word in form) else 0


def joined(wanted: Wanted, answers: Iterable[Found]) -> Found:
    """One answer of several: an address once, as its nearest source has it, with the activities that the others add."""
    by_address: dict[str, Entry] = {}
    is_whole, away = True, list[Away]()
    for found in answers:
        is_whole &= found.is_whole
        away += found.away
        for entry in found.entries:
            key = address_key(entry.address)
            before = by_address.get(key)
            by_address[key] = entry if before is None else _merged(before, entry)
    terms = terms_of(wanted.text)
    entries = sorted(by_address.values(), key=lambda entry: closeness(entry, terms))
    return Found(
        entries=tuple(entries[: wanted.limit]),
        is_whole=is_whole and len(entries) <= wanted.limit,
        away=tuple(away),
    )


def _merged(one: Entry, other: Entry) -> Entry:
    first, second = sorted((one, other), key=lambda entry: (entry.gone_at is not None, SOURCES.index(entry.source)))
    more = tuple(
        activity for activity in second.activities if second.gone_at is None and activity not in first.activities
    )
    return replace(first, activities=first.activities + more) if first.source != second.source else first


def known_of(address: str, entries: Iterable[Entry]) -> Known:
    """What the entries of an address (of all sources) say of it."""
    key = address_key(address)
    ours = [entry for entry in entries if address_key(entry.address) == key]
    if not ours:
        return Known(address=address)
    entry = min(ours, key=lambda one: (one.gone_at is not None, SOURCES.index(one.source)))
    return Known(
        address=entry.address,
        is_listed=entry.gone_at is None,
        kind=entry.kind,
        name=entry.name,
        organisation=next(filter(None, (activity.organisation or activity.sign for activity in entry.activities)), ""),
        seen_at=max(one.seen_at for one in ours),
        gone_at=entry.gone_at,
    )
