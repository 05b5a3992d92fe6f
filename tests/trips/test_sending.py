"""From a secretary's mail program to the ASE, with real parts: a hundred PDFs by real mail programs through the
submission door, a Postfix that wants a client certificate, the recipients' Dovecot mailboxes; then what recipients
answer, in every form; then what waits for a human. What each mail must be is worked out without the hub (`arrived`).
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from lxml import etree
from pikepdf import pdfa

from hub import routing
from hub.message import Door, Envelope, Limits, Rung
from hub.parse import Witness, parse
from hub.pdf import claim
from hub.smime import Trust
from tests.conftest import missing
from tests.pieces import CODES
from tests.recipient import FORMS
from tests.signers import Authority
from tests.trips.answering import Answered, answer_all, heard_of, send, sendings_of
from tests.trips.arrived import HEADERS, OF_THE_WAY, OURS_DOMAIN, Arrived, expected_headers, expected_names
from tests.trips.house import wait_for
from tests.trips.mailbag import PDFS
from tests.trips.office import DIRECTION, SECRETARIAT, Office
from tests.trips.posted import Sent
from tests.unit.routing_samples import rulebook

pytestmark = pytest.mark.timeout(300)  # servers are started, and the machine may be busy


def test_a_hundred_pdfs_arrive_once_with_each_recipient(sent: tuple[Sent, ...]) -> None:
    assert sum(len(one.written.pdfs) for one in sent) == PDFS
    for one in sent:
        assert sorted(each.recipient for each in one.arrived) == sorted(one.written.recipients), one.written.subject
        assert len({each.message_id for each in one.arrived}) == 1
        assert len({bytes_of_entity(each) for each in one.arrived}) == 1  # what each got is the same, byte for byte
    assert len({one.one.message_id for one in sent}) == len(sent)
    assert {one.written.program for one in sent} == {"smtplib", "swaks", "curl", "s-nail", "mutt"}


def bytes_of_entity(one: Arrived) -> bytes:
    """All below the headers."""
    return one.raw.partition(b"\r\n\r\n")[2]


def test_each_cda_passes_the_official_rules(sent: tuple[Sent, ...], testkit: Path, tmp_path: Path) -> None:
    """CI-SIS, Structuration minimale: XSD and header rules, 0 errors."""
    judge = testkit.parent / "bin" / "validate-cda"
    if not judge.is_file():
        missing(f"{judge} is not there: the official rules cannot be run")
    cdas = [cda for one in sent for cda in one.one.cdas]
    for number, cda in enumerate(cdas):
        (tmp_path / f"{number}.xml").write_bytes(cda)
    command = [sys.executable, str(judge), "--json", "--kit", str(testkit)]
    done = subprocess.run([*command, *map(str, sorted(tmp_path.glob("*.xml")))], capture_output=True, text=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(cdas) == PDFS, done.stderr
    assert [one for one in told if one["status"] != "valid" or one["errors"] or one["warnings"]] == []
    assert min(one["fired"]["header"] for one in told) > 90  # no document that no rule looked at


def test_each_metadata_is_valid_under_the_ebxml_schema(sent: tuple[Sent, ...], testkit: Path) -> None:
    schema = etree.XMLSchema(etree.parse(str(testkit / "ebxml-xsd/lcm.xsd")))
    for one in sent:
        schema.assertValid(etree.fromstring(one.one.metadata))


def test_the_hub_reads_each_back_without_a_doubt_and_finds_the_usager(sent: tuple[Sent, ...], office: Office) -> None:
    """As the hub of the recipient would: one document for each PDF, its copy linked, the same person for certain."""
    for one in sent:
        for each in one.arrived:
            message = parse(each.raw, Limits(), CODES)
            (archive,) = message.archives
            doubts = (message.defects, archive.defects, *(document.defects for document in message.documents))
            assert not any(doubts), doubts
            assert tuple(document.body for document in message.documents) == one.written.pdfs
            assert all(len(document.attachments) == 2 for document in message.documents)  # the archive and the copy
            assert {document.title for document in message.documents} == {LABELS[one.written.kind.id]}
            envelope = Envelope(id="0" * 32, door=Door.IMAP, received_at=datetime.now(UTC), size=len(each.raw),
                                test=one.written.sender == SECRETARIAT)  # fmt: skip
            seen = routing.Seen(envelope=envelope, parsed=message, usagers=office.usagers)
            match = routing.think(seen, rulebook()).match
            if one.written.usager.ins_status == "qualifiee":
                assert match.outcome == "certain", match
                assert [candidate.usager_id for candidate in match.candidates] == [one.written.usager.id]
            else:  # INS/va1.53: an INS that is not qualified is never written, so that nobody is certain
                assert (match.code, match.outcome) == (903, "proposed")
                assert str(one.written.usager.identity.ins).encode() not in each.archive.read(
                    "IHE_XDM/SUBSET01/METADATA.XML"
                ) + b"".join(each.cdas)


LABELS = {  # `label` of document_types.yaml: the title of the document, which people read
    "fiche_navette": "Fiche navette",
    "note_information": "Note d'information ou de situation",
    "rapport_situation": "Rapport de situation",
    "projet_personnalise": "Projet personnalisé d'accompagnement",
    "pieces_admission": "Pièces du dossier d'admission",
    "certificat_medical": "Certificat médical",
}


def test_every_copy_is_a_pdf_a_with_the_name_of_the_rule(sent: tuple[Sent, ...]) -> None:
    """ECO.2.1.1, ECO.2.1.5, ECO.2.1.6."""
    converted = 0
    for one in sent:
        sent_at = parsedate_to_datetime(str(one.one.mail["Date"]))
        assert list(one.one.copies) == expected_names(one.written, sent_at)
        for given, copy in zip(one.written.pdfs, one.one.copies.values(), strict=True):
            assert claim(copy) == "1B"
            if not claim(given):
                converted += 1
                assert pdfa.validate_written(io.BytesIO(copy), "1b").passed
            else:
                assert copy == given
    assert converted > 10


def test_headers_and_subject_are_those_of_the_requirement(sent: tuple[Sent, ...]) -> None:
    """ECO.2.1.3, ECO.2.2.1 to 2.2.8, ECO.2.3.2, ECO.2.4.1 to 2.4.3, G14."""
    for one in sent:
        for each in one.arrived:
            for name, value in expected_headers(one.written).items():
                assert each.shown(name) == value, (name, one.written.subject)
            assert re.fullmatch(rf"<[0-9a-f]{{32}}@{re.escape(OURS_DOMAIN)}>", each.message_id)
            assert each.lines((*HEADERS, *OF_THE_WAY)) == []  # nothing of the secretary's program goes on
            assert [name for name, times in Counter(each.mail.keys()).items() if times > 1] in ([], ["Received"])
            assert each.mail.get_content_type() == "multipart/signed"
            assert each.codes == (one.written.kind.code,) * len(one.written.pdfs)
            at = parsedate_to_datetime(str(each.mail["Date"]))
            assert abs((datetime.now(UTC) - at).total_seconds()) < 3600
            assert each.raw.isascii()


# --- signatures -------------------------------------------------------------------------------------------------------


def test_openssl_verifies_each_signature_with_chain_and_revocation_lists(
    sent: tuple[Sent, ...], office: Office, tmp_path: Path
) -> None:
    """RSA and EC; what comes out is what was signed, byte for byte."""
    kinds = Counter[str]()
    for one in sent:
        authority, holder = office.signing[one.written.sender]
        kinds[holder.kind] += 1
        trusted = authority.root_pem + authority.lists(at=datetime.now(UTC))
        for each in one.arrived:
            assert verified(each.raw, trusted, tmp_path) == each.signed_bytes, one.written.subject
    assert min(kinds["rsa"], kinds["ec"]) > 20


@pytest.mark.parametrize("sender", [SECRETARIAT, DIRECTION])
def test_openssl_refuses_what_was_changed_or_revoked_or_comes_from_others(
    sent: tuple[Sent, ...], office: Office, tmp_path: Path, sender: str
) -> None:
    """The oracle says no when it must: else the test above would show nothing."""
    raw = next(one.one.raw for one in sent if one.written.sender == sender)
    authority, holder = office.signing[sender]
    now = datetime.now(UTC)
    trusted = authority.root_pem + authority.lists(at=now)
    assert verified(raw, trusted, tmp_path) is not None
    assert verified(raw.replace(b"Bonjour", b"Bonsoir", 1), trusted, tmp_path) is None
    assert verified(raw, authority.root_pem + authority.lists(holder, at=now), tmp_path) is None
    assert verified(raw, authority.root_pem, tmp_path) is None  # no list, no word
    stranger = Authority(authority.kind)
    assert verified(raw, stranger.root_pem + stranger.lists(at=now), tmp_path) is None


def verified(raw: bytes, trusted: bytes, folder: Path) -> bytes | None:
    """The content that OpenSSL vouches for today, None when it refuses. `trusted`: root and revocation lists, PEM."""
    (folder / "in.eml").write_bytes(raw)
    (folder / "ca.pem").write_bytes(trusted)
    command = ["openssl", "cms", "-verify", "-in", "in.eml", "-CAfile", "ca.pem", "-purpose", "smimesign"]
    done = subprocess.run(
        [*command, "-x509_strict", "-crl_check_all", "-out", "out"], capture_output=True, cwd=folder, timeout=60
    )
    return (folder / "out").read_bytes() if done.returncode == 0 else None


def test_the_hub_of_the_recipient_finds_every_signature_valid(sent: tuple[Sent, ...], office: Office) -> None:
    """All four parts good: integrity, chain, the author's address, time."""
    for one in sent:
        authority, holder = office.signing[one.written.sender]
        witness = Witness(Trust(authority.anchors, frozenset({"1.3.6.1.5.5.7.3.4"})), datetime.now(UTC))
        verdict = parse(one.one.raw, Limits(), CODES, witness=witness).verdict
        assert verdict is not None
        assert verdict.outcome == "valid", verdict.reasons
        assert verdict.evidence.addresses == (one.written.sender,)
        assert verdict.evidence.algorithm == {"rsa": "rsa-sha256", "ec": "ecdsa-sha256"}[holder.kind]


