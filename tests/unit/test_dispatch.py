"""The mail of a sending: structure, headers, X-MSS, size, and what may not go (mssante.md §17 RH-60 to RH-76)."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import re
from dataclasses import replace
from datetime import datetime
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub import ins
from hub.cda.writing import NORMAL, VISIBILITY, PdfBody, Piece, TextBody
from hub.compose.attached import Attached, base64_lines, file_part, text_part
from hub.compose.dispatch import Dispatched, MailParts, Undispatchable, dispatch, must_fit
from hub.compose.naming import Discretion
from hub.compose.packing import Packed, pack
from hub.errors import Misconfigured
from hub.message import Coded, Limits, ParsedMessage
from hub.parse import parse
from hub.sandbox.pdf import one_page_pdf
from hub.smime.signing import why_not_canonical
from tests.amounts import examples
from tests.pieces import AT, CODES, LEA, LETTERHEAD, LOT, MINIMAL_PDF, archival_pdf, faces, form, office_pdf, piece

ASE_ADDRESS = "ase@vallombre.mssante.example"
LEA_ADDRESS = f"{LEA.identity.ins}@patient.mssante.fr"
MESSAGE_ID = "<20261125.1@erables.mssante.example>"


def packed(*pieces: Piece, discretion: Discretion = Discretion.SUBJECT, embeds: bool = False) -> Packed:
    return pack(pieces or (piece(),), LOT, CODES, faces(), discretion, embeds)


def sending(made: Packed | None = None, **changes: Any) -> MailParts:
    fields: dict[str, Any] = {
        "letterhead": LETTERHEAD,
        "recipients": (ASE_ADDRESS,),
        "message_id": MESSAGE_ID,
        "at": AT,
        "text": "Bonjour,\n\nVoici la fiche de mercredi. À bientôt.",
        "record_number": "1234",
    }
    if made is not None:
        fields |= {"archive": made.archive, "files": made.files}
    return MailParts(**(fields | changes))


def sent(made: Packed | None = None, **changes: Any) -> Dispatched:
    return dispatch(sending(made, **changes), CODES)


def opened(mail: Dispatched) -> EmailMessage:
    message = email.message_from_bytes(mail.joined(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def read(mail: Dispatched) -> ParsedMessage:
    return parse(mail.joined(), Limits(), CODES)


def refused(**changes: Any) -> Undispatchable:
    made = changes.pop("made", None) or packed()
    with pytest.raises(Undispatchable) as caught:
        sent(made, **changes)
    return caught.value


# --- structure --------------------------------------------------------------------------------------------------------


def test_a_document_mail_is_text_archive_and_copies() -> None:
    """RH-60, ECO.2.1.1, ECO.2.2.4."""
    parts = list(opened(sent(packed(piece(), piece(unique_id="2.25.5", body=TextBody("Été"))))).iter_parts())
    assert [part.get_content_type() for part in parts] == [
        "text/plain", "application/zip", "application/pdf", "application/pdf",
    ]  # fmt: skip
    assert parts[1].get_filename() == "IHE_XDM.zip"
    assert [part.get_content_disposition() for part in parts] == [None, "attachment", "attachment", "attachment"]
    assert parts[0].get_content_charset() == "utf-8"


@pytest.mark.parametrize("sort", ["pdf/a", "pdf", "text", "form"])
def test_the_reader_finds_one_document_with_its_copy_and_doubts_nothing(sort: str) -> None:
    """RH-34: the copy is linked, never filed a second time."""
    bodies: dict[str, Any] = {
        "pdf/a": PdfBody(archival_pdf()),
        "pdf": PdfBody(office_pdf()),
        "text": TextBody("Été"),
        "form": form(),
    }
    for discretion in Discretion:
        message = read(sent(packed(piece(body=bodies[sort]), discretion=discretion)))
        (document,) = message.documents
        assert document.attachments == (2, 3)
        assert (message.defects, document.defects, message.archives[0].defects) == ((), (), ())


def test_the_copy_of_an_n1_is_the_very_pdf_inside() -> None:
    """RH-60, ECO.2.1.5."""
    raw = archival_pdf()
    message = read(sent(packed(piece(body=PdfBody(raw)))))
    assert message.documents[0].body == raw
    assert message.attachments[2].sha256 == hashlib.sha256(raw).hexdigest()


def test_a_pdf_that_is_no_pdfa_stays_inside_and_its_copy_is_converted() -> None:
    made = packed(piece(body=PdfBody(office_pdf())))
    assert b"pdfaid:part" in made.files[0].raw
    assert read(sent(made)).documents[0].body == office_pdf()
    assert made.remarks == ()


def test_a_site_may_put_the_converted_pdf_inside_too() -> None:
    made = packed(piece(body=PdfBody(office_pdf())), embeds=True)
    assert read(sent(made)).documents[0].body == made.files[0].raw != office_pdf()


def test_a_pdf_that_cannot_be_converted_goes_as_it_is_and_it_is_said() -> None:
    raw = one_page_pdf("Essai", ["sans police"])
    made = packed(piece(body=PdfBody(raw)))
    assert made.files[0].raw == raw
    (remark,) = made.remarks
    assert remark.code == "pdfa-not-possible"
    assert "telle quelle" in remark.text


def test_a_form_has_its_copy_inside_and_beside() -> None:
    made = packed(piece(body=form()))
    assert read(sent(made)).documents[0].body == made.files[0].raw


def test_a_mail_without_document_is_plain_text_with_its_files() -> None:
    mail = opened(sent(subject="Question", files=(Attached("été.pdf", "application/pdf", MINIMAL_PDF),)))
    assert mail["Subject"] == "Question"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "application/pdf"]
    alone = opened(sent(subject="XDM/1.0/DDM+Question", text=""))
    assert (alone.get_content_type(), alone["Subject"]) == ("text/plain", "Question")
    assert alone["X-MSS-CODECDA"] is None
    assert alone["X-MSS-INS"] is None
    assert alone["X-MSS-NIL"] == "HUB001"


# --- headers ----------------------------------------------------------------------------------------------------------


def test_headers_are_those_of_the_referentiel() -> None:
    mail = opened(
        sent(
            packed(),
            recipients=(ASE_ADDRESS, "dr@ville.mssante.example"),
            reply_to="secretariat@erables.mssante.example",
            receipt_to="dossiers@erables.mssante.example",
            answers="<a@x.example>",
            references=("<b@x.example>",),
        )
    )
    assert mail["From"] == "MECS Les Érables <dossiers@erables.mssante.example>"  # ECO.2.2.7, RH-63
    assert mail["To"] == f"{ASE_ADDRESS}, dr@ville.mssante.example"
    assert mail["Reply-To"] == "secretariat@erables.mssante.example"  # ECO.2.2.5
    assert mail["Message-ID"] == MESSAGE_ID  # ECO.2.2.1, RH-62
    assert mail["In-Reply-To"] == "<a@x.example>"  # ECO.2.2.2
    assert mail["References"].split() == ["<b@x.example>", "<a@x.example>"]
    assert mail["Disposition-Notification-To"] == "<dossiers@erables.mssante.example>"  # ECO.2.3.2
    assert mail["Date"].datetime == AT
    assert mail["X-MSS-NIL"] == "HUB001"  # ECO.2.4.3, RH-64
    assert mail["X-MSS-CODECDA"] == "28653-4"  # ECO.2.4.1, RH-65
    assert mail["X-MSS-INS"] == "O"  # ECO.2.4.2
    assert mail["X-MSS-MES"] is None
    assert mail["MIME-Version"] == "1.0"


def test_codes_of_several_documents_are_listed_in_order() -> None:
    several = (piece(), piece(unique_id="2.25.5", type_code=Coded("AUTORIS-SOINS", "1.2.250.1.213.1.1.4.12")))
    assert opened(sent(packed(*several)))["X-MSS-CODECDA"] == "28653-4,AUTORIS-SOINS"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, "O"), ({"ins_status": "validee"}, "N"), ({"doubtful": True}, "N")],
)
def test_x_mss_ins_says_what_the_archive_holds(changes: dict[str, Any], expected: str) -> None:
    assert opened(sent(packed(piece(usager=replace(LEA, **changes)))))["X-MSS-INS"] == expected


def test_x_mss_ins_of_a_test_identity_is_n() -> None:
    usager = replace(LEA, identity=replace(LEA.identity, oid=ins.TEST))
    assert opened(sent(packed(piece(usager=usager))))["X-MSS-INS"] == "N"


def test_no_name_of_the_usager_stands_in_the_headers_and_words_of_a_social_mail() -> None:
    mail = sent(packed(discretion=Discretion.SUBJECT_AND_NAMES), discretion=Discretion.SUBJECT_AND_NAMES)
    message = read(mail)
    shown = " ".join([message.subject, message.body, *(each.name or "" for each in message.attachments)]).upper()
    assert "ESSAI-ELU" not in shown
    assert "LEA" not in shown.replace("PLEASE", "")
    assert "1234" in message.subject


def test_a_replacement_and_a_deletion_are_said_in_words() -> None:
    """RH-74."""
    again = packed(piece(version=2, replaces="2.25.3", action="replace"))
    assert "annule et remplace" in read(sent(again)).body
    assert "supprimer" in read(sent(packed(piece(action="delete")))).body


# --- bytes ------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=400), st.text(max_size=60), st.text(max_size=40))
@settings(max_examples=examples(80))
def test_whatever_is_written_the_bytes_are_safe_under_a_signature(text: str, name: str, shown: str) -> None:
    """ASCII, CRLF, short lines, no line that a relay changes: what is signed is what arrives."""
    mail = sent(
        letterhead=replace(LETTERHEAD, display_name=shown),
        subject=name,
        text=text,
        files=(Attached(name, "application/pdf", text.encode("utf-8", "replace")),),
    )
    raw = mail.joined()
    assert raw.isascii()
    assert re.sub(rb"\r\n", b"", raw).count(b"\r") == re.sub(rb"\r\n", b"", raw).count(b"\n") == 0
    lines = raw.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert why_not_canonical(mail.entity) == ""
    body = mail.entity.split(b"\r\n")
    assert not any(line.startswith(b"From ") or line.endswith((b" ", b"\t")) for line in body)
    assert b"." not in {line for line in body}
    message = opened(mail)
    attached = list(message.iter_attachments())
    assert [part.get_payload(decode=True) for part in attached] == [text.encode("utf-8", "replace")]


def test_the_words_arrive_as_they_were_written() -> None:
    text = "From hier\n.\nÉté – 12 €\n\nligne  longue " + "x" * 200
    assert read(sent(text=text, subject="a")).body.strip() == text


@pytest.mark.parametrize("name", ["été.pdf", "a\r\nBcc: x@y.pdf", 'guil"lemet.pdf', "", "œ" * 90 + ".pdf", "a'b%c.pdf"])
def test_a_file_name_arrives_whole_and_starts_no_header(name: str) -> None:
    part = email.message_from_bytes(file_part(Attached(name, "application/pdf", b"x")), policy=email.policy.default)
    assert isinstance(part, EmailMessage)
    assert part["Bcc"] is None
    expected = " ".join(name.replace("\r", " ").replace("\n", " ").split()) or "document"
    assert " ".join((part.get_filename() or "").split()) == expected


@pytest.mark.parametrize("media_type", ["message/rfc822", "multipart/mixed", "text/html; x=1\r\nBcc: a", "", "PDF"])
def test_a_media_type_that_cannot_be_base64_or_is_none_becomes_octets(media_type: str) -> None:
    assert file_part(Attached("a", media_type, b"x")).startswith(b"Content-Type: application/octet-stream;")


@given(st.binary(max_size=5000))
@settings(max_examples=examples(60))
def test_base64_has_lines_of_76(raw: bytes) -> None:
    written = base64_lines(raw)
    assert base64.b64decode(written) == raw
    assert all(len(line) == 76 for line in written.split(b"\r\n")[:-1])
    assert len(written.split(b"\r\n")[-1]) <= 76


@pytest.mark.parametrize("size", [0, 1, 57, 57 * 4096 - 1, 57 * 4096, 57 * 4096 + 1, 600_000])
def test_base64_of_a_large_file_is_one(size: int) -> None:
    written = base64_lines(bytes(size))
    assert base64.b64decode(written) == bytes(size)
    assert {len(line) for line in written.split(b"\r\n")[:-1]} <= {76}


def test_a_text_part_without_words_is_one() -> None:
    assert text_part("").endswith(b"\r\n\r\n\r\n")


def test_the_same_sending_gives_the_same_bytes_and_the_parts_come_apart() -> None:
    one, other = sent(packed()), sent(packed())
    assert one == other
    assert one.outer.endswith(b"MIME-Version: 1.0\r\n")
    assert one.entity.startswith(b"Content-Type: multipart/mixed;")
    assert b"X-MSS" not in one.entity  # RH-75
    assert (
        one.joined(b"Content-Type: multipart/signed\r\n\r\n") == one.outer + b"Content-Type: multipart/signed\r\n\r\n"
    )


# --- what may not go --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a@b",
        "é@b.example",
        "a@b.example\r\nBcc: x@y.example",
        "a b@c.example",
        "<a@b.example>",
        "a@b..example",
    ],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    assert refused(recipients=(ASE_ADDRESS, address)).code == "bad-address"
    assert refused(reply_to=address or "x").code == "bad-address"


def test_nobody_is_no_recipient() -> None:
    assert refused(recipients=()).code == "no-recipient"


def test_a_mail_to_the_usager_goes_to_the_usager_alone() -> None:
    """RH-67, RH-68."""
    mail = opened(sent(packed(), recipients=(LEA_ADDRESS,), is_last_word=True))
    assert mail["X-MSS-MES"] == "FIN"
    assert refused(recipients=(LEA_ADDRESS, ASE_ADDRESS)).code == "usager-among-others"
    other = LEA_ADDRESS.replace("2120538001001", "2120538001002")
    assert refused(recipients=(other,)).code == "not-the-usager"
    unqualified = packed(piece(usager=replace(LEA, ins_status="validee")))
    assert refused(made=unqualified, recipients=(LEA_ADDRESS,)).code == "not-the-usager"
    assert refused(is_last_word=True).code == "last-word"


@pytest.mark.parametrize("code", ["INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX"])
def test_what_is_invisible_to_the_usager_or_the_parents_never_goes_to_them(code: str) -> None:
    """RH-69: child-protection documents must not reach the parents' Mon espace santé."""
    hidden = packed(piece(confidentiality=(NORMAL, Coded(code, VISIBILITY))))
    assert refused(made=hidden, recipients=(LEA_ADDRESS,)).code == "invisible"
    assert sent(hidden).outer


