"""Whose word counts when a signature is judged. Light: it is with the reader's child before any library is loaded."""

from __future__ import annotations

from dataclasses import dataclass

EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"  # id-kp-emailProtection, RFC 5280 §4.2.1.12


@dataclass(frozen=True, slots=True)
class Trust:
    """`anchors`: DER certificates of the authorities that may vouch for a signer; none: no chain is ever good.
    `purposes`: dotted extended key usages, one of which must stand in a certificate that names any."""

    anchors: tuple[bytes, ...] = ()
    purposes: frozenset[str] = frozenset({EMAIL_PROTECTION})