def test_a_reader_that_knows_no_signature_sees_every_attachment(sent: tuple[Sent, ...]) -> None:
    """Detached: the parts stand in clear, in the order of the requirement; X-MSS headers outside (RH-75)."""
    for one in sent:
        types = [part.get_content_type() for part in one.one.entity.iter_parts()]
        assert types == ["text/plain", "application/zip", *["application/pdf"] * len(one.written.pdfs)]
        assert not [name for name in one.one.entity if name.lower().startswith("x-mss")]
        (text, *_) = one.one.entity.iter_parts()
        assert "oici le document" in text.get_content() or "ci-joint le document" in text.get_content()


# --- what recipients answer -------------------------------------------------------------------------------------------


def test_the_notices_of_the_operator_are_noted_with_each_recipient(sent: tuple[Sent, ...], office: Office) -> None:
    """ECO.2.3.1: the real notices of Postfix (relayed: its Dovecot knows no DSN), asked of one operator only."""
    recipients = sum(len(one.arrived) for one in sent if one.written.sender == SECRETARIAT)

    def noted() -> list[tuple[str, str]]:
        heard = heard_of(office, sendings_of(office, "secretariat"))
        return [(key, news.recipient) for key, told in heard.items() for news in told if news.source == "dsn"]

    wait_for(lambda: len(noted()) >= recipients, 60, lambda: f"{len(noted())} of {recipients}")
    assert len(noted()) == len(set(noted())) == recipients
    assert set(office.ladder().values()) == {Rung.SUBMITTED}
    assert not [news for told in heard_of(office, sendings_of(office, "direction")).values() for news in told
                if news.source == "dsn"]  # fmt: skip
    assert office.unmatched() == []


