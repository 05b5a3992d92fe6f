"""TLS towards an operator: certificates of every form that the field has, and servers that must be refused."""

from __future__ import annotations

import asyncio
import datetime
import os
import shutil
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from hub.errors import Misconfigured
from hub.settings import Endpoint, Operator, Secret
from hub.trust.certificates import certificate_facts
from hub.trust.files import _held, open_secret
from hub.trust.tls import client_context
from tests.conftest import missing
from tests.pki import Authority, Leaf
from tests.quiet import password

PASSWORD = password("mot de passé")


@pytest.fixture(scope="module")
def leaf(authority: Authority) -> Leaf:
    return authority.issue("tls-client", "bal-app@asso.mssante.example", common_name="BAL FICTIVE")


def operator(ca_file: Path, **more: Any) -> Operator:
    endpoint = Endpoint(host="127.0.0.1", port=465, tls="implicit")
    return Operator(name="operateur", imap=endpoint, smtp=endpoint, ca_file=ca_file, **more)


def pkcs12(leaf: Leaf, path: Path, *options: str, password: str = PASSWORD) -> Path:
    """Written by the openssl of the machine, as the field's files were."""
    if shutil.which("openssl") is None:
        missing("openssl is not installed (Debian package openssl)")
    source = ["-in", str(leaf.certificate), "-inkey", str(leaf.key), "-out", str(path)]
    command = ["openssl", "pkcs12", "-export", *source, *options, "-passout", f"pass:{password}"]
    subprocess.run(command, check=True, capture_output=True)
    return path


async def handshake(context: ssl.SSLContext, server: ssl.SSLContext, name: str = "127.0.0.1") -> dict[str, Any]:
    """What the server saw of a client that connected with `context`: its certificate, version, suite.
    Raises what the client got."""
    seen: dict[str, Any] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen["certificate"] = writer.get_extra_info("peercert")
        seen["suite"], seen["version"], _ = writer.get_extra_info("cipher")
        writer.write(b"bonjour\n")
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server)
    try:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        try:
            assert await reader.readline() == b"bonjour\n"
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
    finally:
        listener.close()
        await listener.wait_closed()
    return seen


def server_context(authority: Authority, leaf: Leaf | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = leaf or authority.issue("tls-server", "127.0.0.1", "localhost")
    context.load_cert_chain(leaf.certificate, leaf.key)
    context.load_verify_locations(authority.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


# --- the client certificate -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("-legacy",),  # certificate RC2-40, key 3DES-SHA1: what the operators' files are
        ("-legacy", "-keypbe", "PBE-SHA1-RC2-40", "-certpbe", "PBE-SHA1-RC2-40"),
        ("-legacy", "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"),
        (),  # AES-256, what OpenSSL 3 writes
    ],
)
async def test_every_sort_of_pkcs12_serves(
    authority: Authority, leaf: Leaf, tmp_path: Path, options: tuple[str, ...]
) -> None:
    file = pkcs12(leaf, tmp_path / "client.p12", *options)
    (tmp_path / "password").write_text(PASSWORD + "\r\n")
    secret = Secret(file=file, password_file=tmp_path / "password")
    seen = await handshake(client_context(operator(authority.ca_file), secret), server_context(authority))
    assert (("commonName", "BAL FICTIVE"),) in seen["certificate"]["subject"]


async def test_a_pkcs12_without_password_serves(authority: Authority, leaf: Leaf, tmp_path: Path) -> None:
    secret = Secret(file=pkcs12(leaf, tmp_path / "client.p12", password=""))
    assert (await handshake(client_context(operator(authority.ca_file), secret), server_context(authority)))["suite"]


@pytest.mark.parametrize("form", ["both", "two files", "encrypted key"])
async def test_pem_serves(authority: Authority, leaf: Leaf, tmp_path: Path, form: str) -> None:
    secret = Secret(file=leaf.both) if form == "both" else Secret(file=leaf.certificate, key_file=leaf.key)
    if form == "encrypted key":
        secret = locked(leaf, tmp_path)
    assert (await handshake(client_context(operator(authority.ca_file), secret), server_context(authority)))["suite"]


