"""The hundred PDFs of `mailbag`, handed in by their mail programs, fetched from the mailboxes of their recipients."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from tests.trips.arrived import Arrived
from tests.trips.house import wait_for
from tests.trips.mailbag import Written, mailbag, the_answer
from tests.trips.office import Office
from tests.trips.programs import hand_in


@dataclass(frozen=True)
class Sent:
    """A submission and the mails that came of it, one for each recipient."""

    written: Written
    arrived: tuple[Arrived, ...]

    @property
    def one(self) -> Arrived:
        return self.arrived[0]


def post(office: Office, folder: Path) -> tuple[Sent, ...]:
    """The last one answers a mail that left before it."""
    bag = mailbag()
    for number, one in enumerate(bag):
        if one.program != "smtplib":
            hand_in(office, folder / str(number), one)
    mails = [one.mail for one in bag if one.program == "smtplib"]
    office.submit(*mails[: len(mails) // 2], tls="starttls")
    office.submit(*mails[len(mails) // 2 :])
    found = matched(bag, delivered(office, bag))
    answered = found[bag.index(next(one for one in bag if one.program == "curl"))]
    last = the_answer(answered.one.message_id, answered.written.usager)
    office.submit(last.mail)
    whole = (*bag, last)
    return matched(whole, delivered(office, whole))


def delivered(office: Office, bag: tuple[Written, ...]) -> list[Arrived]:
    """All that came to the recipients, once there are as many mails as there must be."""
    wanted = Counter(recipient for one in bag for recipient in one.recipients)

    def are_there() -> bool:
        return all(len(office.site.mails_to(who)) >= number for who, number in wanted.items())

    wait_for(are_there, 90, lambda: f"{office.site.counts()}\n{office.site.log()[-4000:]}")
    return [Arrived(who, raw) for who in wanted for raw in office.fetched(who)]


def matched(bag: tuple[Written, ...], arrived: list[Arrived]) -> tuple[Sent, ...]:
    """By the PDFs inside the documents: they are, byte for byte, those that were attached."""
    by_pdfs: dict[tuple[bytes, ...], list[Arrived]] = {}
    for one in arrived:
        by_pdfs.setdefault(tuple(inside(cda) for cda in one.cdas), []).append(one)
    found = tuple(Sent(one, tuple(by_pdfs.pop(one.pdfs, ()))) for one in bag)
    assert not by_pdfs, f"{len(by_pdfs)} mails that nobody wrote"
    return found


def inside(cda: bytes) -> bytes:
    """The PDF in the body of an N1."""
    return base64.b64decode(etree.fromstring(cda).findtext(".//{urn:hl7-org:v3}nonXMLBody/{urn:hl7-org:v3}text") or "")
