"""Whom the hub believes: IGC-Santé, from two certificates that come with it; or the authorities that a site names.

In: an operator's settings and whether it is met for a test mailbox. Out: `Authorities`, DER. The certificates of
IGC-Santé are pinned by their SHA-256: a file that was changed, added to or exchanged is refused (RH-05). Nothing is
ever taken from the system's store (ECO.1.1.10). Failures: Misconfigured, in French, with the file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from hub.errors import Misconfigured
from hub.settings import Operator, Trusting, default_config_dir
from hub.trust.chain import has_issued
from hub.trust.crl import common_name
from hub.trust.signing import load_anchors

# SHA-256 of the certificates (mssante.md §11.1), by file of config/igc-sante.
PINS = {
    "ACI-EL-ORG.pem": "d834ee5b40686b73573f60547bf6052c6d404d942a5665cdb2c0b9137b5d27b2",
    "ACR-EL.pem": "2d9e22ca19f777c6b745257c723ecb8df3c35fa6f1f6ec36b83600c97346967f",
}


@dataclass(frozen=True, slots=True)
class Authorities:
    """Certificates, DER. `anchors` may vouch for a server; `known` adds the roots above them, which vouch for nobody
    but them: below the root of IGC-Santé there are other families than the organisations' (RH-05)."""

    anchors: tuple[bytes, ...]
    known: tuple[bytes, ...]

    @property
    def others(self) -> tuple[bytes, ...]:
        """Those that are not of IGC-Santé."""
        return tuple(raw for raw in self.known if fingerprint(raw) not in PINS.values())

    def beside(self, more: Authorities) -> Authorities:
        return Authorities(_once(self.anchors + more.anchors), _once(self.known + more.known))


def authorities_of(operator: Operator, trusting: Trusting, *, is_test: bool) -> Authorities:
    """Who may vouch for the servers of `operator`; `is_test`: met for a mailbox of the test branch, whose operators
    show certificates of the production branch too (mssante.md §7.6). Raises Misconfigured."""
    if operator.ca_file is not None:
        named = load_anchors(operator.ca_file)
        return Authorities(named, named)
    trusted = igc_sante()
    if is_test and trusting.test_authorities is not None:
        trusted = trusted.beside(lowest(load_anchors(trusting.test_authorities)))
    return trusted


def igc_sante(folder: Path | None = None) -> Authorities:
    """IGC-Santé Élémentaire, Organisations, as it comes with the hub. Raises Misconfigured."""
    folder = folder or default_config_dir() / "igc-sante"
    return lowest(tuple(_pinned(folder / name, pin) for name, pin in PINS.items()))


def lowest(certificates: tuple[bytes, ...]) -> Authorities:
    """Only those that vouch for no other of them are anchors."""
    loaded = {raw: x509.load_der_x509_certificate(raw) for raw in certificates}
    above = {
        raw
        for raw, one in loaded.items()
        if any(has_issued(one, other) for other in loaded.values() if other is not one)
    }
    return Authorities(tuple(raw for raw in certificates if raw not in above), certificates)


def fingerprint(raw: bytes) -> str:
    """SHA-256 of a certificate (DER), in lower-case hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def name_of(raw: bytes) -> str:
    """The CN of a certificate (DER), for people."""
    return common_name(x509.load_der_x509_certificate(raw).subject) or fingerprint(raw)


def _pinned(file: Path, pin: str) -> bytes:
    found = load_anchors(file)
    if len(found) != 1 or fingerprint(found[0]) != pin:
        raise Misconfigured(
            f"{file}:1 - ce fichier n'est plus le certificat de l'IGC-Santé livré avec le hub (empreinte attendue : "
            f"{pin}). Remettez celui de la livraison ; pour croire une autre autorité, nommez-la dans ca_file.",
            "Un certificat d'autorité livré avec le hub a été modifié.",
        )
    return found[0]


def _once(certificates: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(certificates))