@pytest.fixture(scope="module")
def answered(sent: tuple[Sent, ...], office: Office) -> tuple[Answered, ...]:
    return answer_all(office, sent)


def test_every_answer_is_correlated_and_the_ladder_says_so(answered: tuple[Answered, ...], office: Office) -> None:
    """RH-50 to RH-55: each form, one key left in it; every key in many forms."""
    assert {one.name for one in answered} == set(FORMS)
    assert {one.key for one in answered} == {key for form in FORMS.values() for key in form.keys}
    assert office.unmatched() == []
    ladder = {one["message_id"]: one["recipients"][0] for one in office.sent()}
    heard = heard_of(office, [one.sending for one in answered])
    for one in answered:
        stands = ladder[one.sending.message_id]
        assert (stands["rung"], stands["status"]) == (one.form.rung, one.form.status), (one.name, one.key)
        reports = [news for news in heard[one.sending.id] if news.report]
        assert len(reports) == 1, (one.name, one.key)
        assert (stands["answered_at"] is not None) == (one.name in ("vacation", "out of office"))
        assert bool(stands["todo"]) == (one.form.rung is Rung.FAILED)  # nobody is told of an error without a remedy


def test_the_author_is_told_once_of_each_event_and_of_nothing_else(
    answered: tuple[Answered, ...], office: Office
) -> None:
    """Complaints 14: a failure always, a reading when she asked for it; the same report again is no event."""
    wanted = {one.sending.id[:8] for one in answered if is_told(one)}
    office.letters(DIRECTION, at_least=len(wanted))
    send(office, answered, "deux")
    told = Counter(re.findall(r"n° ([0-9a-f]{8})", mail.get_content())[0] for mail in office.letters(DIRECTION))
    assert told == Counter(wanted)
    assert office.site.counts()["HELD"] == 0
    for mail in office.letters(DIRECTION):
        assert not any(name in str(mail["Subject"]) for name in ("ESSAIVAL", "FICTIVET", "INVENTE", "MAEL", "NORA"))


def is_told(one: Answered) -> bool:
    settled = one.form.rung in (Rung.READ, Rung.INTEGRATED)
    return one.form.rung is Rung.FAILED or (settled and one.sending.wants_receipt)
