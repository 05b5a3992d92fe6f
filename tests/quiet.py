"""What must stand in no log of the suite (RH-81), and how it is found: the secrets of the tests and the people in them.

Known by itself, whatever test made it: private keys in PEM, lines of a key file, argon2 hashes, matricules (15
characters of the INS with the right key). Known because a test told it: passwords (`password("…")`), data keys, the
names, given names and numbers of the test people, the subjects of the test mails. All of it is found in clear, inside
a percent-encoded URL and inside a base64 word (AUTH PLAIN, AUTH LOGIN).

`leaks_in(text)` gives kinds and line numbers, never the secret itself. `tests/listening.py` brings it the texts.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

# Words of test names that stand for something else as well, each with its reason. A test person who must be found
# bears at least one name that is not here.
NOT_DISTINCTIVE = frozenset(
    {
        "essai",  # "test", in the names of sites, folders and mails
        "autre",  # "another one"
        "other",
        "test",
        "nom",  # "name"
        "exemple",  # "example", in domains, addresses and organisations
    }
)
SUBJECTS_MOST = 20_000  # kept at once; those of the fuzzed mails of a property are many
SHORTEST = 8  # characters of a password or subject that can be told from a word

_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_LINE = re.compile(r"(?<![\w-])[A-Za-z0-9_-]{1,16}:[A-Za-z0-9+/]{43}=")
_ARGON2 = re.compile(r"\$argon2(?:id|i|d)\$")
_MATRICULE = re.compile(
    r"(?<![0-9A-Za-z.])([1-478])[ .]?([0-9]{2})[ .]?(0[1-9]|1[0-2]|[2-9][0-9])[ .]?"
    r"([0-9]{2}|2[AB])[ .]?([0-9]{3})[ .]?([0-9]{3})[ .]?([0-9]{2})(?![0-9A-Za-z])"
)
_WORD = re.compile(r"[^\W\d_]{3,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{11,}={0,2}")
_HEX = re.compile(r"[0-9a-f-]+")
_SUBJECT = re.compile(rb"^subject:[ \t]*(.*(?:\r?\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, order=True, slots=True)
class Leak:
    """`line` counts from 1 in the text that was looked at."""

    line: int
    kind: str


@dataclass(slots=True)
class Secrets:
    """What must not be told. `phrases` are found exactly as they are, `names` as whole words in any case and without
    accents, those of three letters only when they begin with a capital."""

    phrases: dict[str, str] = field(default_factory=dict)  # to its kind
    names: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)

    def add_password(self, text: str) -> None:
        if len(text) >= SHORTEST:
            self.phrases[text] = "password"

    def add_key(self, key: bytes) -> None:
        """In the forms in which it could be written; a key of tests that is no secret (32 zeros) is none."""
        if len(set(key)) > 8:
            for written in (key.hex(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()):
                self.phrases[written] = "data key"

    def add_name(self, *names: str | None) -> None:
        for name in names:
            words = _WORD.findall(folded(name or ""))
            self.names |= {word for word in words if word not in NOT_DISTINCTIVE}

    def add_matricule(self, matricule: str | None) -> None:
        """Without its key too, which the form alone would not show."""
        if matricule and len(set(matricule)) > 3:
            self.phrases[matricule] = self.phrases[matricule[:13]] = "matricule"

    def add_mail(self, raw: bytes) -> None:
        """Its subjects, that of each mail inside it too."""
        for found in _SUBJECT.findall(raw[:200_000]):
            self.add_subject(found.decode("utf-8", "replace"))

    def add_subject(self, subject: str) -> None:
        """One word says nothing; `XDM/1.0/DDM` is the same for everybody (ECO.2.1.3)."""
        subject = " ".join(subject.split())
        if len(subject) >= SHORTEST and " " in subject and len(self.subjects) < SUBJECTS_MOST:
            self.subjects.add(subject)

    def leaks_in(self, text: str) -> list[Leak]:
        """Each kind at each line once."""
        found = {(place, kind) for place, kind in self._in_clear(text)}
        if "%" in text:
            found |= {(0, kind) for _, kind in self._in_clear(unquote(text))}
        for match in _BASE64.finditer(text):
            if not _HEX.fullmatch(match[0]):
                found |= {(match.start(), kind) for kind in self._in_base64(match[0])}
        return sorted({Leak(text.count("\n", 0, place) + 1, kind) for place, kind in found})

    def _in_clear(self, text: str) -> Iterator[tuple[int, str]]:
        for pattern, kind in ((_PEM, "private key"), (_KEY_LINE, "line of a key file"), (_ARGON2, "password hash")):
            yield from ((match.start(), kind) for match in pattern.finditer(text))
        yield from ((match.start(), "matricule") for match in _MATRICULE.finditer(text) if _has_right_key(match))
        for phrase, kind in self.phrases.items():
            if (place := text.find(phrase)) >= 0:
                yield place, kind
        for subject in self.subjects:
            if (place := text.find(subject)) >= 0:
                yield place, "subject of a mail"
        yield from self._names_in(text)

    def _names_in(self, text: str) -> Iterator[tuple[int, str]]:
        for match in _WORD.finditer(text):
            word = match[0]
            if folded(word) in self.names and (len(word) > 3 or word[0].isupper()):
                yield match.start(), "name of a test person"

    def _in_base64(self, word: str) -> Iterator[str]:
        """Of what is inside a word only what chance does not make."""
        for skipped in range(4):  # the word before it may have run into it
            try:
                inside = base64.b64decode(word[skipped:].replace("-", "+").replace("_", "/").rstrip("=") + "==")
            except binascii.Error:
                continue
            for text in {inside.decode("utf-8", "ignore"), inside.decode("latin-1")}:
                yield from (kind for phrase, kind in self.phrases.items() if phrase in text)
                if _PEM.search(text):
                    yield "private key"
                if any(len(name) > 5 and folded(name) in self.names for name in _WORD.findall(text)):
                    yield "name of a test person"


def folded(text: str) -> str:
    """Lower case, no accents, ligatures in two letters."""
    if text.isascii():
        return text.casefold()
    apart = unicodedata.normalize("NFKD", text.casefold().replace("œ", "oe").replace("æ", "ae"))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _has_right_key(match: re.Match[str]) -> bool:
    """INSEE: 97 less the rest of the 13 digits by 97, Corsica counted as 19 and 18."""
    body = "".join(match.groups()[:-1]).replace("2A", "19").replace("2B", "18")
    return int(match[7]) == 97 - int(body) % 97


SECRETS = Secrets()
"""Those of this run, in this process."""


def password(text: str) -> str:
    """A password of a test, told so that it is looked for. Every literal password of the tests goes through here
    (`test_quiet.py` looks)."""
    assert len(text) >= SHORTEST, "too short to be told from a word: choose a longer one"
    SECRETS.add_password(text)
    return text


def add_people(values: Iterable[Any], depth: int = 2) -> None:
    """Whoever stands in the constants of a module: identities, usagers, persons, alone or in tuples."""
    for value in values:
        if type(value) in (tuple, list) and depth:
            add_people(value, depth - 1)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            _add_person(value, {field.name for field in dataclasses.fields(value)})


def _add_person(somebody: Any, knows: set[str]) -> None:
    if "identity" in knows:
        add_people([somebody.identity])
    elif "birth_name" in knows:
        SECRETS.add_matricule(somebody.ins)
        SECRETS.add_name(somebody.birth_name, somebody.used_name, somebody.first_given, somebody.given_names)
        SECRETS.add_name(getattr(somebody, "used_given", None))
    elif {"family", "given"} <= knows:
        SECRETS.add_name(somebody.family, somebody.given)
