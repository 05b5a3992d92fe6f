"""The certificates with which mails are signed: read from their files, with key and chain; and the anchors by which
signatures of others are judged.

In: a `Signing` section of the settings. Out: `SigningKey`s (`hub.smime.signing.Signer`): the key stays in here. A file
that cannot be used (`hub.trust.files`), a chain with a gap raise Misconfigured, in French, with the file. Whether a
certificate is fit to sign for a mailbox is for `hub.smime.fitness` to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hub.settings import Secret
from hub.trust.chain import has_issued
from hub.trust.files import certificates_in, open_secret, read, wrong

_DEEPEST = 8  # certificates of a chain; IGC-Santé has three
_ENDS = ("*.pem", "*.crt", "*.cer", "*.der")

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One certificate that can sign. `certificates`: DER, the signer's first, then the authorities above it up to the
    root, which is left out: whoever trusts it has it."""

    file: Path
    certificates: tuple[bytes, ...]
    kind: Literal["rsa", "ec"]
    _key: _Key = field(repr=False)

    def sign(self, attributes: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
        return self._key.sign(attributes, ec.ECDSA(hashes.SHA256()))


def load_signing_key(secret: Secret, chain_file: Path | None = None) -> SigningKey:
    """`chain_file`: certificates of the authorities, when they are not in the file of the certificate.
    Raises Misconfigured."""
    opened = open_secret(secret)
    key, leaf, others = opened.key, opened.leaf, opened.others
    if chain_file is not None:
        others += certificates_in(chain_file, read(chain_file))
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        file = secret.key_file or secret.file
        raise wrong(file, "la clé n'est ni RSA ni à courbe elliptique : elle ne peut pas signer")
    chain = _chain(leaf, others, chain_file or secret.file)
    kind: Literal["rsa", "ec"] = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ec"
    return SigningKey(secret.file, tuple(one.public_bytes(Encoding.DER) for one in (leaf, *chain)), kind, key)


def load_anchors(place: Path) -> tuple[bytes, ...]:
    """The certificates (DER) of a PEM or DER file, or of all such files of a folder. Raises Misconfigured."""
    found = [one for file in anchor_files(place) for one in certificates_in(file, read(file))]
    if not found:
        raise wrong(place, "aucun certificat d'autorité ici : mettez-y ceux de l'IGC-Santé (.pem, .crt, .cer ou .der)")
    return tuple(dict.fromkeys(one.public_bytes(Encoding.DER) for one in found))


def anchor_files(place: Path) -> list[Path]:
    """The file itself, or those of a folder that hold certificates by their names."""
    return sorted(file for end in _ENDS for file in place.glob(end)) if place.is_dir() else [place]


# --- the chain


def _chain(leaf: x509.Certificate, others: tuple[x509.Certificate, ...], file: Path) -> tuple[x509.Certificate, ...]:
    """The authorities from the one that issued `leaf` up to below the root. The one that issued it must be there; that
    the root itself is not in the files is usual."""
    chain: list[x509.Certificate] = []
    below = leaf
    while below.issuer != below.subject and len(chain) < _DEEPEST:
        above = next((one for one in others if has_issued(one, below)), None)
        if above is None:
            break
        chain.append(above)
        below = above
    if leaf.issuer == leaf.subject:
        raise wrong(file, "le certificat de signature s'est signé lui-même : aucun destinataire ne le reconnaîtra")
    if not chain:
        why = f"il manque le certificat de l'autorité qui a émis celui-ci ({leaf.issuer.rfc4514_string()})"
        raise wrong(file, f"{why} : ajoutez-le à chain_file, sinon les destinataires ne pourront rien vérifier")
    return tuple(one for one in chain if one.issuer != one.subject)
