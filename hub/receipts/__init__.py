"""Receipts: what an MDN (RFC 8098) and a DSN (RFC 3464) say, written and read; what became of what we sent. Pure.

`write_mdn` gives the machine-readable part of a receipt of ours, as the French volet wants it (mssante.md §5.2);
`read_mdn` and `read_dsn` reduce the machine-readable part of somebody else's to a `hub.message.Report`, tolerant of
every form met in the field. Reading never raises: what cannot be understood is None. `official_label` is the
label of an integration code, 900 to 906. `keys_of` and `correlate` say which sending a report is about and what it
says of whom; `hub.receipts.ladder` where each recipient stands then, in words.
"""

from hub.integration import INTEGRATION_CODES, official_label
from hub.receipts.correlate import Correlation, correlate, envelope_id, keys_of
from hub.receipts.dsn import read_dsn
from hub.receipts.failures import status_in
from hub.receipts.ladder import ARRIVED, Turn, heard, turn_of
from hub.receipts.mdn import error_text, read_mdn, write_mdn

__all__ = [
    "ARRIVED",
    "INTEGRATION_CODES",
    "Correlation",
    "Turn",
    "correlate",
    "envelope_id",
    "error_text",
    "heard",
    "keys_of",
    "official_label",
    "read_dsn",
    "read_mdn",
    "status_in",
    "turn_of",
    "write_mdn",
]
