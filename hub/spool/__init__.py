"""The one truth: what was accepted, what is to be done, what was done (docs/states.md).

`SqlSpool` is the doors' side (`Intake`), the carriers' side (`Spool`) and the readers' side, on SQLite or PostgreSQL;
`BlobStore` keeps the bytes. Every call is one short transaction with its journal entry; what raises wrote nothing.
"""

from __future__ import annotations

from hub.spool.blobs import BlobStore
from hub.spool.carrying import CarrySide
from hub.spool.intake import IntakeSide
from hub.spool.janitor import Cleaned
from hub.spool.ledger import LedgerSide
from hub.spool.lookout import LookoutSide
from hub.spool.states import MessageState, StepState
from hub.spool.submission import SubmissionSide
from hub.spool.views import MessageSummary, StepSummary, ViewSide

__all__ = [
    "BlobStore",
    "Cleaned",
    "MessageState",
    "MessageSummary",
    "SqlSpool",
    "StepState",
    "StepSummary",
]


class SqlSpool(IntakeSide, SubmissionSide, CarrySide, ViewSide, LedgerSide, LookoutSide):
    """`hub.ports.Intake`, `hub.ports.Submissions` and `hub.ports.Spool`. One for a process: it remembers the leases
    that it holds."""
