"""TLS contexts: towards an operator, who we trust and with which certificate we show ourselves; of our own doors.

An operator and a client certificate from the settings flow in, an `ssl.SSLContext` flows out. Trust is in the anchors
given alone (`hub.trust.authorities`), never in the system store (ECO.1.1.10); TLS >= 1.2 with the operator's suites
(ECO.1.1.1, 1.1.3). A file that cannot be used raises Misconfigured, with its name and the reason (`hub.trust.files`).
Clear keys never reach a disk: OpenSSL wants a path, it gets one in memory (memfd, Linux).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.errors import Misconfigured
from hub.settings import Operator, Secret, Trusting
from hub.trust.authorities import authorities_of
from hub.trust.files import open_secret, wrong


def client_context(
    operator: Operator, certificate: Secret | None, anchors: tuple[bytes, ...] | None = None
) -> ssl.SSLContext:
    """The context for connections to `operator`, showing `certificate` (None: no client certificate). `anchors` (DER):
    whom to believe; None: those of the operator for a mailbox that is none of the test branch.

    Raises Misconfigured.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name; trusts nobody yet
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_3 if operator.tls13 else ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # a certificate without SAN is refused, everywhere alike (RH-09)
    # An intermediate authority may be an anchor: "IGC-SANTE ELEMENTAIRE ORGANISATIONS" is believed, and not all that
    # hangs below its root (RH-05).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.set_ciphers(operator.ciphers)  # TLS 1.2 and below; the suites of TLS 1.3 are all sound
    except ssl.SSLError:
        raise Misconfigured(f"operator {operator.name}: ciphers: OpenSSL knows none of these suites") from None
    if anchors is None:
        anchors = authorities_of(operator, Trusting(), is_test=False).anchors
    context.load_verify_locations(cadata=b"".join(anchors))
    if certificate is not None:
        _show(context, certificate)
    return context


def server_context(certificate: Secret) -> ssl.SSLContext:
    """The context of a door of ours that mail programs connect to: TLS >= 1.2, no client certificate asked (they log
    in). Raises Misconfigured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    show_anew(context, certificate)
    return context


def show_anew(context: ssl.SSLContext, certificate: Secret) -> None:
    """Show the certificate as its file has it now; connections that live keep the one they saw. Raises Misconfigured,
    and the context is as it was then."""
    _show(context, certificate)


def _show(context: ssl.SSLContext, certificate: Secret) -> None:
    opened = open_secret(certificate)
    pem = opened.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem += b"".join(one.public_bytes(Encoding.PEM) for one in (opened.leaf, *opened.others))
    try:
        with _in_memory(pem) as path:
            context.load_cert_chain(path)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise wrong(certificate.file, f"ce certificat ne peut pas servir à une connexion ({_reason(error)})") from None


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path to bytes that never touch a disk, for libraries that only read files."""
    descriptor = os.memfd_create("hub-tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    """OpenSSL's own word (`KEY_VALUES_MISMATCH`), else the class: never a text that could quote a key."""
    return str(getattr(error, "reason", None) or type(error).__name__)
