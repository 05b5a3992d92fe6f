"""What really became of each sample, read back from the site's database and from the correspondents' mailboxes.

`find` reads, `differences` compares with what the scenario expects: one French sentence for each deed that is missing,
too much or other. Nothing here acts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial

from hub import journal
from hub.message import Filing, Hold, Receipt, Step, Thought
from hub.ports import Reader
from hub.raw import Whole
from hub.sandbox.operator import FakeOperator
from hub.sandbox.people import CORRESPONDENTS, Structure
from hub.sandbox.scenario import Sample
from hub.wiring import House

STATES_AT_REST = frozenset({"HELD", "DONE"})


@dataclass(frozen=True, slots=True)
class Deed:
    """One step of the plan with its state and the answer that was recorded."""

    step: Step
    state: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the database says of one message. `met` is how often its bytes were met in the mailbox."""

    message: str
    state: str
    thought: Thought | None
    deeds: tuple[Deed, ...]
    work: tuple[Hold, ...]
    met: int

    @property
    def record_number(self) -> str | None:
        """Of the usager whose it is, when that is certain."""
        if self.thought is None or self.thought.match.outcome != "certain":
            return None
        return self.thought.match.candidates[0].record_number

    @property
    def work_codes(self) -> frozenset[str]:
        codes = {reason.code for hold in self.work for reason in hold.reasons}
        return frozenset(codes | {str(hold.match.code) for hold in self.work if hold.match and hold.match.code})


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedReceipt:
    """One MDN in a correspondent's mailbox; `code` 0 is success."""

    where: Structure
    about: str  # the Message-ID of the original
    code: int
    subject: str
    has_product_reference: bool


async def find(house: House) -> dict[str, Finding]:
    """Every message of the site, by the SHA-256 of its bytes."""
    found = {}
    for summary in await house.spool.messages(limit=1_000):
        work = await house.records.work_of(summary.id)
        entries = await house.database.read(partial(journal.entries, message=summary.id))
        found[summary.envelope.sha256] = Finding(
            message=summary.id,
            state=summary.state.value,
            thought=await house.spool.thought(summary.id),
            deeds=tuple(Deed(s.step, s.state, s.answer) for s in await house.spool.steps(summary.id)),
            work=tuple(line.hold for line in work if line.closed_at is None),
            met=sum(entry.action in ("accept", "twin") for entry in entries),
        )
    return found


def digest(sample: Sample) -> str:
    return hashlib.sha256(sample.raw).hexdigest()


async def receipts(operator: FakeOperator, reader: Reader) -> tuple[ArrivedReceipt, ...]:
    """Every MDN that lies in a correspondent's mailbox, in the order of the mailboxes."""
    arrived = []
    for structure in CORRESPONDENTS:
        for raw in await operator.messages(structure.address):
            parsed = await reader.read(Whole(raw))
            report = parsed.report
            if report is not None and report.form == "mdn":
                code = report.error or ""
                arrived.append(
                    ArrivedReceipt(
                        where=structure,
                        about=report.original_message_id or "",
                        code=int(code) if code.isdigit() else 0,
                        subject=parsed.subject,
                        has_product_reference=parsed.header("X-MSS-NIL") is not None,
                    )
                )
    return tuple(arrived)


def receipts_for(message_id: str, arrived: tuple[ArrivedReceipt, ...]) -> tuple[ArrivedReceipt, ...]:
    return tuple(receipt for receipt in arrived if receipt.about == message_id)


def differences(sample: Sample, finding: Finding | None, receipts_here: tuple[ArrivedReceipt, ...]) -> list[str]:
    """What is not as the scenario expects; empty when all is well."""
    wanted = sample.expected
    if finding is None or finding.thought is None:
        return ["le message n'a pas été traité"]
    if wanted.twin_of:
        return [] if finding.met >= 2 else ["le doublon n'a pas été reconnu"]
    found: list[tuple[str, object, object]] = [
        ("nature", finding.thought.classification.message_class.value, wanted.message_class),
        ("état", finding.state, wanted.state),
        ("classement", _filings(finding), [wanted.filing] if wanted.filed_to else []),
        ("accusés arrivés", [receipt.code for receipt in receipts_here], _codes(wanted.receipt)),
        ("accusés envoyés", _receipts_sent(finding), _codes(wanted.receipt)),
        ("motifs absents", sorted(wanted.reasons - finding.work_codes), []),
    ]
    if wanted.kind:
        found.append(("type", finding.thought.classification.kind, wanted.kind))
    if wanted.filed_to:
        found.append(("dossier", finding.record_number, wanted.filed_to))
    if not all(receipt.has_product_reference for receipt in receipts_here):
        found.append(("X-MSS-NIL", "absent", "présent"))
    return [f"{what} : {seen} au lieu de {expected}" for what, seen, expected in found if seen != expected]


def _codes(code: int | None) -> list[int]:
    return [] if code is None else [code]


def _filings(finding: Finding) -> list[str]:
    return [d.step.action for d in finding.deeds if isinstance(d.step, Filing) and d.state == "DONE"]


def _receipts_sent(finding: Finding) -> list[int]:
    return [d.step.code for d in finding.deeds if isinstance(d.step, Receipt) and d.state == "DONE"]
