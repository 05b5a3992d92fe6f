"""Whether a certificate is that of a server, by its name or by its fingerprint (RH-09).

In: a leaf (DER) and the name of the server, or pins. Out: nothing, or `Untrusted`, which tells the names that the
certificate carries and its fingerprint. Only names of the SAN count; the CN is shown and never believed. `cryptography`
compares (RFC 6125): a wildcard stands for one whole label, an address for itself.
"""

from __future__ import annotations

from ipaddress import ip_address

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from hub.errors import Untrusted
from hub.trust.authorities import fingerprint
from hub.trust.chain import UNREADABLE, read_certificate
from hub.trust.crl import common_name

NAMES_MOST = 10  # told of a certificate that carries more


def check_pin(leaf: bytes, pins: frozenset[str]) -> None:
    """`pins`: SHA-256, lower-case hexadecimal. Raises Untrusted."""
    found = fingerprint(leaf)
    if found not in pins:
        raise Untrusted(
            "peer-other-pin",
            f"its fingerprint is {shown(found)}, not a pin",
            f"Le serveur montre un autre certificat que celui de pin (son empreinte : {shown(found)}). Le hub ne lui "
            "transmet rien. Demandez à l'opérateur s'il l'a renouvelé, et ne changez pin qu'après sa confirmation.",
        )


def check_name(leaf: bytes, server_name: str) -> None:
    """Raises Untrusted."""
    certificate = read_certificate(leaf)
    carried = names_of(certificate)
    if not carried:
        name, digits = common_name(certificate.subject), shown(fingerprint(leaf))
        raise Untrusted(
            "peer-no-name",
            f"it carries no name (SAN), only the CN {name}; its fingerprint is {digits}",
            f"Le certificat du serveur ne porte aucun nom vérifiable (SAN), seulement le CN « {name} » : le hub ne lui "
            "transmet rien. Demandez à l'opérateur un certificat avec SAN ; en attendant, s'il vous confirme cette "
            f'empreinte par un autre moyen, mettez dans hub.yaml, chez cet opérateur : pin: "{digits}".',
        )
    if not _fits(certificate, server_name):
        told = ", ".join(carried[:NAMES_MOST])
        raise Untrusted(
            "peer-other-name",
            f"it is not for {server_name} but for {told}",
            f"Le certificat du serveur n'est pas pour {server_name} mais pour {told} : le hub ne lui transmet rien. "
            "Vérifiez host et server_name dans hub.yaml avec l'opérateur.",
        )


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Host names and addresses of the SAN."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    return tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress))


def shown(digits: str) -> str:
    """`AB:CD:…`, as other programs show a fingerprint."""
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2)).upper()


def _fits(certificate: x509.Certificate, server_name: str) -> bool:
    """The chain was judged already: the certificate is its own anchor here, and only its names are looked at."""
    policy = ExtensionPolicy.permit_all().require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    builder = PolicyBuilder().store(Store([certificate])).time(certificate.not_valid_before_utc)
    builder = builder.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=policy)
    try:
        builder.build_server_verifier(_subject(server_name)).verify(certificate, [])
    except (VerificationError, ValueError):
        return False
    return True


def _subject(server_name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ip_address(server_name))
    except ValueError:
        return x509.DNSName(server_name.rstrip("."))
