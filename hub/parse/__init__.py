"""The reader: the bytes of a mail in, a `ParsedMessage` out.

    parse(raw, limits, codes)             a mail, as it lies in the spool
    parse_file(raw, limits, codes, name)  a file given by hand: a mail, an IHE_XDM zip, a CDA, a PDF
    add_clues(message)                    a submission with what its PDFs say of whom they are

Nothing raises on bad content and nothing is lost: every leaf of the mail is numbered in `attachments`, every doubt is a
`Defect`, and a grave one sends the message to a human. Own byte scanner, since Python's `email` is slow on the good
mails, endless on the hostile ones, and silent about the ambiguous ones (libs.md §10, performance.md §5).
Order of the rooms: headers → structure → walk → leaf → sort → documents → reader.
"""

from hub.parse.clues import add_clues
from hub.parse.reader import parse, parse_file
from hub.parse.signed import Witness

__all__ = ["Witness", "add_clues", "parse", "parse_file"]
