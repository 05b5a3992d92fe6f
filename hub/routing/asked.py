"""By what the usager of a submission can be found, and where it stood.

In: what the reader understood. Out: `Asked`, its clues in the order in which they count: a filled form or a DataMatrix
in a PDF, the identity of a CDA; a record number; the mail that is answered; a name with a birth date in the subject.

A record number is read (capitals, accents and blanks without meaning):
- in the subject between brackets: `[dossier 1234]`, `[Dossier n° 1234]`, `[n° de dossier : D-12]`,
  `[dossiers 12 et 13]` (two persons: held); all that stands in the brackets counts, or what stands before a dash
  between blanks;
- in the subject without brackets, and in file names: `dossier 1234`, `dossier n°1234`, `Dossier_D-12_rapport.pdf`,
  `dossier-1234.pdf`; it holds a digit, and what follows `-`, `_`, `.` or `/` may or may not belong to it. What may
  well be a year (`dossier 2025`) is only proposed, unless `n°` says that it is a number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from hub import ins
from hub.birthdates import near_dates
from hub.message import Asked, Clue, Identity, ParsedMessage
from hub.routing.named import LINE_MOST, persons

NUMBERS_MOST = 40  # spellings of record numbers looked up
FILES_MOST = 30  # file names looked at
ANSWERED_MOST = 20  # messages of a thread, the last ones
NUMBER_LENGTH_MOST = 64
INS_MOST = 10  # numbers in the texts of PDFs
DATES_MOST = 6  # birth dates whose neighbours are looked up

_SIGN = r"(?:n[°ºo]s?\.?|nr\.?|num(?:e|é)?(?:ro)?s?\.?|#)"
_BRACKETS = re.compile(r"\[([^\[\]]{1,100})\]")
_IN_BRACKETS = re.compile(
    rf"\s*(?:{_SIGN}\s*(?:de\s+)?)?dossiers?(?=[\s:#°º\d]|n[°ºo])\s*(?:usagers?|enfants?)?\s*{_SIGN}?\s*:?\s*(\S.*)",
    re.IGNORECASE | re.DOTALL,
)
_AND = re.compile(r"\s*(?:,|;|\+|&|(?<=\s)et(?=\s))\s*", re.IGNORECASE)
_NUMBER = r"[^\W\d_]{0,6}[-/]?\d[\w./-]{0,40}"
_IN_LINE = re.compile(
    rf"(?<![^\W_])dossiers?[\s_-]{{0,3}}(?P<sign>{_SIGN}[\s_]{{0,2}})?:?[\s_]{{0,2}}(?P<number>{_NUMBER})",
    re.IGNORECASE,
)
_MORE = re.compile(rf"\s{{0,2}}(?:,|&|\+|et)\s{{1,2}}(?P<number>{_NUMBER})", re.IGNORECASE)
_CUT = re.compile(r"[-_./]")
_DASH = re.compile(r"\s+[-:]\s+")
_YEAR = re.compile(r"(?:19|20)\d\d")
_FILE_TYPE = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_INS = re.compile(
    r"(?<!\d)[1-8][ .\u00a0]?\d\d[ .\u00a0]?\d\d[ .\u00a0]?(?:\d\d|2[AB])(?:[ .\u00a0]?\d{3}){2}[ .\u00a0]?\d\d(?!\d)",
    re.IGNORECASE,
)
_INS_SAID = re.compile(r"\bINS\b\W*$", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,996}>")


def asked_of(parsed: ParsedMessage) -> Asked:
    """Everything by which the usager of the submission can be found, the strongest way first."""
    subject = unicodedata.normalize("NFKC", parsed.subject[:LINE_MOST])
    bracketed = [inner.strip() for inner in _BRACKETS.findall(subject)]
    plain = _BRACKETS.sub(" - ", subject)  # a tag is part of no name
    clues = (
        *_in_documents(parsed),
        *chain.from_iterable(_bracketed(inner) for inner in bracketed),
        *in_line(plain, "subject"),
        *chain.from_iterable(in_line(_FILE_TYPE.sub("", name), "file-name") for name in _file_names(parsed)),
        *_thread(parsed),
        *persons(plain, "subject"),
    )
    clues = _bounded(clues)
    dates = dict.fromkeys(one.birth_date for clue in clues for one in clue.readings if clue.way in ("name", "form"))
    whole = [iso for iso in dates if iso and len(iso) == len("2012-05-31")]
    return Asked(
        clues=clues,
        tags=tuple(inner for inner in bracketed if inner and not any(clue.is_clear for clue in _bracketed(inner))),
        near_dates=tuple(dict.fromkeys(chain.from_iterable(near_dates(iso) for iso in whole[:DATES_MOST]))),
    )


def _bounded(clues: tuple[Clue, ...]) -> tuple[Clue, ...]:
    """Each once; no more numbers than can be looked up (a clue too many is left whole, so that it finds nobody)."""
    kept: list[Clue] = []
    numbers = 0
    for clue in dict.fromkeys(clues):
        numbers += len(clue.numbers)
        if numbers <= NUMBERS_MOST or not clue.numbers:
            kept.append(clue)
    return tuple(kept)


def _in_documents(parsed: ParsedMessage) -> Iterator[Clue]:
    for document in parsed.documents:
        for clue in document.clues:
            spelled = dict.fromkeys(chain.from_iterable(spellings(number) for number in clue.numbers))
            yield replace(clue, numbers=tuple(spelled))
        if document.patient is not None:
            yield Clue(way="document", place="cda", readings=(document.patient,))
    numbers = dict.fromkeys(number for document in parsed.documents for number in _ins_in(document.text))
    for number in tuple(numbers)[:INS_MOST]:
        yield Clue(way="document", place="pdf-text", readings=(Identity(ins=number),), is_clear=False)


def _ins_in(text: str) -> Iterator[str]:
    """The numbers of a text that are INS: of their form, with a right key, or with a wrong one (as test ones have)
    right after the word."""
    for found in _INS.finditer(text):
        number = re.sub(r"[ .\u00a0]", "", found[0]).upper()
        if ins.key_is_right(number) or _INS_SAID.search(text[: found.start()][-20:]):
            yield number


def _file_names(parsed: ParsedMessage) -> tuple[str, ...]:
    names = chain((one.name for one in parsed.documents), (one.name for one in parsed.attachments))
    return tuple(dict.fromkeys(unicodedata.normalize("NFKC", name) for name in names if name))[:FILES_MOST]


def in_brackets(line: str) -> tuple[Clue, ...]:
    """The record numbers that stand in the brackets of a line."""
    return tuple(clue for inner in _BRACKETS.findall(line) for clue in _bracketed(inner.strip()))


def _bracketed(inner: str) -> Iterator[Clue]:
    found = _IN_BRACKETS.fullmatch(inner)
    if found is None:
        return
    for number in _AND.split(found[1].strip()):
        if number and len(number) <= NUMBER_LENGTH_MOST:
            spelled = dict.fromkeys((*spellings(number), *spellings(_DASH.split(number)[0])))
            is_clear = any(c.isdigit() for c in number)  # `[dossier médical]` names nobody
            yield Clue(way="number", place="subject", numbers=tuple(spelled), is_clear=is_clear)


def in_line(line: str, place: str) -> Iterator[Clue]:
    """Record numbers after the word `dossier`, without brackets."""
    at = 0
    while (found := _IN_LINE.search(line, at)) is not None:
        yield _number_clue(found["number"], place, found["sign"] is not None)
        at = found.end("number")
        while (more := _MORE.match(line, at)) is not None:
            yield _number_clue(more["number"], place, found["sign"] is not None)
            at = more.end("number")


def _number_clue(token: str, place: str, has_sign: bool) -> Clue:
    """Every way to end the number, the longest first."""
    token = token.rstrip("-_./")
    ends = [len(token), *(cut.start() for cut in _CUT.finditer(token))]
    read = [token[:end] for end in sorted(ends, reverse=True) if any(c.isdigit() for c in token[:end])]
    looks_like_a_year = any(_YEAR.fullmatch(one) for one in read) and not has_sign
    spelled = dict.fromkeys(chain.from_iterable(spellings(one) for one in read))
    return Clue(way="number", place=place, numbers=tuple(spelled), is_clear=not looks_like_a_year)


def number_clue(number: str) -> Clue:
    """What a human gives as the record number of an usager (an answer, a page, a command), to be looked up."""
    return Clue(way="number", place="answer", numbers=spellings(number))


def spellings(number: str) -> tuple[str, ...]:
    """A record number as it may stand in the records: as written, in capitals, in small letters, without blanks."""
    written = " ".join(number.split())
    return tuple(dict.fromkeys((written, written.upper(), written.lower(), written.upper().replace(" ", ""))))


def _thread(parsed: ParsedMessage) -> tuple[Clue, ...]:
    ids = _MESSAGE_ID.findall(" ".join((*parsed.references, parsed.in_reply_to or "")))
    last = tuple(dict.fromkeys(reversed(ids)))[:ANSWERED_MOST]
    return (Clue(way="thread", place="headers", message_ids=last),) if last else ()
