"""The ESMTP parameters of MAIL and RCPT: size, 8-bit content, and what the operator is asked to tell (RFC 3461).

Only the headers come back with a notice (`RET=HDRS`): the documents need not travel twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from hub.errors import Permanent
from hub.ports import DsnAsked, Outgoing
from hub.smtp import answers

# 501: syntax error in parameters; 504: parameter not implemented; 555: parameters not recognised (RFC 5321 §4.2).
REFUSALS = frozenset({501, 504, 555})


def of_mail(extensions: Mapping[str, str], mail: Outgoing, ask: DsnAsked | None) -> list[bytes]:
    """`extensions`: what EHLO offered, names in lower case. Raises Permanent for a message over the server's announced
    size (RFC 1870)."""
    options = []
    if "size" in extensions:
        most = extensions["size"].strip()
        if most.isdecimal() and 0 < int(most) < mail.size:
            raise Permanent(f"message of {mail.size} bytes, the server takes {most}", answers.TOO_LARGE)
        options.append(b"SIZE=%d" % mail.size)
    if "8bitmime" in extensions and not mail.is_ascii:
        options.append(b"BODY=8BITMIME")
    if ask is not None:
        options += [b"RET=HDRS", b"ENVID=" + xtext(ask.envelope_id)]
    return options


def of_recipient(recipient: str, ask: DsnAsked | None) -> list[bytes]:
    if ask is None:
        return []
    return [b"NOTIFY=SUCCESS,FAILURE,DELAY", b"ORCPT=rfc822;" + xtext(recipient)]


def xtext(value: str) -> bytes:
    """RFC 3461 §4: printable ASCII but `+` and `=`, all else as `+` and two hexadecimal digits."""
    return b"".join(
        bytes([byte]) if 33 <= byte <= 126 and byte not in b"+=" else b"+%02X" % byte for byte in value.encode()
    )
