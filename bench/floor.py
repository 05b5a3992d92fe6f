"""The floor (performance.md §5): what no program can leave out that files these signed 60 KB mails, and nothing else.

For each: a byte scan for MIME (a few `find`), base64 of archive and PDF twin, inflate of METADATA and document, SHA-1
and size against METADATA, SHA-256 of message, document and twin, two XML parses, base64 of the N1 body, the patient by
INS among 10,000 and compared, one blob (new file, fsync, rename, fsync of the folder), one SQLite transaction (WAL,
FULL) of 4 rows, the MDN from a template. `verify` adds what S/MIME needs: the digest of the signed bytes, two RSA
verifications (signer, issuer). No sealing, no journal, no queue, no processes: those are what the hub adds.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import resource
import sqlite3
import time
import zipfile
from pathlib import Path
from typing import Any

from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import load_der_x509_certificate
from lxml import etree

from bench.letters import made_up_usager, signer
from bench.probes import Cpu
from hub.sandbox.people import LINA

PEOPLE = 10_000
_V3 = "{urn:hl7-org:v3}"
_RIM = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
_MDN = (
    "From: {to}\r\nTo: {sender}\r\nSubject: =?utf-8?q?Accus=C3=A9?=\r\nMessage-ID: <{id}@banc.example>\r\n"
    'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain\r\n\r\nRecu.\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
    "Reporting-UA: banc\r\nFinal-Recipient: rfc822;{to}\r\nOriginal-Message-ID: {original}\r\n"
    "Disposition: automatic-action/MDN-sent-automatically; processed\r\n\r\n--b--\r\n"
)


def floor_cpu(messages: list[bytes], folder: Path, *, verify: bool = False) -> tuple[Cpu, float]:
    """(CPU seconds a message, wall seconds a message)."""
    floor = Floor(folder)
    for raw in messages[:10]:  # code and caches warm
        floor.file(raw, verify)
    floor.forget()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for raw in messages:
        floor.file(raw, verify)
    after, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began
    floor.close()
    count = len(messages)
    spent = Cpu((after.ru_utime - before.ru_utime) / count, (after.ru_stime - before.ru_stime) / count)
    return spent, wall / count


class Floor:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._number = 0
        self._database = sqlite3.connect(folder / "floor.db", isolation_level=None)
        for line in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE person (ins TEXT PRIMARY KEY, name TEXT, given TEXT, born TEXT, sex TEXT)",
            "CREATE TABLE blob (sha256 TEXT PRIMARY KEY, size INTEGER)",
            "CREATE TABLE message (id TEXT PRIMARY KEY, sha256 TEXT, state TEXT)",
            "CREATE TABLE document (unique_id TEXT PRIMARY KEY, person TEXT, sha256 TEXT, message TEXT)",
            "CREATE TABLE receipt (message TEXT PRIMARY KEY, mail BLOB)",
        ):
            self._database.execute(line)
        people = [LINA.identity, *(made_up_usager(number).identity for number in range(PEOPLE - 1))]
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT OR IGNORE INTO person VALUES (?, ?, ?, ?, ?)",
            [(one.ins, one.birth_name, one.first_given, one.birth_date, one.sex) for one in people],
        )
        self._database.execute("COMMIT")

    def close(self) -> None:
        self._database.close()

    def forget(self) -> None:
        """What was filed, so that the same messages can be filed again."""
        for table in ("blob", "message", "document", "receipt"):
            self._database.execute(f"DELETE FROM {table}")

    def file(self, raw: bytes, verify: bool) -> None:
        self._number += 1
        digest = hashlib.sha256(raw).hexdigest()
        head = raw[: raw.find(b"\r\n\r\n")]
        sender, message_id = _header(head, b"From"), _header(head, b"Message-ID")
        signed, parts, signature = _parts(raw, head)
        if verify:
            _verify(signed, signature)
        packed, twin = parts[1], parts[2]
        document = _document(packed)
        hashlib.sha256(twin).hexdigest()
        filed = hashlib.sha256(document).hexdigest()
        unique_id, ins = self._read(document)
        self._blob(raw, digest)
        mail = _MDN.format(to="dossiers@banc.example", sender=sender, id=digest[:32], original=message_id)
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO blob VALUES (?, ?)", (digest, len(raw)))
        database.execute("INSERT INTO message VALUES (?, ?, ?)", (message_id, digest, "DONE"))
        database.execute("INSERT INTO document VALUES (?, ?, ?, ?)", (unique_id, ins, filed, message_id))
        database.execute("INSERT INTO receipt VALUES (?, ?)", (message_id, mail.encode()))
        database.execute("COMMIT")

    def _read(self, document: bytes) -> tuple[str, str]:
        """(unique id, INS of the patient, who is known and is the one of the document)."""
        root: Any = etree.fromstring(document, etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True))
        unique_id = root.find(f"{_V3}id").get("root")
        role = root.find(f"{_V3}recordTarget/{_V3}patientRole")
        ins = role.find(f"{_V3}id").get("extension")
        patient = role.find(f"{_V3}patient")
        name = patient.find(f"{_V3}name")
        family, given = name.findtext(f"{_V3}family"), name.findtext(f"{_V3}given[@qualifier='BR']")
        born = patient.find(f"{_V3}birthTime").get("value")
        base64.b64decode(root.findtext(f".//{_V3}nonXMLBody/{_V3}text"))
        known = self._database.execute("SELECT name, given, born FROM person WHERE ins = ?", (ins,)).fetchone()
        assert known == (family, given, f"{born[:4]}-{born[4:6]}-{born[6:]}"), "the floor does not know this person"
        return unique_id, ins

    def _blob(self, raw: bytes, digest: str) -> None:
        draft, whole = self._folder / f"{self._number}.part", self._folder / digest
        with open(draft, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, whole)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _header(head: bytes, name: bytes) -> str:
    at = head.find(b"\r\n" + name + b": ") + len(name) + 4
    return head[at : head.find(b"\r\n", at)].decode()


def _boundary(head: bytes) -> bytes:
    at = head.index(b'boundary="') + 10
    return b"\r\n--" + head[at : head.index(b'"', at)]


def _parts(raw: bytes, head: bytes) -> tuple[bytes, list[bytes], bytes]:
    """(the signed bytes, the decoded leaves, the decoded signature)."""
    outer = _boundary(head)
    start = raw.index(outer, len(head)) + len(outer) + 2
    end = raw.index(outer, start)
    entity_head = raw[start : raw.index(b"\r\n\r\n", start)]
    inner = _boundary(entity_head)
    leaves, at = [], raw.index(inner, start)
    while not raw.startswith(b"--", at + len(inner)):
        body = raw.index(b"\r\n\r\n", at + len(inner)) + 4
        at = raw.index(inner, body)
        leaves.append(base64.b64decode(raw[body:at]))
    body = raw.index(b"\r\n\r\n", end) + 4
    return raw[start:end], leaves, base64.b64decode(raw[body : raw.index(outer, body)])


def _document(packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        metadata, document = opened.read("IHE_XDM/SUBSET01/METADATA.XML"), opened.read("IHE_XDM/SUBSET01/DOC0001.XML")
    root = etree.fromstring(metadata.strip())
    told = {slot.get("name"): slot.findtext(f"{_RIM}ValueList/{_RIM}Value") for slot in root.iter(f"{_RIM}Slot")}
    digest = hashlib.sha1(document, usedforsecurity=False).hexdigest()
    assert (told["hash"], told["size"]) == (digest, str(len(document))), "the archive was altered"
    return document


def _verify(signed: bytes, signature: bytes) -> None:
    """The signer's signature over these bytes, and the issuer's over the signer's certificate."""
    content = cms.ContentInfo.load(signature)["content"]
    one = content["signer_infos"][0]
    attributes = one["signed_attrs"]
    stated = next(a["values"][0].native for a in attributes if a["type"].native == "message_digest")
    assert stated == hashlib.sha256(signed).digest(), "the signed bytes were altered"
    certificate = load_der_x509_certificate(content["certificates"][0].chosen.dump())
    key, issuer = certificate.public_key(), signer().authority.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert isinstance(issuer, rsa.RSAPublicKey)
    to_be_signed = b"\x31" + attributes.dump()[1:]  # RFC 5652 §5.4: as a SET, not with its implicit tag
    key.verify(one["signature"].native, to_be_signed, padding.PKCS1v15(), hashes.SHA256())
    issuer.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), hashes.SHA256())