def locked(leaf: Leaf, folder: Path) -> Secret:
    key = load_pem_private_key(leaf.key.read_bytes(), None)
    lock = BestAvailableEncryption(PASSWORD.encode())
    (folder / "locked.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
    (folder / "password").write_text(PASSWORD)
    return Secret(file=leaf.certificate, key_file=folder / "locked.key", password_file=folder / "password")


def test_a_clear_key_never_stays_behind(authority: Authority, leaf: Leaf, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    secret = Secret(file=pkcs12(leaf, tmp_path / "client.p12", "-legacy"), password_file=tmp_path / "password")
    open_before = len(os.listdir("/proc/self/fd"))
    client_context(operator(authority.ca_file), secret)
    assert len(os.listdir("/proc/self/fd")) == open_before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["client.p12", "password"]


def test_a_key_is_opened_once_for_what_its_files_hold(authority: Authority, leaf: Leaf, tmp_path: Path) -> None:
    """Not for what they are called: a renewed certificate and a mistyped password are seen at the next connection."""
    (tmp_path / "password").write_text(PASSWORD)
    secret = Secret(file=pkcs12(leaf, tmp_path / "client.p12"), password_file=tmp_path / "password")
    first = open_secret(secret)
    assert open_secret(secret) is first
    assert repr(_held(secret)) == "_Held()"  # what is kept is shown to nobody
    (tmp_path / "password").write_text("autre")
    with pytest.raises(Misconfigured):
        open_secret(secret)
    (tmp_path / "password").write_text(PASSWORD)
    pkcs12(authority.issue("renewed", "renouvele@x.example"), tmp_path / "client.p12")
    assert open_secret(secret).leaf != first.leaf


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("absent", "absent.p12:1 - ce fichier ne peut pas être lu (No such file or directory)"),
        ("password", "client.p12:1 - le mot de passe est faux, ou ce fichier n'est pas un PKCS#12"),
        ("no password", "locked.key:1 - la clé privée manque, ou son mot de passe est faux"),
        ("junk", "junk.p12:1 - le mot de passe est faux, ou ce fichier n'est pas un PKCS#12"),
        ("no key", "la clé privée manque"),
        ("other key", "locked.key:1 - la clé privée n'est pas celle du certificat"),
        ("certificates only", "only.p12:1 - ce fichier ne contient pas de clé privée avec son certificat"),
        ("password absent", "nothing:1 - ce fichier ne peut pas être lu"),
    ],
)
def test_a_wrong_certificate_is_named_with_its_reason(
    authority: Authority, leaf: Leaf, tmp_path: Path, wrong: str, reason: str
) -> None:
    (tmp_path / "other").write_text("autre")
    (tmp_path / "junk.p12").write_bytes(b"\x00junk")
    protected = locked(leaf, tmp_path)
    secrets = {
        "absent": Secret(file=tmp_path / "absent.p12"),
        "password": Secret(file=pkcs12(leaf, tmp_path / "client.p12"), password_file=tmp_path / "other"),
        "no password": protected.model_copy(update={"password_file": None}),
        "junk": Secret(file=tmp_path / "junk.p12"),
        "no key": Secret(file=leaf.certificate),
        "other key": protected.model_copy(update={"file": authority.issue("other", "other@x.example").certificate}),
        "certificates only": Secret(
            file=pkcs12(leaf, tmp_path / "only.p12", "-nokeys"), password_file=tmp_path / "password"
        ),
        "password absent": Secret(file=tmp_path / "client.p12", password_file=tmp_path / "nothing"),
    }
    with pytest.raises(Misconfigured) as refused:
        client_context(operator(authority.ca_file), secrets[wrong])
    assert reason in refused.value.private
    assert PASSWORD not in refused.value.private


def test_the_facts_of_a_certificate_are_read(leaf: Leaf, tmp_path: Path) -> None:
    made = self_made(tmp_path, "structure", unit="3999000000000001")
    facts = certificate_facts(Secret(file=made.certificate))
    assert (facts.common_name, facts.unit) == ("structure", "3999000000000001")
    assert facts.not_after - facts.not_before == datetime.timedelta(days=3)
    (tmp_path / "password").write_text(PASSWORD)
    packed = Secret(file=pkcs12(made, tmp_path / "client.p12", "-legacy"), password_file=tmp_path / "password")
    assert certificate_facts(packed) == facts
    with pytest.raises(Misconfigured, match="ne contient pas de certificat"):
        certificate_facts(Secret(file=made.key))


