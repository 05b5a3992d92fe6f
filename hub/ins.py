"""Facts about the INS (Identité Nationale de Santé): its authorities, its form, its key. Pure; used by every room
that meets an identity (reader, matching, writer), which is why it stands on the ground floor (ADR 0003).

An INS is 15 characters, key included, under one of four OIDs (mssante.md §13). Social-security numbers (`.13`,
`.14`) and the old INS-C (`.2`) are not INS.
"""

from __future__ import annotations

import re

NIR = "1.2.250.1.213.1.4.8"
NIA = "1.2.250.1.213.1.4.9"
TEST = "1.2.250.1.213.1.4.10"
DEMONSTRATION = "1.2.250.1.213.1.4.11"
PRODUCTION_OIDS = frozenset({NIR, NIA})
TEST_OIDS = frozenset({TEST, DEMONSTRATION})
OIDS = PRODUCTION_OIDS | TEST_OIDS

# Sex, year, month, department (2A and 2B in Corsica), commune, order, key.
_FORM = re.compile(r"[1-8][0-9]{4}(?:[0-9]{2}|2[AB])[0-9]{8}")


def is_ins_oid(oid: str | None) -> bool:
    return oid in OIDS


def is_well_formed(ins: str) -> bool:
    """15 characters of the right sorts; says nothing of the key."""
    return _FORM.fullmatch(ins) is not None


def key_of(body: str) -> int | None:
    """The key (1 to 97) of the first 13 characters, None when they are not such: 97 - (number mod 97), where the
    department 2A counts as 19 and 2B as 18."""
    digits = body.upper()
    if digits[5:7] in {"2A", "2B"}:
        digits = digits[:5] + ("19" if digits[6] == "A" else "18") + digits[7:]
    if len(digits) != 13 or not (digits.isascii() and digits.isdigit()):
        return None
    return 97 - int(digits) % 97


def key_is_right(ins: str) -> bool:
    """Whether the last two of the 15 characters are the key of the others."""
    return is_well_formed(ins) and key_of(ins[:13]) == int(ins[13:])
