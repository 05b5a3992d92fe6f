"""A recipient who answers real mails of ours in every form of `tests/recipient.py`, by SMTP, over the real Postfix.

Each sending gets one answer in which one key is left; `answer_all` gives what was answered to what.
"""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from hub.message import Sending
from hub.records import Heard
from tests.recipient import FORMS, Case, Form, answer
from tests.trips.house import wait_for
from tests.trips.office import ASE, DIRECTION, Office
from tests.trips.posted import Sent


@dataclass(frozen=True)
class Answered:
    """`sending` is as it was before; `key` is what the answer left of it."""

    sending: Sending
    name: str
    key: str

    @property
    def form(self) -> Form:
        return FORMS[self.name]


def cases() -> Iterator[tuple[str, str]]:
    """(form, its only key): every form first, each with another key than the one before, then the other keys."""
    turned = [
        [(name, form.keys[(place + number) % len(form.keys)]) for number in range(len(form.keys))]
        for place, (name, form) in enumerate(FORMS.items())
    ]
    for each in zip_longest(*turned):
        yield from (case for case in each if case is not None)


def answer_all(office: Office, sent: Iterable[Sent]) -> tuple[Answered, ...]:
    """One answer to each mail of the direction, all of them carried by the hub when this returns."""
    ids = {one.one.message_id for one in sent if one.written.sender == DIRECTION}
    sendings = [one for one in sendings_of(office, "direction") if one.message_id in ids]
    assert len(sendings) == len(ids) > len(FORMS)
    answered = tuple(Answered(one, *case) for one, case in zip(sendings, cases(), strict=False))
    send(office, answered, "un")
    return answered


def sendings_of(office: Office, mailbox: str) -> tuple[Sending, ...]:
    with office.site.opened() as house:
        return asyncio.run(house.records.sent(None, None, mailbox, None, 1_000))


def send(office: Office, answered: Iterable[Answered], mark: str) -> None:
    """The answers leave; `mark` tells these from other copies of them. Returns when the hub is done with them."""
    before, number = sum(office.site.counts().values()), 0
    context = office.authority.client_context(office.dovecot.leaf(ASE))
    with smtplib.SMTP_SSL("localhost", office.site.postfix.implicit_port, context=context, timeout=30) as client:
        for number, one in enumerate(answered, 1):
            raw = answer(one.name, Case(one.sending, ASE, frozenset({one.key}), DIRECTION))
            path, _, rest = raw.partition(b"\r\n")
            mark_of_one = f"<{mark}-{number}@ailleurs.example>".encode()
            rest = rest.replace(b"<reponse@ailleurs.example>", mark_of_one, 1)
            client.sendmail(path.decode().partition(":")[2].strip(" <>"), [DIRECTION], rest)

    def are_done() -> bool:
        counts = office.site.counts()
        return sum(counts.values()) >= before + number and counts["ACCEPTED"] + counts["PLANNED"] == 0

    wait_for(are_done, 60, lambda: f"{office.site.counts()}\n{office.site.log()[-4000:]}")


def heard_of(office: Office, sendings: Iterable[Sending]) -> dict[str, tuple[Heard, ...]]:
    """What the ladder learned of each sending, by its id."""
    with office.site.opened() as house:
        return {one.id: asyncio.run(house.records.heard_of(one.id)) for one in sendings}
