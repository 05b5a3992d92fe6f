"""`compose`: what it costs to make and sign the mail of one document, over the least that makes the same bytes.

The hub: from what was submitted (a PDF/A of some 40 KB, packed inside as scans are, whose usager is known) to the
signed mail of some 120 KB: CDA, archive, copy, headers, signature. The floor (performance.md §3): CDA and metadata
given, `zipfile`, base64, MIME written as bytes, the PKCS#7 builder of cryptography. One process, its processor time,
A B A B; RSA-2048, fictional people.
"""

from __future__ import annotations

import base64
import gc
import io
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

from bench.figures import Options, Result, median_of, ratio_of
from hub import compose
from hub.message import Composition, ParsedMessage
from hub.pdf import Archived, archival
from hub.sandbox.pdf import one_page_pdf
from hub.smime import sign
from hub.trust.signing import SigningKey
from tests.fakes_outgoing import establishment
from tests.pieces import AT, CODES, LEA, LETTERHEAD
from tests.signers import Authority
from tests.unit.routing_samples import rulebook

TITLE = "compose: a document mail made and signed"
GATE = 1.5
TURNS = 25  # mails a measure
PDF_SIZE = 38_000
_STEP = Composition(
    sending="ab" * 16, recipients=("ase@vallombre.mssante.example",), usager_id=LEA.id, documents=(0,), kinds=(None,)
)
_MOMENT = compose.Moment(at=AT, message_id="<banc.1@erables.mssante.example>")


def run(options: Options) -> Result:
    holder = Authority("rsa").signer()
    assert isinstance(holder.key, rsa.RSAPrivateKey)
    signer = SigningKey(Path("banc.pem"), holder.certificates, holder.kind, holder.key)
    scan = archival(one_page_pdf("Compte rendu (fictif)", ["Banc d'essai."], random.Random(1).randbytes(PDF_SIZE)), AT)
    mail = _Mail(scan.raw, signer)
    floor = _Floor(mail, holder.key)
    gc.collect()
    gc.freeze()
    pairs = [(_timed(mail.made), _timed(floor.made)) for _ in range(options.rounds or 9)]
    hub, least = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    size = len(mail.made()) / 1000
    return Result(
        "compose",
        TITLE,
        (
            ratio_of("processor time over the bytes floor (aim 1.2)", hub, least, GATE, note=f"{size:.0f} KB"),
            median_of("hub", hub, "ms"),
            median_of("floor", least, "ms"),
        ),
        rounds=tuple(pairs),
    )


class _Mail:
    """What the hub does for one document."""

    def __init__(self, scan: bytes, signer: SigningKey) -> None:
        self._scan = scan
        self._signer = signer
        self._writing = establishment(LETTERHEAD)
        self._catalogue = rulebook().catalogue
        self._parsed = ParsedMessage(subject="[dossier 1234]", body="Bonjour,\n\nVoici la fiche de mercredi.\n")
        self.archive = zipfile.ZipFile(io.BytesIO(self._archive()))

    def made(self) -> bytes:
        mail = self._dispatched()
        return mail.joined(sign(mail.entity, self._signer, AT, compose.boundary_of(_MOMENT.message_id)))

    def _dispatched(self) -> compose.Dispatched:
        pieces = compose.pieces_of(
            _STEP, self._parsed, (self._scan,), LEA, self._writing, self._catalogue, CODES, _MOMENT.at
        )
        mail, _ = compose.document_mail(
            _STEP, self._parsed, pieces, self._archived, self._writing, self._catalogue, CODES, _MOMENT
        )
        return mail

    def _archived(self, raw: bytes, at: object) -> Archived:
        """What the reader's child answers for a PDF that claims PDF/A."""
        return Archived(raw=raw, claim="1B")

    def _archive(self) -> bytes:
        """The archive inside the mail, for the floor."""
        encoded = self._dispatched().entity.split(b"IHE_XDM.zip")[-1].split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0]
        return base64.b64decode(encoded)


class _Floor:
    """The same files, zipped, encoded and signed by libraries, with nothing looked at."""

    def __init__(self, mail: _Mail, key: rsa.RSAPrivateKey) -> None:
        self._files = [(name, mail.archive.read(name)) for name in mail.archive.namelist() if not name.endswith("/")]
        self._scan = mail._scan
        self._key = key
        self._certificates = [x509.load_der_x509_certificate(one) for one in mail._signer.certificates]

    def made(self) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name, raw in self._files:
                archive.writestr(name, raw)
        entity = b"".join(
            (
                b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n',
                b"--m\r\nContent-Type: text/plain\r\n\r\nBonjour\r\n",
                *(_part(raw) for raw in (packed.getvalue(), self._scan)),
                b"--m--\r\n",
            )
        )
        leaf, *others = self._certificates
        builder = PKCS7SignatureBuilder().set_data(entity).add_signer(leaf, self._key, hashes.SHA256())
        for one in others:
            builder = builder.add_certificate(one)
        signature = builder.sign(Encoding.DER, [PKCS7Options.DetachedSignature, PKCS7Options.Binary])
        head = b"From: a\r\nTo: b\r\nContent-Type: multipart/signed\r\n\r\n--s\r\n"
        return head + entity + b"\r\n--s\r\n" + base64.encodebytes(signature) + b"--s--\r\n"


def _part(raw: bytes) -> bytes:
    head = b"--m\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head + base64.encodebytes(raw).replace(b"\n", b"\r\n")


def _timed(call: Callable[[], object]) -> float:
    """Milliseconds of processor time a mail."""
    call()
    start = time.process_time()
    for _ in range(TURNS):
        call()
    return (time.process_time() - start) / TURNS * 1_000
