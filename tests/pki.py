"""A throw-away certificate authority shaped like what the tests need: one root, leaves for servers and mailboxes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Leaf:
    """Paths of one leaf: certificate (with its chain), key, and both in one PEM file."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Issues leaves into a folder. `ca_file` is the PEM that peers must trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._ca = trustme.CA(organization_name="Autorite de test (fictive)", key_type=trustme.KeyType.RSA)
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, name: str, *identities: str, common_name: str | None = None) -> Leaf:
        """A leaf for host names, IP addresses or mail addresses, also usable as a TLS client certificate."""
        leaf = self._ca.issue_cert(*identities, common_name=common_name, key_type=trustme.KeyType.RSA)
        certificate, key, both = (self.folder / f"{name}.{end}" for end in ("crt", "key", "pem"))
        certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        leaf.private_key_and_cert_chain_pem.write_to_path(str(both))
        key.chmod(0o600)
        both.chmod(0o600)
        return Leaf(certificate, key, both)

    def client_context(self, leaf: Leaf | None = None) -> ssl.SSLContext:
        """A verifying client context, with a client certificate when one is given."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if leaf:
            context.load_cert_chain(leaf.certificate, leaf.key)
        return context
