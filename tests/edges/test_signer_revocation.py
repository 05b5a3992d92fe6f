"""Whether the certificate of a mail's signer was revoked: the verdict of the reader, completed by a real list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.message import Evidence, ParsedMessage, Verdict
from hub.raw import Raw, Whole
from hub.settings import Point, Trusting
from hub.trust.authorities import fingerprint
from hub.wiring.reading import CompletingReader
from tests.edges.test_revocation import DOWN, Publisher, publishing
from tests.igc import Party, now

MAIL = Whole(b"From: <ase@departement.mssante.example>\r\nSubject: essai\r\n\r\nessai\r\n")


class Reader:
    """Finds one mail, signed by `signer` as far as the reader's child can tell."""

    def __init__(self, verdict: Verdict | None) -> None:
        self.verdict = verdict

    async def read(self, raw: Raw, *more: Any) -> ParsedMessage:
        return ParsedMessage(verdict=self.verdict)


def verdict_on(signer: Party, *chain: Party) -> Verdict:
    prints = tuple(fingerprint(one.der) for one in (signer, *chain))
    evidence = Evidence(fingerprint=prints[0], serial=f"{signer.certificate.serial_number:x}", chain=prints)
    return Verdict(integrity="good", chain="good", sender="good", time="good", at=now(), evidence=evidence)


async def completed(publisher: Publisher, verdict: Verdict | None) -> Verdict | None:
    url = f"{publisher.igc.points}/CRL/ORG.crl"
    revocation = publisher.revocation()
    revocation._trusting = Trusting(points=(Point(authority="AC ELEMENTAIRE ORGANISATIONS ESSAI", crl=url),))
    reader = CompletingReader(Reader(verdict), publisher.authorities.known, revocation, now)
    return (await reader.read(MAIL)).verdict


async def test_a_good_signature_stays_good_and_says_that_somebody_looked(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        before = verdict_on(publisher.leaf, publisher.igc.organisations, publisher.igc.root)
        assert await completed(publisher, before) == replace(before, is_revocation_checked=True)


async def test_a_revoked_signer_proves_nothing(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = publisher.igc.crl(publisher.leaf)
        found = await completed(publisher, verdict_on(publisher.leaf, publisher.igc.organisations))
        assert found is not None
        assert (found.outcome, found.chain, found.reasons) == ("invalid", "bad", ("revoked",))
        assert found.is_revocation_checked


async def test_without_list_the_mail_comes_in_and_the_verdict_says_that_nobody_looked(tmp_path: Path) -> None:
    async with publishing(tmp_path) as publisher:
        publisher.lists["ORG"] = DOWN
        before = verdict_on(publisher.leaf, publisher.igc.organisations)
        assert await completed(publisher, before) == before
        assert await completed(publisher, before) == before
        assert publisher.asked("ORG") == 1  # the point is left alone, the second mail does not wait


@pytest.mark.parametrize("what", ["no signature", "bad", "other authority", "own anchor"])
async def test_nothing_is_asked_where_nothing_depends_on_it(tmp_path: Path, what: str) -> None:
    async with publishing(tmp_path) as publisher:
        whole = verdict_on(publisher.leaf, publisher.igc.organisations)
        before = {
            "no signature": None,
            "bad": replace(whole, chain="bad"),
            "other authority": verdict_on(publisher.leaf, publisher.leaf),
            "own anchor": verdict_on(publisher.leaf),
        }[what]
        assert await completed(publisher, before) == before
        assert publisher.pages.asked == []
