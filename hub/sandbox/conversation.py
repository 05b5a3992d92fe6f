"""aiosmtpd with delivery notices (DSN, RFC 3461), which it does not know.

The parameters of MAIL and RCPT are taken out before the library sees them, and kept until the next mail:
`asked_envelope_id`, and the words of NOTIFY for each recipient (`asked_notices`, addresses in lower case).
"""

# aiosmtpd is meant to be subclassed; mypy takes its classes for Any (pyproject: follow_imports = "skip").
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import re
from typing import Any

from aiosmtpd.smtp import SMTP

_PARAMETER = re.compile(r"[ \t]+(RET|ENVID|NOTIFY|ORCPT)=([!-~]*)", re.IGNORECASE)
_ADDRESS = re.compile(r"<([^<>]*)>")


class Conversation(SMTP):
    def __init__(self, *given: Any, **named: Any) -> None:
        self.asked_envelope_id = ""
        self.asked_notices: dict[str, frozenset[str]] = {}
        super().__init__(*given, **named)

    async def smtp_MAIL(self, arg: str | None) -> None:
        bare, asked = _taken_out(arg)
        self.asked_envelope_id, self.asked_notices = asked.get("ENVID", ""), {}
        await super().smtp_MAIL(bare)

    async def smtp_RCPT(self, arg: str | None) -> None:
        bare, asked = _taken_out(arg)
        if address := _ADDRESS.search(bare or ""):
            words = asked.get("NOTIFY", "").upper().split(",")
            self.asked_notices[address[1].lower()] = frozenset(word for word in words if word)
        await super().smtp_RCPT(bare)


def _taken_out(argument: str | None) -> tuple[str | None, dict[str, str]]:
    """(the argument without the parameters of RFC 3461, these by their names in capitals)."""
    if argument is None:
        return None, {}
    asked = {name.upper(): value for name, value in _PARAMETER.findall(argument)}
    return _PARAMETER.sub("", argument), asked