def test_what_is_masked_to_professionals_never_goes_to_them() -> None:
    hidden = packed(piece(confidentiality=(NORMAL, Coded("MASQUE_PS", VISIBILITY))))
    assert refused(made=hidden).code == "masked"


def test_a_mail_that_is_too_large_is_refused_with_what_to_do() -> None:
    """RH-72, MSS/va1.13: the encoded size, with room for the signature."""
    made = packed()
    size = len(sent(made).joined())
    assert refused(made=made, size_most=size).code == "too-large"
    assert sent(made, size_most=size + 16 * 1024).outer
    with pytest.raises(Undispatchable) as caught:
        must_fit(25_300_000, 25_000_000)
    assert "25,3 Mo" in caught.value.public
    assert "25,0 Mo" in caught.value.public
    assert "rien n'a été envoyé" in caught.value.public


def test_a_hub_without_its_product_reference_writes_nothing() -> None:
    """RH-64."""
    for reference in ("", "a b", "x\r\nBcc: y"):
        with pytest.raises(Misconfigured):
            sent(packed(), letterhead=replace(LETTERHEAD, product_reference=reference))


def test_a_message_id_that_is_none_or_a_time_without_zone_is_our_fault() -> None:
    for changes in ({"message_id": "abc"}, {"message_id": "<a b@c>"}, {"at": datetime(2026, 1, 1)}):
        with pytest.raises(Misconfigured):
            sent(packed(), **changes)


def test_no_refusal_speaks_of_a_person() -> None:
    for error in (refused(recipients=("é@b.example",)), refused(recipients=(LEA_ADDRESS, ASE_ADDRESS))):
        told = f"{error.private} {error.public}"
        assert (LEA.identity.ins or "") not in told
        assert "ESSAI" not in told.upper()
