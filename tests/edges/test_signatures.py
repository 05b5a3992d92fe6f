"""Signatures among real programs: what we sign, OpenSSL verifies; what OpenSSL signs, we verify; the verdict through
the reader's child. OpenSSL is an oracle here, and wrong on one attack."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms

from hub.cda import Codes
from hub.cell import Cell
from hub.message import Limits, ParsedMessage, Verdict
from hub.parse import Witness, parse
from hub.raw import Whole
from hub.smime import Trust
from hub.smime.signing import sign
from tests.forger import forged, mail, multipart
from tests.signers import AT, ENTITY, Authority, Holder, head

RSA, EC = Authority("rsa"), Authority("ec")
SIGNERS = {"rsa": (RSA, RSA.signer()), "ec": (EC, EC.signer())}
AWKWARD = {
    "plain": b"Content-Type: text/plain\r\n\r\nbonjour\r\n",
    "no-end": b"Content-Type: text/plain\r\n\r\nbonjour",
    "empty": b"Content-Type: text/plain\r\n\r\n",
    "dots": b"Content-Type: text/plain\r\n\r\n.\r\n..\r\n.a\r\n",
    "blank-lines": b"Content-Type: text/plain\r\n\r\n\r\n\r\na\r\n\r\n",
    "attachment": ENTITY,
}


@dataclass(frozen=True)
class OpenSsl:
    """The command, with files of its own."""

    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["openssl", *arguments], capture_output=True, check=False, cwd=self.folder, timeout=60)

    def verified(
        self, raw: bytes, authority: Authority, command: str = "cms", lists: bytes = b"", *options: str
    ) -> bytes | None:
        """The content, or None when it refuses. `lists`: revocation lists beside the root."""
        (self.folder / "in.eml").write_bytes(raw)
        (self.folder / "ca.pem").write_bytes(authority.root_pem + lists)
        done = self.run(
            command, "-verify", "-in", "in.eml", "-CAfile", "ca.pem", "-purpose", "smimesign", "-x509_strict",
            "-attime", str(int(AT.timestamp())), "-out", "out", *options,
        )  # fmt: skip
        return (self.folder / "out").read_bytes() if done.returncode == 0 else None

    def signed(self, entity: bytes, signer: Holder, *options: str) -> bytes:
        """A multipart/signed of OpenSSL's own making, with the headers of a mail before it."""
        for name, content in (
            ("c.pem", signer.certificate_pem),
            ("k.pem", signer.key_pem),
            ("i.pem", signer.above_pem),
        ):
            (self.folder / name).write_bytes(content)
        (self.folder / "entity").write_bytes(entity)
        done = self.run(
            "cms", "-sign", "-in", "entity", "-signer", "c.pem", "-inkey", "k.pem", "-certfile", "i.pem",
            "-out", "out.eml", *options,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return head() + (self.folder / "out.eml").read_bytes().removeprefix(b"MIME-Version: 1.0\n").removeprefix(
            b"MIME-Version: 1.0\r\n"
        )


@pytest.fixture
def openssl(tmp_path: Path) -> OpenSsl:
    return OpenSsl(tmp_path)


def look(raw: bytes, authority: Authority) -> Verdict:
    verdict = parse(
        raw, Limits(), Codes.empty(), witness=Witness(Trust(authority.anchors), AT + timedelta(days=1))
    ).verdict
    assert verdict is not None
    return verdict


# --- OpenSSL on our signatures


@pytest.mark.parametrize("command", ["cms", "smime"])
@pytest.mark.parametrize("entity", AWKWARD)
@pytest.mark.parametrize("kind", SIGNERS)
def test_openssl_verifies_what_we_sign(openssl: OpenSsl, kind: str, entity: str, command: str) -> None:
    authority, signer = SIGNERS[kind]
    raw = head() + sign(AWKWARD[entity], signer, AT, "=_b")
    assert openssl.verified(raw, authority, command) == AWKWARD[entity]
    assert look(raw, authority).outcome == "valid"


@pytest.mark.parametrize("kind", SIGNERS)
def test_openssl_refuses_what_was_changed_after_we_signed(openssl: OpenSsl, kind: str) -> None:
    authority, signer = SIGNERS[kind]
    raw = (head() + sign(ENTITY, signer, AT, "=_b")).replace(b"Bonjour", b"Bonsoir")
    assert openssl.verified(raw, authority) is None
    assert look(raw, authority).reasons == ("altered",)


def test_openssl_follows_the_chain_that_we_send(openssl: OpenSsl) -> None:
    """Three levels, the root alone is known to the recipient."""
    authority, signer = SIGNERS["rsa"]
    whole = head() + sign(ENTITY, signer, AT, "=_b")
    alone = mail(ENTITY, forged(ENTITY, signer, certificates=[signer.der]))
    assert openssl.verified(whole, authority) == ENTITY
    assert openssl.verified(alone, authority) is None


@pytest.mark.parametrize("kind", SIGNERS)
def test_openssl_verifies_with_revocation_lists_of_the_whole_chain(openssl: OpenSsl, kind: str) -> None:
    authority, signer = SIGNERS[kind]
    raw = head() + sign(ENTITY, signer, AT, "=_b")
    assert openssl.verified(raw, authority, "cms", authority.lists(), "-crl_check_all") == ENTITY
    assert openssl.verified(raw, authority, "cms", authority.lists(signer), "-crl_check_all") is None
    assert openssl.verified(raw, authority, "cms", b"", "-crl_check_all") is None


def test_we_sign_whatever_was_imported_before() -> None:
    """asn1crypto learns some names when a module of it is imported, unless another look came first."""
    code = (
        "from asn1crypto import cms; cms.CMSAttributeType('content_type').dump()\n"
        "from tests.signers import AT, ENTITY, Authority\n"
        "from hub.smime import sign\n"
        "print(len(sign(ENTITY, Authority('ec').signer(), AT, '=_b')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


# --- we on OpenSSL's signatures


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-binary",),
        ("-nosmimecap",),
        ("-keyid",),
        ("-md", "sha512"),
        ("-md", "sha384"),
        ("-crlfeol",),
        ("-keyopt", "rsa_padding_mode:pss"),
        ("-indef",),
        ("-cades",),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("entity", ["plain", "attachment", "blank-lines"])
def test_we_verify_what_openssl_signs(openssl: OpenSsl, entity: str, options: tuple[str, ...]) -> None:
    authority, signer = SIGNERS["rsa"]
    raw = openssl.signed(AWKWARD[entity], signer, *options)
    verdict = look_now(raw, authority)
    assert (verdict.integrity, verdict.sender, verdict.chain) == ("good", "good", "good"), verdict.reasons


def look_now(raw: bytes, authority: Authority) -> Verdict:
    """OpenSSL signs at the time of this machine, whatever that is: it is the reception's too."""
    signed_at = look(raw, authority).evidence.signed_at
    assert signed_at is not None
    verdict = parse(raw, Limits(), Codes.empty(), witness=Witness(Trust(authority.anchors), signed_at)).verdict
    assert verdict is not None
    return verdict


@pytest.mark.parametrize("options", [("-md", "sha1"), ("-noattr",), ("-nodetach",)], ids=" ".join)
def test_we_refuse_what_openssl_signs_badly(openssl: OpenSsl, options: tuple[str, ...]) -> None:
    authority, signer = SIGNERS["rsa"]
    if options == ("-nodetach",):  # an opaque mail is good, if it is the whole mail
        assert look_now(openssl.signed(ENTITY, signer, *options), authority).integrity == "good"
        return
    assert look(openssl.signed(ENTITY, signer, *options), authority).outcome == "invalid"


def test_a_streamed_signature_of_indefinite_lengths_is_read(openssl: OpenSsl) -> None:
    authority, signer = SIGNERS["ec"]
    raw = openssl.signed(ENTITY, signer, "-stream", "-indef")
    assert look_now(raw, authority).integrity == "good"


# --- where the oracle is wrong


def test_openssl_accepts_the_attributes_of_an_old_signature_as_a_content_and_we_do_not(openssl: OpenSsl) -> None:
    """libs.md §1: what was signed once as attributes is served as the content of a signature without any."""
    authority, signer = SIGNERS["rsa"]
    old = cms.ContentInfo.load(forged(ENTITY, signer))
    info = old["content"]["signer_infos"][0]
    content = b"\x31" + info["signed_attrs"].dump()[1:]
    stripped = {name: info[name] for name in ("version", "sid", "digest_algorithm", "signature_algorithm", "signature")}
    old["content"]["signer_infos"] = [cms.SignerInfo(stripped)]
    (openssl.folder / "p7s").write_bytes(old.dump(force=True))
    (openssl.folder / "content").write_bytes(content)
    (openssl.folder / "ca.pem").write_bytes(authority.root_pem)
    done = openssl.run(
        "cms", "-verify", "-inform", "DER", "-in", "p7s", "-content", "content", "-binary", "-CAfile", "ca.pem",
        "-attime", str(int(AT.timestamp())), "-out", "out",
    )  # fmt: skip
    assert done.returncode == 0  # the day this fails, OpenSSL has learnt it
    verdict = look(head() + multipart(content, old.dump(force=True)), authority)
    assert (verdict.integrity, verdict.reasons) == ("bad", ("no-signed-attributes",))


def test_a_certificate_signed_with_sha1_is_refused(openssl: OpenSsl, tmp_path: Path) -> None:
    authority, signer = SIGNERS["rsa"]
    for name, content in (
        ("ca.crt", authority.root_pem), ("ca.key", authority.root.key_pem), ("leaf.key", signer.key_pem),
        ("ext", b"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                b"subjectAltName=email:secretariat@esms.exemple.mssante.fr\nauthorityKeyIdentifier=keyid\n"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
    assert openssl.run("req", "-new", "-key", "leaf.key", "-subj", "/CN=VIEUX", "-out", "csr").returncode == 0
    made = openssl.run("x509", "-req", "-in", "csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-sha1", "-days", "3650",
                       "-extfile", "ext", "-out", "old.pem", "-set_serial", "7")  # fmt: skip
    assert made.returncode == 0, made.stderr
    old = Holder.of_pem((tmp_path / "old.pem").read_bytes(), signer.key)
    verdict = look(mail(ENTITY, forged(ENTITY, old, signed_at=None)), authority)
    assert verdict.chain == "bad"


# --- through the child


@pytest.fixture
async def cell(tmp_path: Path) -> AsyncIterator[Cell]:
    cell = Cell(Limits(), 300 * 1024**2, 5, 1, 1_000, tmp_path, Trust(RSA.anchors))
    yield cell
    await cell.close()


async def read(cell: Cell, raw: bytes) -> ParsedMessage:
    return await cell.read(Whole(raw), received_at=AT)


async def test_the_verdict_comes_out_of_the_child(cell: Cell) -> None:
    raw = head() + sign(ENTITY, SIGNERS["rsa"][1], AT, "=_b")
    signed = await read(cell, raw)
    assert signed.verdict == parse(raw, Limits(), Codes.empty(), witness=Witness(Trust(RSA.anchors), AT)).verdict
    assert signed.verdict is not None
    assert (signed.verdict.outcome, signed.verdict.at) == ("valid", AT)
    assert [leaf.name for leaf in signed.attachments] == [None, "note.pdf", "smime.p7s"]
    assert (await read(cell, head() + ENTITY)).verdict is None
    assert (await cell.read(Whole(raw))).verdict is None  # nobody said when it was received


async def test_anchors_reach_the_child(cell: Cell) -> None:
    stranger = Authority("rsa", "AC D'AILLEURS").signer()
    verdict = (await read(cell, head() + sign(ENTITY, stranger, AT, "=_b"))).verdict
    assert verdict is not None
    assert (verdict.integrity, verdict.chain) == ("good", "bad")


async def test_text_beside_a_signed_part_makes_the_signature_worthless(cell: Cell) -> None:
    around = b"Content-Type: multipart/mixed; boundary=autour\r\n\r\n--autour\r\n\r\nRIB ci-joint\r\n--autour\r\n"
    signed = multipart(ENTITY, forged(ENTITY, SIGNERS["rsa"][1]))
    verdict = (await read(cell, head() + around + signed + b"\r\n--autour--\r\n")).verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.reasons) == ("invalid", ("not-whole",))


async def test_a_signed_mail_of_50_mb_is_judged_within_the_limits_of_the_reader(cell: Cell) -> None:
    entity = b"Content-Type: text/plain\r\n\r\n" + (b"A" * 76 + b"\r\n") * 640_000
    verdict = (await read(cell, head() + sign(entity, SIGNERS["rsa"][1], AT, "=_b"))).verdict
    assert verdict is not None
    assert verdict.outcome == "valid"
