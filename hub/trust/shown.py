"""What the certificate of a server says of itself, and, when it was refused, what a server shows at all.

`facts_of` reads one certificate. `shown_by` makes a handshake that verifies nothing, shows no certificate of ours and
says nothing afterwards: only to name what is there, to whoever must repair it. Failures: NotShown.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.x509.oid import NameOID

from hub.errors import Temporary
from hub.settings import Endpoint
from hub.trust.chain import UNREADABLE

if TYPE_CHECKING:
    from OpenSSL import SSL, crypto

_LINE_MOST = 8 * 1024
_LINES_MOST = 100  # of a greeting, or of what is offered


class NotShown(Temporary):
    """No certificate was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCertificate:
    """`names`: those of the SAN, hosts and addresses. `fingerprint`: SHA-256 of the whole, hexadecimal."""

    common_name: str
    unit: str
    organisation: str
    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    fingerprint: str


def facts_of(der: bytes) -> ShownCertificate:
    """Raises NotShown."""
    try:
        read = x509.load_der_x509_certificate(der)
        return ShownCertificate(
            common_name=_part(read.subject, NameOID.COMMON_NAME),
            unit=_part(read.subject, NameOID.ORGANIZATIONAL_UNIT_NAME),
            organisation=_part(read.subject, NameOID.ORGANIZATION_NAME),
            names=_names(read),
            issuer=_part(read.issuer, NameOID.COMMON_NAME) or read.issuer.rfc4514_string()[:200],
            not_before=read.not_valid_before_utc,
            not_after=read.not_valid_after_utc,
            fingerprint=hashlib.sha256(der).hexdigest(),
        )
    except UNREADABLE:
        raise NotShown("the certificate cannot be read") from None


async def shown_by(endpoint: Endpoint, service: Literal["imap", "smtp"], seconds: float) -> tuple[bytes, ...]:
    """The certificates that a server shows (DER), its own first. Raises NotShown."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, limit=_LINE_MOST)
            try:
                if endpoint.tls == "starttls":
                    await (_imap_starttls if service == "imap" else _smtp_starttls)(reader, writer)
                return await _handshake(reader, writer, endpoint.server_name or endpoint.host)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise NotShown("timed out") from None
    except (OSError, EOFError, ValueError) as error:
        raise NotShown(f"no handshake ({type(error).__name__})") from None


async def _imap_starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _line(reader, rb"\* OK")
    writer.write(b"a STARTTLS\r\n")
    await _line(reader, rb"a OK")


async def _smtp_starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _line(reader, rb"220(?!-)")
    writer.write(b"EHLO localhost\r\n")
    await _line(reader, rb"250(?!-)")
    writer.write(b"STARTTLS\r\n")
    await _line(reader, rb"220(?!-)")


async def _line(reader: asyncio.StreamReader, wanted: bytes) -> None:
    """Read up to the line that begins so. Raises NotShown for one that refuses."""
    for _ in range(_LINES_MOST):
        line = await reader.readuntil(b"\n")
        if re.match(wanted, line, re.IGNORECASE):
            return
        if re.match(rb"[45]\d\d |a (NO|BAD)|\* BYE", line, re.IGNORECASE):
            break
    raise NotShown("the server refuses STARTTLS")


async def _handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> tuple[bytes, ...]:
    """The handshake as far as it goes: a server that wants a certificate of ours breaks it off after it has shown its
    own."""
    from OpenSSL import SSL, crypto  # 40 ms, for a handshake that is rare

    seen: dict[int, bytes] = {}

    def look(_connection: SSL.Connection, one: crypto.X509, _error: int, depth: int, _is_ok: int) -> bool:
        seen[depth] = crypto.dump_certificate(crypto.FILETYPE_ASN1, one)
        return True

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_PEER, look)
    connection = SSL.Connection(context, None)
    connection.set_tlsext_host_name(name.encode("ascii"))
    connection.set_connect_state()
    try:
        while True:
            try:
                connection.do_handshake()
                break
            except SSL.WantReadError:
                writer.write(connection.bio_read(65536))
                received = await reader.read(65536)
                if not received:
                    break
                connection.bio_write(received)
    except SSL.Error:
        pass  # what was seen before it broke is what is wanted
    if not seen:
        raise NotShown("no certificate was shown: no version or suite in common")
    return tuple(der for _, der in sorted(seen.items()))


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = map(str, san.get_values_for_type(x509.IPAddress))
    return (*san.get_values_for_type(x509.DNSName), *addresses)


def _part(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    return next((str(part.value) for part in name.get_attributes_for_oid(oid)), "")
