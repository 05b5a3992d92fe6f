"""The records: usagers and their identity, filed documents and their versions, the work list, what was sent.

In: documents and plans of the trip, usagers of a CSV file. Out: candidates and versions for the mind, effects for the
spool's transactions, lists for people. Nothing is ever physically deleted. What a sender wrote as free text (titles)
and the reasons of the work list are sealed; see `filing` for the version chain.
"""

from hub.records.csv_lines import Problem
from hub.records.documents import FiledDocument
from hub.records.sendings_read import Heard, LooseReport, Overdue, Silence
from hub.records.store import SqlRecords
from hub.records.usagers import Import
from hub.records.usagers_csv import UsagersRead, parse_usagers
from hub.records.worklist import WorkItem

__all__ = [
    "FiledDocument",
    "Heard",
    "Import",
    "LooseReport",
    "Overdue",
    "Problem",
    "Silence",
    "SqlRecords",
    "UsagersRead",
    "WorkItem",
    "parse_usagers",
]
