"""Whether a certificate was revoked: asked of its authority, by its lists, else by its responders (RH-07, ECO.1.1.6).

In: a leaf (DER), the authorities, a policy, the moment. Out: nothing, or `Untrusted`. Every certificate of the chain
below its root is asked for: first what is kept, then, when that has ended or there is none, its points, then the
responders. Nothing to be had is a refusal: who can cut us off from the authority could also hold a stolen key. What is
kept is asked for again every two hours in the background, never while somebody waits for an answer that is there.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.errors import DiskFailed, Untrusted
from hub.settings import Fetching, Trusting
from hub.trust.authorities import Authorities, fingerprint
from hub.trust.chain import chain_of, issuer_unknown, read_certificate
from hub.trust.crl import RevocationList, common_name, named_points, read_list
from hub.trust.fetching import Fetcher
from hub.trust.kept import Kept
from hub.trust.ocsp import OcspAnswer, named_responders, question, read_answer
from hub.trust.published import Published
from hub.trust.statements import Statement

S = TypeVar("S", bound=Statement)
Policy = Literal["required", "published", "off"]
ANSWER_MOST = 256 * 1024  # bytes; an answer with the responder's certificate has 2 KB
LISTS, ANSWERS = "crl", "ocsp"  # folders below data_dir/trust
OCSP_REQUEST = "application/ocsp-request"

_REVOKED = (
    "Le certificat de l'opérateur a été révoqué par son autorité : le hub ne lui transmet plus rien. Prévenez "
    "l'opérateur par un autre moyen."
)
_UNKNOWN = (
    "Le hub ne peut pas vérifier que le certificat de l'opérateur est encore valable (listes de révocation "
    "inaccessibles) : il ne lui transmet rien et réessaiera de lui-même."
)


@dataclass(frozen=True, slots=True)
class Points:
    """Where to ask for one certificate. `is_named`: it says itself where, or the settings do for its authority."""

    lists: tuple[str, ...]
    responders: tuple[str, ...]
    is_named: bool


class Revocation:
    """`folder`: data_dir/trust. One for each process; all processes of a site share what is kept there. Belongs to one
    event loop."""

    def __init__(self, folder: Path, fetcher: Fetcher, trusting: Trusting, fetching: Fetching) -> None:
        self._folder = folder
        self._fetcher = fetcher
        self._trusting = trusting
        self._fetching = fetching
        self._lists: dict[tuple[str, str], Published[RevocationList]] = {}
        self._answers: dict[tuple[str, str], Published[OcspAnswer]] = {}
        self._asking: dict[object, asyncio.Task[Any]] = {}

    async def check(self, leaf: bytes, authorities: Authorities, policy: Policy, at: datetime) -> None:
        """Raises Untrusted: `peer-revoked`, `peer-revocation-unknown`, or what is wrong with its chain; DiskFailed."""
        if policy == "off":
            return
        chain = await asyncio.to_thread(chain_of, leaf, authorities.anchors, authorities.known, at)
        certificates = [read_certificate(raw) for raw in chain]
        if len(certificates) == 1 and (policy == "required" or self.points_of(certificates[0]).is_named):
            raise issuer_unknown(certificates[0])
        try:
            for certificate, issuer in pairwise(certificates):
                await self._show_good(certificate, issuer, policy, at)
        except OSError as error:
            raise DiskFailed("revocation: nothing can be kept", _name_of(error)) from None

    def has_lists_of(self, authority: bytes) -> bool:
        """Whether the settings name lists of an authority (DER)."""
        return bool(self._lists_of(x509.load_der_x509_certificate(authority)))

    async def is_listed(self, serial: int, authority: bytes, at: datetime) -> bool | None:
        """Whether the list that the settings name for an authority (DER) has this number; for leaves that are not here,
        such as those of signers of mails. None: no list counts. Raises DiskFailed."""
        issuer = x509.load_der_x509_certificate(authority)
        try:
            for published in self._lists_of(issuer):
                found = await published.current(at) or await self._asked(published, at)
                if found is not None and found.is_for_all_leaves:
                    return await asyncio.to_thread(found.lists, serial)
        except OSError as error:
            raise DiskFailed("revocation: nothing can be kept", _name_of(error)) from None
        return None

    async def refresh(self, leaf: bytes, authorities: Authorities, at: datetime) -> None:
        """Ask anew for the lists of its whole chain, those that are due. Raises Untrusted (its chain), OSError."""
        chain = await asyncio.to_thread(chain_of, leaf, authorities.anchors, authorities.known, at)
        for certificate, issuer in pairwise(map(read_certificate, chain)):
            for url in self.points_of(certificate).lists:
                published = self._list(url, issuer)
                found = await (self._asked(published, at) if await published.is_due(at) else published.current(at))
                if found is not None:
                    break  # the other points have the same list

    async def refresh_lists_of(self, authority: bytes, at: datetime) -> None:
        """Those that the settings name for an authority (DER), before any certificate of hers is met.
        Raises OSError."""
        for published in self._lists_of(x509.load_der_x509_certificate(authority)):
            if await published.is_due(at):
                await self._asked(published, at)

    async def close(self) -> None:
        asking = tuple(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def points_of(self, certificate: x509.Certificate) -> Points:
        """By HTTP only: a list is signed, and directories (LDAP) publish nothing else."""
        issuer = common_name(certificate.issuer)
        ours = [point for point in self._trusting.points if point.authority == issuer]
        lists, responders = named_points(certificate), named_responders(certificate)
        return Points(
            lists=_by_http(*lists, *(point.crl for point in ours)),
            responders=_by_http(*responders, *(point.ocsp for point in ours)),
            is_named=bool(lists or responders or ours),
        )

    # --- one certificate

    async def _show_good(
        self, certificate: x509.Certificate, issuer: x509.Certificate, policy: Policy, at: datetime
    ) -> None:
        points = self.points_of(certificate)
        if policy == "published" and not points.is_named:
            return
        if await self._is_good_by_lists(certificate, issuer, points, at):
            return
        if await self._is_good_by_responders(certificate, issuer, points, at):
            return
        raise Untrusted("peer-revocation-unknown", self._why_unknown(certificate, issuer, points), _UNKNOWN)

    async def _is_good_by_lists(
        self, certificate: x509.Certificate, issuer: x509.Certificate, points: Points, at: datetime
    ) -> bool:
        """Raises Untrusted when one lists it. Two rounds: nobody waits for a point while another's list counts."""
        lists = [(url, self._list(url, issuer)) for url in points.lists]
        for is_last in (False, True):
            for url, published in lists:
                found = await (self._asked(published, at) if is_last else published.current(at))
                if found is None or not found.covers(certificate, url):
                    continue
                if await asyncio.to_thread(found.lists, certificate.serial_number):
                    raise _revoked(certificate, "its authority's list")
                if await published.is_due(at):
                    self._ask(published, at)  # for the next who comes: what is kept counts meanwhile
                return True
        return False

    async def _is_good_by_responders(
        self, certificate: x509.Certificate, issuer: x509.Certificate, points: Points, at: datetime
    ) -> bool:
        for url in points.responders:
            published = self._answer(url, certificate, issuer)
            answer = await published.current(at)
            if answer is None or await published.is_due(at):
                answer = await self._asked(published, at)
            if answer is not None and answer.status == "revoked":
                raise _revoked(certificate, "its authority's responder")
            if answer is not None and answer.status == "good":
                return True
        return False

    def _why_unknown(self, certificate: x509.Certificate, issuer: x509.Certificate, points: Points) -> str:
        asked = [(url, self._list(url, issuer).trouble().code) for url in points.lists]
        asked += [(url, self._answer(url, certificate, issuer).trouble().code) for url in points.responders]
        told = ", ".join(f"{url} ({code or 'nothing that counts'})" for url, code in asked)
        return f"{common_name(certificate.subject)}: {told or 'no point is known for its authority'}"

    async def _asked(self, published: Published[S], at: datetime) -> S | None:
        """What counts after asking. Whoever waits here may be cancelled by a deadline of his own: the question goes on,
        so that its answer, or its failure, is there for the next one."""
        found: S | None = await asyncio.shield(self._ask(published, at))
        return found

    def _ask(self, published: Published[S], at: datetime) -> asyncio.Task[S | None]:
        task = self._asking.get(published)
        if task is None:
            task = self._asking[published] = asyncio.get_running_loop().create_task(published.refreshed(at))
            task.add_done_callback(lambda done: self._answered(published, done))
        return task

    def _answered(self, published: object, done: asyncio.Task[Any]) -> None:
        self._asking.pop(published, None)
        if not done.cancelled():
            done.exception()  # an error of the disk: nobody may have waited; whoever needs it next meets it himself

    # --- what is kept

    def _lists_of(self, issuer: x509.Certificate) -> tuple[Published[RevocationList], ...]:
        """Those of the settings."""
        name = common_name(issuer.subject)
        urls = [point.crl for point in self._trusting.points if point.authority == name]
        return tuple(self._list(url, issuer) for url in urls if url is not None)

    def _list(self, url: str, issuer: x509.Certificate) -> Published[RevocationList]:
        key = (url, _digest_of(issuer))
        if key not in self._lists:

            def judge(raw: bytes) -> RevocationList:
                return read_list(raw, issuer)

            async def ask() -> tuple[bytes, RevocationList]:
                raw = (await self._fetcher.get(url, most=self._trusting.list_most)).raw
                return raw, await asyncio.to_thread(judge, raw)

            kept = Kept(self._folder / LISTS, _file_name(url, *key))
            self._lists[key] = Published(kept, ask, judge, self._fetching, self._trusting.refresh_every)
        return self._lists[key]

    def _answer(self, url: str, certificate: x509.Certificate, issuer: x509.Certificate) -> Published[OcspAnswer]:
        key = (url, _digest_of(certificate))
        if key not in self._answers:

            def judge(raw: bytes) -> OcspAnswer:
                return read_answer(raw, certificate, issuer)

            async def ask() -> tuple[bytes, OcspAnswer]:
                nonce = secrets.token_bytes(16)
                asked = question(certificate, issuer, nonce)
                raw = (await self._fetcher.post(url, asked, OCSP_REQUEST, most=ANSWER_MOST)).raw
                return raw, read_answer(raw, certificate, issuer, nonce)

            kept = Kept(self._folder / ANSWERS, _file_name(url, *key))
            self._answers[key] = Published(kept, ask, judge, self._fetching, self._trusting.refresh_every)
        return self._answers[key]


def _revoked(certificate: x509.Certificate, by: str) -> Untrusted:
    return Untrusted("peer-revoked", f"{common_name(certificate.subject)} is revoked, says {by}", _REVOKED)


def _by_http(*urls: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for url in urls if url is not None and url.startswith("http://")))


def _digest_of(certificate: x509.Certificate) -> str:
    return fingerprint(certificate.public_bytes(Encoding.DER))


def _file_name(url: str, *key: str) -> str:
    """`ACI-EL-ORG.crl-1a2b3c4d5e6f`: readable, and one for each."""
    shown = re.sub(r"[^A-Za-z0-9.-]", "", url.rpartition("/")[2])[:60]
    return f"{shown}-{hashlib.sha256(' '.join(key).encode()).hexdigest()[:12]}"


def _name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
