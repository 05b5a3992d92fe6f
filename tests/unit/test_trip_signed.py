"""The verdict on a signature is given once, at reception, and kept with what was thought of the message."""

from __future__ import annotations

from datetime import datetime, timedelta

from hub.cda import Codes
from hub.message import Limits, ParsedMessage, Verdict
from hub.parse import Witness, parse
from hub.ports import Drafts
from hub.raw import Raw, joined
from hub.smime import Trust, sign
from tests.signers import ENTITY, Authority, head
from tests.unit.test_trip import NOON, ParsingReader, Town

AUTHORITY = Authority("ec")
SIGNER = AUTHORITY.signer(not_before=NOON - timedelta(days=30), not_after=NOON + timedelta(days=30))


class JudgingReader(ParsingReader):
    """Reads as the child does, the anchors known."""

    async def read(
        self,
        raw: Raw,
        words_for: frozenset[str] | None = None,
        drafts: Drafts | None = None,
        received_at: datetime | None = None,
        clues: bool = False,
    ) -> ParsedMessage:
        witness = None if received_at is None else Witness(Trust(AUTHORITY.anchors), received_at)
        return parse(await joined(raw), Limits(), Codes.empty(), words_for=words_for, witness=witness)


def town() -> Town:
    made = Town()
    object.__setattr__(made.hub, "reader", JudgingReader())
    return made


def kept(made: Town, message_id: str) -> Verdict | None:
    thought = made.store.kept.messages[message_id].thought
    assert thought is not None
    return thought.verdict


async def test_the_verdict_is_that_of_the_reception_however_late_the_message_is_carried() -> None:
    made = town()
    message_id = await made.accept(head() + sign(ENTITY, SIGNER, NOON, "=_b"))
    made.pass_time(days=300)  # the certificate has expired since
    await made.carry(message_id)
    verdict = kept(made, message_id)
    assert verdict is not None
    assert (verdict.outcome, verdict.at) == ("valid", NOON)


async def test_a_bad_signature_is_kept_too_and_a_mail_without_one_has_none() -> None:
    made = town()
    altered = (head() + sign(ENTITY, SIGNER, NOON, "=_b")).replace(b"Bonjour", b"Bonsoir")
    bad, plain = await made.accept(altered), await made.accept(head() + ENTITY)
    for message_id in (bad, plain):
        await made.carry(message_id)
    verdict = kept(made, bad)
    assert verdict is not None
    assert (verdict.outcome, verdict.reasons) == ("invalid", ("altered",))
    assert kept(made, plain) is None
