"""The writer: what to say -> the bytes of a conformant message. Pure: Message-ID, date and all words are given.

`receipt` answers a message (the MDN of mssante.md §5.2), `copy` passes one on as it came, `notice` tells that
something happened, without health data, `letter` tells people of ours what became of what they sent. `document_mail`
and `ordinary_mail` are what they sent, before its signature. The bytes are final: CRLF line ends, ASCII headers; only
the original inside a receipt or a copy, and an ordinary mail that is not signed, may have 8-bit bytes, declared `8bit`.
They are never flattened again, which would break signatures inside (complaints.md, row 17). Every mail carries
`X-MSS-NIL` (ECO.2.4.3), those that nobody wrote `Auto-Submitted` (RFC 3834); no `X-MSS-*` header of an incoming message
is ever copied (RH-66).
"""

from hub.compose.answer import receipt
from hub.compose.carried import AsItIs, Carried, Mail, as_it_is, survey
from hub.compose.dispatch import Dispatched, Undispatchable
from hub.compose.letter import Letterhead
from hub.compose.naming import Discretion
from hub.compose.relay import COPY_SUBJECT, copy, letter, letter_to_sign, notice
from hub.compose.submitted import Moment, WritingAs, boundary_of, document_mail, is_pdf, ordinary_mail, pieces_of

__all__ = [
    "COPY_SUBJECT",
    "AsItIs",
    "Carried",
    "Discretion",
    "Dispatched",
    "Letterhead",
    "Mail",
    "Moment",
    "Undispatchable",
    "WritingAs",
    "as_it_is",
    "boundary_of",
    "copy",
    "document_mail",
    "is_pdf",
    "letter",
    "letter_to_sign",
    "notice",
    "ordinary_mail",
    "pieces_of",
    "receipt",
    "survey",
]
