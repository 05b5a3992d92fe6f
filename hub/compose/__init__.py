"""The writer: what to say -> the bytes of a conformant message. Pure: Message-ID, date and all words are given.

`receipt` answers a message (the MDN of mssante.md §5.2), `copy` passes one on as it came, `notice` tells that
something happened, without health data. The bytes are final: CRLF line ends, ASCII headers; only the original inside a
receipt or a copy may have 8-bit bytes, and is then declared `8bit`. They are never flattened again, which would break
signatures inside (complaints.md, row 17). Every mail carries `X-MSS-NIL` (ECO.2.4.3) and `Auto-Submitted` (RFC 3834);
no `X-MSS-*` header of an incoming message is ever copied (RH-66).
"""

from hub.compose.answer import receipt
from hub.compose.carried import Carried, Mail, survey
from hub.compose.letter import Letterhead
from hub.compose.relay import COPY_SUBJECT, copy, notice

__all__ = ["COPY_SUBJECT", "Carried", "Letterhead", "Mail", "copy", "notice", "receipt", "survey"]
