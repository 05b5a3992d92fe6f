"""Lists of revoked certificates (CRL, RFC 5280 §5), as authorities publish them. Pure.

In: bytes, and the authority that must have signed them. Out: a `RevocationList`. Failures: `StatementRefused`; also for
whatever is not a whole list of that authority alone: a delta, an indirect list, some reasons only, a critical extension
that is not known here. The publisher answers with an HTML page when it is asked too often: that is no list (RH-08).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from hub.trust.chain import UNREADABLE
from hub.trust.statements import SOUND, StatementRefused

# `certificateIssuer` (RFC 5280 §5.3.3): an entry about a certificate of somebody else. Looked for in the bytes: to
# read every entry of a large list takes a second.
_ANOTHER_ISSUER = bytes.fromhex("0603551d1d")


@dataclass(frozen=True, slots=True)
class RevocationList:
    """`names`: the points that it is for (URIs), None: for all. `for_authorities`, `for_others`: whose certificates it
    lists."""

    this_update: datetime
    next_update: datetime
    authority: str
    names: frozenset[str] | None
    for_authorities: bool
    for_others: bool
    crl: x509.CertificateRevocationList

    def covers(self, certificate: x509.Certificate, point: str) -> bool:
        """Whether it would list this certificate, if revoked; `point`: the URL that it was fetched from (§6.3.3 b)."""
        if not (self.for_authorities if is_authority(certificate) else self.for_others):
            return False
        return self.names is None or bool(self.names & {point, *named_points(certificate)})

    @property
    def is_for_all_leaves(self) -> bool:
        return self.for_others and self.names is None

    def lists(self, serial: int) -> bool:
        """Whether this number is revoked. 4 ms for a list of a hundred thousand."""
        return self.crl.get_revoked_certificate_by_serial_number(serial) is not None


def read_list(raw: bytes, issuer: x509.Certificate) -> RevocationList:
    """A list that `issuer` has signed. Raises StatementRefused: `not-der`, `other-issuer`, `not-its-signature`,
    `weak-signature`, `no-end`, `not-whole`, `critical-extension`."""
    crl = _parsed(raw)
    _check_signature(crl, issuer)
    if crl.next_update_utc is None:
        raise StatementRefused("no-end")
    scope = _scope(crl, raw)
    return RevocationList(
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        authority=common_name(crl.issuer),
        names=_names(scope),
        for_authorities=scope is None or not scope.only_contains_user_certs,
        for_others=scope is None or not scope.only_contains_ca_certs,
        crl=crl,
    )


def named_points(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URIs at which a certificate says that its list is published, LDAP included."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    whole = [point for point in points if not point.reasons and not point.crl_issuer]
    return tuple(name for point in whole for name in _uris(point.full_name))


def is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def common_name(name: x509.Name) -> str:
    return next((str(part.value) for part in name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)), "")


def _parsed(raw: bytes) -> x509.CertificateRevocationList:
    try:
        crl = x509.load_der_x509_crl(raw)
        _ = crl.extensions, crl.issuer, crl.next_update_utc  # read only when asked for
    except UNREADABLE:
        raise StatementRefused("not-der") from None
    return crl


def _check_signature(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> None:
    if crl.issuer != issuer.subject:
        raise StatementRefused("other-issuer")
    try:
        if not isinstance(crl.signature_hash_algorithm, SOUND):
            raise StatementRefused("weak-signature")
        is_its_own = _may_sign(issuer) and crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        is_its_own = False
    if not is_its_own:
        raise StatementRefused("not-its-signature")


def _may_sign(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _scope(crl: x509.CertificateRevocationList, raw: bytes) -> x509.IssuingDistributionPoint | None:
    scope: x509.IssuingDistributionPoint | None = None
    for extension in crl.extensions:
        match extension.value:
            case x509.IssuingDistributionPoint() as found:
                scope = found
                is_whole = not (scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs)
                if not is_whole:
                    raise StatementRefused("not-whole")
            case x509.DeltaCRLIndicator():
                raise StatementRefused("not-whole")
            case x509.AuthorityKeyIdentifier() | x509.CRLNumber():
                pass
            case _ if extension.critical:
                raise StatementRefused("critical-extension")
    if _ANOTHER_ISSUER in raw:
        raise StatementRefused("not-whole")
    return scope


def _names(scope: x509.IssuingDistributionPoint | None) -> frozenset[str] | None:
    if scope is None or (scope.full_name is None and scope.relative_name is None):
        return None
    return frozenset(_uris(scope.full_name))


def _uris(names: list[x509.GeneralName] | None) -> tuple[str, ...]:
    return tuple(str(name.value) for name in names or () if isinstance(name, x509.UniformResourceIdentifier))
