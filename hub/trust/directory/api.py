"""The directory by its FHIR API v2 (mssante.md §10.1), behind the same interface as the extraction.

What was typed flows in, entries flow out. Questions go by POST `_search`, so that no name stands in a URL; the key
comes from a file and goes into a header. No more calls a second than allowed, over all processes; after a failure
nobody asks for a while (429 and its Retry-After included). Answers are remembered: a fresh one is not asked for again,
an older one serves while the API is away. Failures: `DirectoryAway`, when nothing is remembered either.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from hub.directory import Away, Entry, Found, Wanted, address_key, closeness, folded, terms_of
from hub.ports import Clock
from hub.settings import DirectorySettings, Fetching
from hub.trust.directory.bundle import Page, Resource, Unreadable, page_of
from hub.trust.directory.fhir import entries_of, missing_organisations
from hub.trust.directory.index import DirectoryAway
from hub.trust.directory.pace import Pace
from hub.trust.directory.remembered import FILE, Answered, Remembered
from hub.trust.fetching import Fetcher, FetchFailed
from hub.trust.kept import Kept

_Parameters = tuple[tuple[str, str], ...]
_Resources = dict[tuple[str, str], Resource]  # by kind and id
Question = tuple[str, _Parameters]  # (kind of resource, search parameters)

_FORM = "application/x-www-form-urlencoded"
_PAGE = 50  # resources; the API's own size of a page
_PAGES_MOST = 4
_WITHIN = 20.0  # seconds for all calls of a question: somebody waits for it
# A question that the API does not like says nothing about the next one.
_OF_ONE_QUESTION = ("http-400", "http-404", "http-422", "outcome", "too-large")
_ANSWER_MOST = 8 * 1024**2
_NUMBER = re.compile(r"[0-9][0-9AB][0-9]{7,12}")  # RPPS, ADELI, FINESS, SIRET
_PERSON_TOO = (("_revinclude", "PractitionerRole:practitioner"),)
_ROLE_TOO = (("_include", "PractitionerRole:practitioner"), ("_include", "PractitionerRole:organization"))


class DirectoryApi:
    """`make_key` reads the key, and raises Misconfigured when it cannot."""

    def __init__(
        self,
        settings: DirectorySettings,
        fetching: Fetching,
        folder: Path,
        fetcher: Fetcher,
        make_key: Callable[[], str],
        clock: Clock,
    ) -> None:
        assert settings.api_url is not None
        self._url = settings.api_url.rstrip("/")
        self._fresh_for = settings.answers_kept
        self._fetching = fetching
        self._fetcher = fetcher
        self._make_key = make_key
        self._clock = clock
        self._pace = Pace(folder / "directory-api.pace", settings.calls_a_second)
        self._trouble = Kept(folder, FILE)
        self._remembered = Remembered(folder, settings.remembered_for)

    async def find(self, wanted: Wanted) -> Found:
        """Raises DirectoryAway, Misconfigured."""
        terms = terms_of(wanted.text)
        if not terms:
            return Found()
        answered, code = await self._answered(_about(wanted), questions_of(wanted))
        entries = [entry for entry in answered.entries if wanted.fits(entry)]
        entries.sort(key=lambda entry: closeness(entry, terms))
        return Found(
            entries=tuple(entries[: wanted.limit]),
            is_whole=answered.is_whole and len(entries) <= wanted.limit,
            away=(Away("api", code),) if code else (),
        )

    async def at(self, address: str) -> Entry | None:
        """The entry of an address, also one that the API had once and has no more. Raises DirectoryAway,
        Misconfigured."""
        key = address_key(address)
        about = f"at {key}"
        before = await asyncio.to_thread(self._remembered.of, about)
        answered, code = await self._answered(about, _of_address(key), keeps=False)
        entry = next((one for one in answered.entries if address_key(one.address) == key), None)
        if entry is None and before is not None and before.entries and not code:
            last = before.entries[0]
            entry = replace(last, gone_at=last.gone_at or answered.at)
        if not code and (before is None or answered.at != before.at):
            kept = Answered(answered.at, (entry,) if entry is not None else ())
            await asyncio.to_thread(self._remembered.keep, about, kept)
        return entry

    async def _answered(self, about: str, questions: tuple[Question, ...], keeps: bool = True) -> tuple[Answered, str]:
        """What was answered now or lately; else before, with the code of what went wrong."""
        at = self._clock()
        before = await asyncio.to_thread(self._remembered.of, about)
        if before is not None and abs(at - before.at) < self._fresh_for:
            return before, ""
        try:
            answered = await self._ask(questions, at)
        except DirectoryAway as away:
            if before is None:
                raise
            return before, away.code
        if keeps:
            await asyncio.to_thread(self._remembered.keep, about, answered)
        return answered, ""

    # --- calls

    async def _ask(self, questions: tuple[Question, ...], at: datetime) -> Answered:
        if not self._trouble.may_try(at, self._fetching):
            raise DirectoryAway(self._trouble.trouble().code)
        try:
            async with asyncio.timeout(_WITHIN):
                resources, is_whole = await self._all(questions)
        except (FetchFailed, Unreadable) as error:
            if error.code not in _OF_ONE_QUESTION:
                asked = error.retry_in if isinstance(error, FetchFailed) else None
                self._trouble.failed(error.code, at, self._fetching, asked)
            raise DirectoryAway(error.code) from None
        except TimeoutError:
            self._trouble.failed("timeout", at, self._fetching)
            raise DirectoryAway("timeout") from None
        self._trouble.recovered()
        return Answered(at, entries_of(resources, at), is_whole)

    async def _all(self, questions: tuple[Question, ...]) -> tuple[list[Resource], bool]:
        resources: _Resources = {}
        is_whole = True
        for kind, parameters in questions:
            is_whole &= await self._pages(kind, parameters, resources)
        if houses := missing_organisations(resources.values()):
            await self._pages("Organization", (("_id", ",".join(houses[:_PAGE])),), resources)
        return list(resources.values()), is_whole

    async def _pages(self, kind: str, parameters: _Parameters, into: _Resources) -> bool:
        """Whether there were no more."""
        body = urlencode((*parameters, ("_count", str(_PAGE)))).encode("ascii")
        page = await self._call(f"{self._url}/{kind}/_search", body)
        for number in range(_PAGES_MOST):
            into |= {(one.resource_type, one.id): one for one in page.resources}
            if not page.following or not self._is_ours(page.following):
                return True
            if number < _PAGES_MOST - 1:
                page = await self._call(page.following, None)
        return False

    async def _call(self, url: str, body: bytes | None) -> Page:
        await self._pace.turn()
        headers = {"ESANTE-API-KEY": self._make_key(), "accept": "application/fhir+json"}
        if body is None:
            answer = await self._fetcher.get(url, most=_ANSWER_MOST, headers=headers)
        else:
            answer = await self._fetcher.post(url, body, _FORM, most=_ANSWER_MOST, headers=headers)
        return page_of(answer.raw)

    def _is_ours(self, url: str) -> bool:
        """The key goes to nobody else."""
        return urlsplit(url)[:2] == urlsplit(self._url)[:2]


# --- questions


def questions_of(wanted: Wanted) -> tuple[Question, ...]:
    """A whole address, a number, or the words of a name. The API knows no professions by name and no towns of
    persons."""
    text = wanted.text.strip()
    if "@" in text:
        return _of_address(address_key(text)) if "." in text.rpartition("@")[2] else _containing(address_key(text))
    number = text.replace(" ", "").upper()
    if _NUMBER.fullmatch(number):
        by_number = (("identifier", number),)
        return _chosen(wanted, (("Practitioner", by_number + _PERSON_TOO), ("Organization", by_number)))
    names = tuple(("name:contains", word) for term in terms_of(text) for word in term.forms[0])
    houses = (*names, ("mailbox-mss:contains", "@"))
    if wanted.department:
        houses += (("address-postalcode", _postal(wanted.department)),)
    return _chosen(wanted, (("Practitioner", names + _PERSON_TOO), ("Organization", houses)))


def _chosen(wanted: Wanted, questions: tuple[Question, ...]) -> tuple[Question, ...]:
    kept = {"PER": ("Practitioner",), "CAB": ("Practitioner",), "ORG": ("Organization",), "APP": ("Organization",)}
    return tuple(one for one in questions if wanted.kind is None or one[0] in kept[wanted.kind])


def _of_address(address: str) -> tuple[Question, ...]:
    return _by_mailbox("mailbox-mss:exact", address)


def _containing(text: str) -> tuple[Question, ...]:
    return _by_mailbox("mailbox-mss:contains", text)


def _by_mailbox(parameter: str, value: str) -> tuple[Question, ...]:
    mailbox = ((parameter, value),)
    return (
        ("PractitionerRole", mailbox + _ROLE_TOO),
        ("Practitioner", mailbox + _PERSON_TOO),
        ("Organization", mailbox),
    )


def _postal(department: str) -> str:
    """How the postal codes of a département begin."""
    return "20" if department.upper() in ("2A", "2B") else department


def _about(wanted: Wanted) -> str:
    return f"find {wanted.kind} {wanted.department} {folded(wanted.text.strip())}"