# --- whom we trust ----------------------------------------------------------------------------------------------


def self_made(
    folder: Path, name: str, *, unit: str = "", san: bool = True, days: tuple[int, int] = (-1, 2), ca: bool = False
) -> Leaf:
    """A certificate that signs itself, valid from and until so many days from today."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    parts += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    today = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(parts))
        .issuer_name(x509.Name(parts))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today + datetime.timedelta(days=days[0]))
        .not_valid_after(today + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    leaf = Leaf(folder / f"{name}.crt", folder / f"{name}.key", folder / f"{name}.pem")
    leaf.certificate.write_bytes(pem)
    leaf.key.write_bytes(clear)
    leaf.both.write_bytes(clear + pem)
    return leaf


def test_only_the_operators_authorities_are_trusted(authority: Authority) -> None:
    context = client_context(operator(authority.ca_file), None)
    assert len(context.get_ca_certs()) == 1
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_an_authority_may_be_der(authority: Authority, tmp_path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    (tmp_path / "ca.cer").write_bytes(certificate.public_bytes(Encoding.DER))
    assert len(client_context(operator(tmp_path / "ca.cer"), None).get_ca_certs()) == 1


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN NOTHING-----\n", b"<html>403</html>"])
def test_a_wrong_authority_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(Misconfigured, match=r"ca\.pem:1 - "):
        client_context(operator(tmp_path / "ca.pem"), None)


async def test_an_expired_server_is_refused(authority: Authority, leaf: Leaf, tmp_path: Path) -> None:
    old = self_made(tmp_path, "localhost", days=(-3, -1), ca=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        await handshake(client_context(operator(old.certificate), None), server_context(authority, old), "localhost")


async def test_a_server_without_san_is_refused_and_the_error_says_why(authority: Authority, tmp_path: Path) -> None:
    bare = self_made(tmp_path, "localhost", san=False, ca=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await handshake(client_context(operator(bare.certificate), None), server_context(authority, bare), "localhost")


async def test_a_site_may_trust_one_certificate_below_a_root_and_not_the_root(authority: Authority, leaf: Leaf) -> None:
    server = authority.issue("pinned", "localhost")
    context = client_context(operator(server.certificate), Secret(file=leaf.both))
    assert (await handshake(context, server_context(authority, server), "localhost"))["suite"]
    other = authority.issue("not-pinned", "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(context, server_context(authority, other), "localhost")


# --- versions and suites ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tls13", "version"), [(True, "TLSv1.3"), (False, "TLSv1.2")])
async def test_tls13_can_be_left_out(authority: Authority, leaf: Leaf, tls13: bool, version: str) -> None:
    context = client_context(operator(authority.ca_file, tls13=tls13), Secret(file=leaf.both))
    seen = await handshake(context, server_context(authority))
    assert seen["version"] == version
    assert tls13 or seen["suite"] == "ECDHE-RSA-AES256-GCM-SHA384"


@pytest.mark.parametrize("suite", ["DHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305", "AES256-GCM-SHA384"])
async def test_a_server_with_other_suites_only_is_refused(authority: Authority, leaf: Leaf, suite: str) -> None:
    server = server_context(authority)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers(suite)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await handshake(client_context(operator(authority.ca_file), Secret(file=leaf.both)), server)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
async def test_tls11_is_refused(authority: Authority, leaf: Leaf) -> None:
    server = server_context(authority)
    server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_1
    server.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await handshake(client_context(operator(authority.ca_file), Secret(file=leaf.both)), server)


def test_suites_that_nobody_knows_are_misconfigured(authority: Authority) -> None:
    with pytest.raises(Misconfigured, match="operator operateur: ciphers"):
        client_context(operator(authority.ca_file, ciphers="NO-SUCH-SUITE"), None)
