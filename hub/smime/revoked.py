"""What a list of revoked certificates adds to a verdict. Pure: `hub.wiring.reading` has the lists."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hub.message import Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """A signer's certificate by its number, and its issuer by the SHA-256 (hexadecimal) of that one's certificate."""

    serial: int
    issuer: str


def question_of(verdict: Verdict) -> Question | None:
    """None: an authority does not vouch for it anyway, or it is its own anchor."""
    chain = verdict.evidence.chain
    if verdict.chain != "good" or len(chain) < 2:
        return None
    return Question(int(verdict.evidence.serial, 16), chain[1])


def with_answer(verdict: Verdict, is_revoked: bool) -> Verdict:
    """A certificate that was revoked proves nothing, whenever the signer says that he signed."""
    if not is_revoked:
        return replace(verdict, is_revocation_checked=True)
    return replace(verdict, chain="bad", reasons=(*verdict.reasons, "revoked"), is_revocation_checked=True)
