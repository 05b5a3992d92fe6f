"""`hub operator test` on real servers: a good operator, and one fault after the other, each said in plain words."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import signers
from tests.edges.dns_server import running_names, srv
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.ports import free_port
from tests.edges.postfix import Postfix, running_postfix
from tests.pki import Authority, Leaf
from tests.trips.house import DOMAIN, Site, wait_for

HOME = f"dossiers@mecs.{DOMAIN}"
_SETTINGS = """\
site: {{name: "MECS d'essai (fictive)", product_reference: ESSAI1}}
operators:
  - name: operateur
    {where}
    ca_file: {ca}
    certificate: {{file: {certificate}, key_file: {key}}}
    {operator}
mailboxes:
  - {{name: dossiers, address: "{address}", operator: operateur, test: true, {mailbox}}}
watching: {{poll: 5s, backoff_first: 1s, backoff_most: 3s, connect_timeout: 5s}}
spooling: {{sweep_every: 1s, retry_first: 1s}}
{more}
"""


@dataclass
class Place:
    """Servers, and sites that use them: one folder, whose hub.yaml each test writes."""

    folder: Path
    authority: Authority
    dovecot: Dovecot
    postfix: Postfix

    def write(
        self,
        *,
        imap: int | None = None,
        smtp: int | None = None,
        where: str | None = None,
        leaf: Leaf | None = None,
        address: str = HOME,
        operator: str = "tls13: true",
        mailbox: str = "folder: INBOX",
        more: str = "",
    ) -> None:
        leaf = leaf or self.dovecot.leaf(HOME)
        static = (
            f"imap: {{host: localhost, port: {imap or self.dovecot.imap_port}, tls: starttls}}\n"
            f"    smtp: {{host: localhost, port: {smtp or self.postfix.starttls_port}, tls: starttls}}"
        )
        text = _SETTINGS.format(
            where=static if where is None else where,
            ca=self.authority.ca_file,
            certificate=leaf.certificate,
            key=leaf.key,
            operator=operator,
            address=address,
            mailbox=mailbox,
            more=more,
        )
        (self.folder / "hub.yaml").write_text(text)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hub", "operator", "test", "dossiers", *words, "--site", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=100)

    def steps(self, *words: str, well: bool) -> dict[str, dict[str, Any]]:
        done = self.run("--json", *words)
        assert done.returncode == (0 if well else 1), done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert told["well"] is well
        return {step["code"]: step for step in told["steps"]}

    def in_the_mailbox(self, address: str = HOME) -> list[Path]:
        maildir = self.dovecot.home(address) / "Maildir"
        return [path for part in ("new", "cur") for path in (maildir / part).glob("*")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("operator")
    authority = Authority(folder / "pki")
    site = folder / "site"
    subprocess.run([sys.executable, "-m", "hub", "init", str(site)], check=True, capture_output=True)
    with (
        running_dovecot(authority) as dovecot,
        running_postfix(
            authority,
            domains=(DOMAIN, f"mecs.{DOMAIN}"),
            transport=f"lmtp:inet:[127.0.0.1]:{dovecot.lmtp_port}",
        ) as postfix,
    ):
        yield Place(site, authority, dovecot, postfix)


def failures(steps: dict[str, dict[str, Any]]) -> list[str]:
    return [code for code, step in steps.items() if step["went"] == "failed"]


# --- all is well


def test_a_good_operator_passes_every_step_and_the_mail_is_taken_away_again(place: Place) -> None:
    place.write(mailbox="sent_folder: auto")
    steps = place.steps(well=True)
    expected = ["settings", "client-certificate", "imap-where", "imap-connected", "imap-offered", "imap-secured"]
    expected += ["imap-believed", "imap-open", "imap-folder", "imap-idle", "imap-sent"]
    expected += ["smtp-where", "smtp-connected", "smtp-offered", "smtp-secured", "smtp-believed", "smtp-open"]
    expected += ["smtp-offers", "smtp-size", "smtp-dsn", "mail-sent", "mail-back", "mail-intact"]
    assert list(steps) == expected
    assert {step["went"] for code, step in steps.items() if code != "imap-sent"} == {"ok"}
    assert "UIDVALIDITY" in steps["imap-folder"]["seen"][0]
    assert "TLSv1.3" in steps["imap-secured"]["title"]
    assert any("127.0.0.1" in line for line in steps["smtp-secured"]["seen"])  # the names of the certificate
    assert any(line.startswith("SIZE ") for line in steps["smtp-offers"]["seen"])
    assert 0 < steps["mail-back"]["seconds"] < 20
    assert place.in_the_mailbox() == []


def test_it_reads_as_plain_words(place: Place) -> None:
    place.write()
    done = place.run()
    assert done.returncode == 0, done.stdout
    assert "Tout va bien : la boîte peut être relevée et peut envoyer." in done.stdout
    assert "OK" in done.stdout
    assert "Message d'essai : revenu dans INBOX" in done.stdout
    assert "BEGIN" not in done.stdout + done.stderr


def test_without_a_mail_nothing_is_sent(place: Place) -> None:
    place.write()
    before = place.postfix.log().count(": client=")  # said once MAIL was accepted
    assert not any(code.startswith("mail") for code in place.steps("--no-mail", well=True))
    assert place.postfix.log().count(": client=") == before


def test_a_mailbox_that_signs_also_sends_a_signed_mail_and_looks_at_what_came(place: Place) -> None:
    authority = signers.Authority()
    holder = authority.signer(HOME)
    (place.folder / "signature.pem").write_bytes(holder.certificate_pem + holder.above_pem + holder.key_pem)
    (place.folder / "anchors.pem").write_bytes(authority.root_pem)
    place.write(mailbox="signing: {certificate: {file: signature.pem}}", more="signatures: {anchors: anchors.pem}")
    steps = place.steps(well=True)
    assert list(steps)[-3:] == ["signed-sent", "signed-back", "signed-intact"]
    assert place.in_the_mailbox() == []


# --- one fault after the other


def test_a_client_certificate_that_the_operator_does_not_know(place: Place, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "other").issue("stranger", HOME, common_name=HOME)
    place.write(leaf=stranger)
    steps = place.steps(well=False)
    assert failures(steps) == ["imap-open", "smtp-open"]
    assert "enregistré votre certificat client" in steps["imap-open"]["remedy"]
    assert steps["mail-sent"]["went"] == "note"


def test_a_wrong_password(place: Place, tmp_path: Path) -> None:
    with running_dovecot(place.authority, "password") as dovecot:
        (tmp_path / "mot").write_text("faux\n")
        place.write(imap=dovecot.imap_port, mailbox=f"sasl: plain, password_file: {tmp_path / 'mot'}")
        steps = place.steps(well=False)
        assert failures(steps) == ["imap-open"]
        assert "authenticationfailed" in steps["imap-open"]["seen"][0]
        assert "faux" not in json.dumps(steps["imap-open"])


async def test_starttls_that_was_taken_out_on_the_way(place: Place) -> None:
    async with stripped(b"* OK pret\r\n", b"CAPABILITY IMAP4rev1\r\n") as imap, stripped(b"220 pret\r\n", b"") as smtp:
        place.write(imap=imap.port, smtp=smtp.port)
        steps = await asyncio.to_thread(place.steps, well=False)
    assert failures(steps) == ["imap-offered", "smtp-offered"]
    assert "équipement du réseau" in steps["smtp-offered"]["remedy"]
    assert not any(b"AUTH" in line or b"MAIL" in line or b"LOGIN" in line for line in imap.heard + smtp.heard)


def test_a_certificate_without_host_names_tells_the_pin(place: Place, tmp_path: Path) -> None:
    bare, fingerprint = signed_without_names(place.authority, tmp_path)
    # In TLS 1.2 a server that wants our certificate breaks the handshake off when it is shown none.
    older = "smtpd_tls_mandatory_protocols = TLSv1.2\nsmtpd_tls_protocols = TLSv1.2\n"
    extra = f"ssl_cert = <{bare.certificate}\nssl_key = <{bare.key}\n"
    with (
        running_dovecot(place.authority, extra=extra) as dovecot,
        running_postfix(place.authority, server=bare, more=older) as postfix,
    ):
        place.write(imap=dovecot.imap_port, smtp=postfix.starttls_port)
        steps = place.steps(well=False)
    assert failures(steps) == ["imap-believed", "smtp-believed"]
    for protocol in ("imap", "smtp"):
        assert f"pin: {fingerprint}" in steps[f"{protocol}-believed"]["remedy"]
        assert any("CN=localhost, OU=10690000001" in line for line in steps[f"{protocol}-secured"]["seen"])
        assert "noms (SAN) : aucun" in steps[f"{protocol}-secured"]["seen"]


async def test_a_server_that_breaks_the_handshake_off_is_told_as_such(place: Place, tmp_path: Path) -> None:
    server = place.dovecot.server_leaf
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(Authority(tmp_path / "other").ca_file)
    listener = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    try:
        port = listener.sockets[0].getsockname()[1]
        where = "\n    ".join(f"{name}: {{host: localhost, port: {port}, tls: implicit}}" for name in ("imap", "smtp"))
        place.write(where=where)
        steps = await asyncio.to_thread(place.steps, well=False)
    finally:
        listener.close()
    assert failures(steps) == ["imap-secured", "smtp-secured"]
    for step in (steps["imap-secured"], steps["smtp-secured"]):
        assert step["remedy"].startswith("C'est le serveur qui a rompu")
        assert any(line.startswith("empreinte SHA-256") for line in step["seen"])


def test_a_server_of_another_authority(place: Place, tmp_path: Path) -> None:
    with running_postfix(Authority(tmp_path / "other")) as postfix:
        place.write(smtp=postfix.starttls_port)
        steps = place.steps(well=False)
    assert failures(steps) == ["smtp-secured"]
    assert "ca_file" in steps["smtp-secured"]["remedy"]


def test_a_server_with_another_name(place: Place) -> None:
    where = (
        f"imap: {{host: 127.0.0.1, port: {place.dovecot.imap_port}, tls: starttls, server_name: imap.autre.example}}\n"
        f"    smtp: {{host: localhost, port: {free_port()}, tls: starttls}}"
    )
    place.write(where=where)
    steps = place.steps(well=False)
    assert failures(steps) == ["imap-believed", "smtp-connected"]
    assert "server_name" in steps["imap-believed"]["remedy"]
    assert "pare-feu" in steps["smtp-connected"]["remedy"]


def test_a_folder_that_is_not_there(place: Place) -> None:
    place.write(mailbox='folder: "Absent"')
    steps = place.steps(well=False)
    assert failures(steps) == ["imap-folder"]
    assert steps["smtp-open"]["went"] == "ok"


def test_a_mail_that_never_comes_back(place: Place) -> None:
    place.write(address=f"ailleurs@mecs.{DOMAIN}", mailbox=f'username: "{HOME}"')  # another mailbox is opened
    steps = place.steps("--wait", "2", well=False)
    assert failures(steps) == ["mail-back"]
    assert steps["mail-sent"]["went"] == "ok"
    assert "username" in steps["mail-back"]["remedy"]


def test_a_mail_that_is_refused(place: Place) -> None:
    place.write(address="dossiers@inconnu.example", mailbox=f'username: "{HOME}"')
    steps = place.steps(well=False)
    assert failures(steps) == ["mail-sent"]
    assert "554" in steps["mail-sent"]["seen"][0]


def test_a_limit_of_the_server_under_what_the_hub_composes(place: Place) -> None:
    place.write(more="sending: {message_most: 100MB}")
    steps = place.steps("--no-mail", well=False)
    assert failures(steps) == ["smtp-size"]
    assert "message_most: 62914560" in steps["smtp-size"]["remedy"]
    place.write(more="sending: {message_most: 100MB}", operator="message_most: 62914560")
    assert place.steps("--no-mail", well=True)["smtp-size"]["went"] == "ok"


def test_what_is_changed_on_the_way_is_named(place: Place, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    rules = tmp_path / "rules"
    rules.write_text("/^X-MSS-NIL:/ REPLACE X-MSS-NIL: AUTRE\n/^Subject:/ IGNORE\n")
    recoding = "lmtp_discard_lhlo_keywords = 8bitmime\n"
    lmtp = f"lmtp:inet:[127.0.0.1]:{place.dovecot.lmtp_port}"
    domains = (f"mecs.{DOMAIN}",)
    with running_postfix(place.authority, domains=domains, transport=lmtp, more=recoding) as postfix:
        place.write(smtp=postfix.starttls_port)
        steps = place.steps(well=True)
        assert steps["mail-intact"]["went"] == "note"
        assert steps["mail-intact"]["seen"] == ["texte : recodé en chemin, le contenu est le même"]
    changing = f"header_checks = regexp:{rules}\n"
    with running_postfix(place.authority, domains=domains, transport=lmtp, more=changing) as postfix:
        place.write(smtp=postfix.starttls_port)
        steps = place.steps(well=False)
        assert failures(steps) == ["mail-intact"]
        assert steps["mail-intact"]["seen"] == ["en-tête Subject : disparu", "en-tête X-MSS-NIL : modifié"]


def test_a_wrong_file_is_named(place: Place, tmp_path: Path) -> None:
    place.write(leaf=Leaf(tmp_path / "absent.crt", tmp_path / "absent.key", tmp_path / "absent.pem"))
    steps = place.steps(well=False)
    assert failures(steps) == ["client-certificate", "imap-where", "smtp-where"]
    assert "absent.crt:1 - ce fichier ne peut pas être lu" in steps["imap-where"]["seen"][0]


def test_a_mailbox_that_is_not_there(place: Place) -> None:
    place.write()
    command = [sys.executable, "-m", "hub", "operator", "test", "autre", "--site", str(place.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "autre - no mailbox has this name in hub.yaml (dossiers)" in done.stderr


# --- what is known of it


def test_check_shows_what_is_taken_from_the_table_and_from_whom(place: Place) -> None:
    place.write(where="known_as: mailiz", operator="sent_copies: true")
    done = Site(place.folder, place.dovecot, place.postfix).command("check")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    known = lines.index("Opérateur operateur, connu comme mailiz (Mailiz) :")
    assert lines[known + 1].startswith("  dsn : non (A, DBX, journal des versions du connecteur, MSS-95")
    assert lines[known + 2].endswith("hub.yaml dit autre chose, et l'emporte")
    assert f"Serveur à trouver par le DNS : _submission._tcp.mecs.{DOMAIN} (boîtes : dossiers)." in lines


def test_dsn_is_not_asked_of_an_operator_that_is_known_to_stumble_over_it(place: Place) -> None:
    place.write(operator="known_as: mailiz")
    assert "ne les demande pas" in place.steps("--no-mail", well=True)["smtp-dsn"]["title"]


# --- found by DNS, and watched


async def test_an_operator_found_by_dns_is_tried_and_watched_by_the_service(place: Place) -> None:
    records = {
        f"_imap._tcp.mecs.{DOMAIN}": ("10 100 143 psc.absent.example.", f"20 5 {place.dovecot.imap_port} localhost."),
        f"_submission._tcp.mecs.{DOMAIN}": (f"20 5 {place.postfix.starttls_port} LOCALHOST.",),
    }
    async with running_names(lambda name: srv(name, *records[name])) as names:
        place.write(where="srv_targets: [localhost]", more=f'dns: {{servers: ["{names.address}"]}}')
        steps = await asyncio.to_thread(place.steps, well=True)
        assert "retenu : priorité 20" in steps["imap-dns"]["seen"][-1]
        assert "trouvé : 10 100 143 psc.absent.example" in steps["imap-dns"]["seen"]
        assert "d'après le DNS" in steps["smtp-where"]["title"]
        site = Site(place.folder, place.dovecot, place.postfix)
        checked = await asyncio.to_thread(site.command, "check")
        assert checked.returncode == 0, checked.stdout
        site.start()
        try:
            # The test of an operator beside the service: whichever sees the mail first, nothing is made of it.
            assert (await asyncio.to_thread(place.steps, well=True))["mail-back"]["went"] == "ok"
            place.dovecot.deliver(HOME, b"From: <a@hopital.mssante.example>\r\nSubject: essai\r\n\r\nbonjour\r\n")
            await asyncio.to_thread(wait_for, lambda: "HELD" in held(site), 40, site.log)
        finally:
            await asyncio.to_thread(site.stop)
        assert (await asyncio.to_thread(held, site)).count("HELD") == 1


def held(site: Site) -> list[str]:
    """The states of all messages that were accepted."""
    return [state for state, count in site.counts().items() for _ in range(count)]


# --- servers of the tests


@dataclass
class Stripped:
    port: int
    heard: list[bytes]


@asynccontextmanager
async def stripped(greeting: bytes, capability: bytes) -> AsyncIterator[Stripped]:
    """A server (IMAP with a `capability`, else SMTP) out of whose offers STARTTLS was taken."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while line := await reader.readline():
            heard.append(line)
            tag = line.split(b" ")[0]
            writer.write(b"* " + capability + tag + b" OK fait\r\n" if capability else b"250 operateur\r\n")
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Stripped(listener.sockets[0].getsockname()[1], heard)
    finally:
        listener.close()


def signed_without_names(authority: Authority, folder: Path) -> tuple[Leaf, str]:
    """A server's certificate in the form of IGC-Santé that names its host in its CN only; its SHA-256."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    folder.chmod(0o755)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issuer_key = serialization.load_pem_private_key(authority._ca.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    parts = ((NameOID.COMMON_NAME, "localhost"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "10690000001"))
    at = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in parts]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - datetime.timedelta(days=1))
        .not_valid_after(at + datetime.timedelta(days=30))
        .sign(issuer_key, hashes.SHA256())  # type: ignore[arg-type]  # an RSA key
    )
    pem = serialization.Encoding.PEM
    leaf = Leaf(folder / "bare.crt", folder / "bare.key", folder / "bare.pem")
    leaf.certificate.write_bytes(made.public_bytes(pem))
    leaf.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return leaf, made.fingerprint(hashes.SHA256()).hex()
