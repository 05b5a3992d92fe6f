"""Whether a certificate of ours is fit to sign for a mailbox, and what to do when it is not, in plain French.

In: the certificates as they will travel, the mailbox's address, the moment. Out: `Fitness`, complete sentences for
whoever runs the hub. Asked when the hub starts and by `hub check`: a bad certificate is found before the first mail is
signed with it, not by its recipients. Revocation is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from hub.smime.chain import follow, is_weak, may_sign_mail
from hub.smime.trusted import Trust
from hub.smime.verifying import addresses_of


@dataclass(frozen=True, slots=True)
class Fitness:
    """`faults`: it must not sign. `warnings`: it may, but recipients will see something. `not_before` and `not_after`
    are those of the certificate."""

    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    not_before: datetime
    not_after: datetime


def fitness(
    certificates: tuple[bytes, ...], address: str, at: datetime, trust: Trust, *, address_required: bool
) -> Fitness:
    """`certificates`: DER, the signer's first. `trust`: by which we judge others; without anchors the chain is not
    followed. Raises ValueError when the first is no certificate."""
    leaf = x509.load_der_x509_certificate(certificates[0])
    of_address = list(_of_address(leaf, address))
    faults = [*_of_use(leaf, trust), *_of_dates(leaf, at), *(of_address if address_required else ())]
    warnings = [] if address_required else of_address
    warnings += _of_chain(certificates, at, trust)
    return Fitness(tuple(faults), tuple(warnings), leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def _of_use(leaf: x509.Certificate, trust: Trust) -> Iterator[str]:
    if is_weak(leaf.public_key()):
        yield "la clé de ce certificat est trop faible (il faut RSA d'au moins 2048 bits, ou une courbe d'au moins 256)"
    if not may_sign_mail(leaf, trust.purposes, is_signer=True):
        yield (
            "ce certificat n'est pas prévu pour signer des courriels : demandez à l'IGC-Santé un certificat SERV, "
            "usage S/MIME, ou ajoutez l'usage qu'il porte à signatures.purposes"
        )


def _of_dates(leaf: x509.Certificate, at: datetime) -> Iterator[str]:
    if at > leaf.not_valid_after_utc:
        yield f"ce certificat de signature a expiré le {leaf.not_valid_after_utc:%d/%m/%Y} : remplacez-le"
    if at < leaf.not_valid_before_utc:
        yield f"ce certificat de signature n'est valable qu'à partir du {leaf.not_valid_before_utc:%d/%m/%Y}"


def _of_address(leaf: x509.Certificate, address: str) -> Iterator[str]:
    vouched = addresses_of(leaf)
    if not vouched:
        yield (
            f"ce certificat ne porte aucune adresse, la boîte est {address} : les messageries diront que le signataire "
            "n'est pas l'expéditeur"
        )
    elif address.lower() not in {one.lower() for one in vouched}:
        yield (
            f"ce certificat est celui de {', '.join(vouched)}, la boîte est {address} : les messageries diront que le "
            "signataire n'est pas l'expéditeur"
        )


def _of_chain(certificates: tuple[bytes, ...], at: datetime, trust: Trust) -> Iterator[str]:
    """By our own anchors, a recipient's being unknown: a warning, since a site may trust other authorities than those
    that vouch for it."""
    if trust.anchors and follow(certificates[0], certificates[1:], trust.anchors, at, trust.purposes).finding == "bad":
        yield "ce certificat ne remonte à aucune des autorités de signatures.anchors, ou sa chaîne est incomplète"
