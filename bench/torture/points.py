"""The moments at which a process of the hub is killed, by name; and which row of docs/states.md each one stands for.

A name is `deed.moment`. `before-commit`: inside the transaction, all is written, nothing is committed; `committed`:
COMMIT has returned, nobody was told yet. What is required must be killed at in every run; a passage by any other name
is only counted.
"""

from __future__ import annotations

from dataclasses import dataclass

# The transactions of a message's trip, by the function of the hub that writes them (`wounds` finds it from the code
# that runs in the transaction).
DEEDS = {
    "IntakeSide._accept_ready": "accept",  # a batch
    "IntakeSide._accept_stored": "accept",
    "IntakeSide.marked": "marked",
    "IntakeSide.advance": "advance",
    "IntakeSide.told": "told",
    "LeaseSide.load": "lease",
    "LeaseSide.renew": "renew",
    "LeaseSide.yield_lease": "yield",
    "LeaseSide._give_back": "yield",
    "LeaseSide._buried": "death",
    "CarrySide.save_plan": "plan",
    "CarrySide.stage": "stage",
    "CarrySide.record": "record",
    "CarrySide.rethink": "rethink",
    "CarrySide.postpone": "postpone",
    "CarrySide.hold": "hold",
    "CarrySide.release": "release",
    "QueueRows.add": "queue-add",
    "QueueRows.turn": "queue-turn",
    "QueueRows.give_back": "queue-back",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One moment. `is_rare`: passed now and then only, so it lies in wait from the start instead of having a round of
    its own. `broker`: only with this one ("" for all). `needs` is what must happen to pass it: mail that arrives
    ("" for any, or the sort of letter), the start of the service, or a human's release."""

    name: str
    says: str
    is_rare: bool = False
    broker: str = ""
    needs: str = ""


POINTS = (
    Point("start.cleaning", "the service starts; its janitor has not looked yet", needs="start"),
    Point("fetch.loaded", "messages were fetched into blobs in the making"),
    Point(
        "door.blob.written", "a message over 64 KB: its temporary file is written, not yet on the disk", needs="large"
    ),
    Point("door.blob.synced", "its temporary file is on the disk, not yet renamed", needs="large"),
    Point("door.blob.named", "it is renamed, its folder is not yet on the disk", needs="large"),
    Point("door.blob.durable", "it is in its place, no row names it", needs="large"),
    Point("accept.before-commit", "the rows of the accepted message are written, not committed"),
    Point("accept.committed", "the message is accepted, the mailbox does not show it"),
    Point("mark.before", "the mark is about to be set in the mailbox"),
    Point("mark.stored", "the mark is set, not read back"),
    Point("mark.verified", "the mark is read back, not noted"),
    Point("marked.before-commit", "the mark is noted, not committed"),
    Point("marked.committed", "the mark is noted"),
    Point("advance.before-commit", "the cursor is moved, not committed"),
    Point("advance.committed", "the cursor is moved"),
    Point("hint.before", "the hints are about to be sent"),
    Point("hint.sent", "the hints are sent"),
    Point("queue-add.before-commit", "hints are in the queue, not committed", broker="sql"),
    Point("queue-add.committed", "hints are in the queue", broker="sql"),
    Point("queue-turn.before-commit", "hints are taken and old ones removed, not committed", broker="sql"),
    Point("queue-turn.committed", "hints are taken and old ones removed", broker="sql"),
    Point("carry.begun", "a hint has arrived, nothing is leased"),
    Point("lease.before-commit", "the lease is written, not committed"),
    Point("lease.committed", "the lease is taken"),
    Point("read.asked", "a reader is about to read the message"),
    Point("read.answered", "the reader has read it"),
    Point("reader.dies", "the reader itself is killed while it reads: the worker lives"),
    Point("thought", "all is thought, nothing is saved"),
    Point(
        "filing.blob.written",
        "a document over 64 KB: its temporary file is written, not yet on the disk",
        needs="large",
    ),
    Point("filing.blob.synced", "its temporary file is on the disk, not yet renamed", needs="large"),
    Point("filing.blob.named", "it is renamed, its folder is not yet on the disk", needs="large"),
    Point("filing.blob.durable", "it is in its place, no row names it", needs="large"),
    Point("plan.before-commit", "plan, filings, holds and the stage of the sending are written, not committed"),
    Point("plan.committed", "they are committed"),
    Point("stage.before-commit", "a sending's stage is written by itself, not committed", is_rare=True),
    Point("stage.committed", "a sending's stage is committed by itself", is_rare=True),
    Point("smtp.before-dot", "the mail is with the operator but for its final dot"),
    Point("smtp.dot", "the final dot is sent, the answer has not come"),
    Point("smtp.answered", "the operator has answered, nothing is recorded"),
    Point("record-receipt.before-commit", "the answer is recorded, not committed"),
    Point("record-receipt.committed", "the answer is recorded"),
    Point("carry.ended", "the message is settled, its hint is not acknowledged"),
    Point("death.before-commit", "a dead carrier is counted, not committed", is_rare=True),
    Point("death.committed", "a dead carrier is counted", is_rare=True),
    Point("release.before-commit", "a human's decision is written, not committed", needs="release"),
    Point("release.committed", "a human's decision is committed, nothing is carried", needs="release"),
    Point("record-filing.before-commit", "a later filing and its step are written, not committed", needs="release"),
    Point("record-filing.committed", "a later filing is committed with its step", needs="release"),
)

# The first cell of each row of the table "killed after…" in docs/states.md -> its points (a test compares both).
ROWS: dict[str, tuple[str, ...]] = {
    "FETCH began": ("fetch.loaded", "door.blob.written", "door.blob.synced", "door.blob.named"),
    "the blob is in its place, before COMMIT": ("door.blob.durable", "accept.before-commit", "filing.blob.durable"),
    "COMMIT, before the mark": ("accept.committed", "mark.before", "mark.stored"),
    "the mark, before the hint": ("mark.verified", "marked.before-commit", "marked.committed", "hint.before"),
    "the lease was taken": ("lease.committed", "read.asked", "reader.dies"),
    "thinking": ("thought", "plan.before-commit"),
    "the plan was saved": ("plan.committed",),
    "a later filing committed": ("record-filing.committed",),
    "a sending wrote its stage (with the plan, or by itself), before the final dot": (
        "plan.committed",
        "stage.committed",
        "smtp.before-dot",
    ),
    "the final dot, before the answer was recorded": ("smtp.dot", "smtp.answered", "record-receipt.before-commit"),
}


def required(broker: str) -> tuple[Point, ...]:
    """The points of a site with this broker (`sql`, `amqp`, `redis`)."""
    return tuple(point for point in POINTS if point.broker in ("", broker))
