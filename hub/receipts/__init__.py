"""Receipts: what an MDN (RFC 8098) and a DSN (RFC 3464) say, written and read. Pure.

`write_mdn` gives the machine-readable part of a receipt of ours, as the French volet wants it (mssante.md §5.2);
`read_mdn` and `read_dsn` reduce the machine-readable part of somebody else's to a `hub.message.Report`, tolerant of
every form met in the field. Reading never raises: what cannot be understood is None. `official_label` is the
label of an integration code, 900 to 906.
"""

from hub.integration import INTEGRATION_CODES, official_label
from hub.receipts.dsn import read_dsn
from hub.receipts.mdn import error_text, read_mdn, write_mdn

__all__ = ["INTEGRATION_CODES", "error_text", "official_label", "read_dsn", "read_mdn", "write_mdn"]
