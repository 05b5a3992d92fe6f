"""Documents: archives first, loose files after, copies linked, each digest once; what is not filed, and says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.cda import Codes
from hub.message import DocumentForm, Limits, ParsedMessage
from hub.parse import parse, parse_file
from tests import cdamaker
from tests.cdamaker import NOE, Sample, make_archive, make_cda, make_pdf, zip_of
from tests.mailmaker import PDF, TEXT, attached, mail, mixed, multipart, part

ARCHIVE = make_archive()
COPY = make_pdf()  # the body of the N1 in ARCHIVE
COPY_NAME = "20240314_Document du secteur social_MARTINEAU_Lea.pdf"


def read(raw: bytes, read_pdf: bool = True) -> ParsedMessage:
    return parse(raw, Limits(), Codes.empty(), read_pdf)


def codes(message: ParsedMessage) -> set[str]:
    return {defect.code for defect in message.defects}


def test_an_archive_gives_its_documents_with_their_bytes() -> None:
    message = read(mixed(TEXT, attached("IHE_XDM.ZIP", ARCHIVE, "application/zip")))
    (archive,) = message.archives
    (document,) = message.documents
    assert archive.attachment == 2
    assert document.form is DocumentForm.CDA
    assert document.archive == 0
    assert document.attachments == (2,)
    assert document.body == COPY
    assert document.raw == make_cda(Sample())
    assert archive.documents[0].unique_id == document.unique_id
    assert archive.documents[0].raw == archive.documents[0].body == b"", "bytes are carried once"
    assert message.defects == ()


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/x-zip-compressed", "text/plain"])
@pytest.mark.parametrize("name", [None, "ihe_xdm.zip", "dossier.zip"])
def test_an_archive_is_known_by_its_content_whatever_it_is_called(content_type: str, name: str | None) -> None:
    assert len(read(mixed(TEXT, attached(name, ARCHIVE, content_type))).archives) == 1


def test_a_damaged_archive_is_still_an_archive() -> None:
    (archive,) = read(mixed(attached("IHE_XDM.zip", ARCHIVE[:200]))).archives
    assert any(defect.grave for defect in archive.defects)


def test_the_copy_beside_an_archive_is_linked_by_its_bytes() -> None:
    message = read(mixed(attached("IHE_XDM.ZIP", ARCHIVE), attached("n'importe.pdf", COPY), attached("autre.pdf", PDF)))
    assert [(d.form, d.attachments) for d in message.documents] == [
        (DocumentForm.CDA, (1, 2)),
        (DocumentForm.PDF, (3,)),
    ]


def test_the_copy_of_an_n3_is_linked_by_its_name_or_because_it_is_alone() -> None:
    archive = make_archive(Sample(body=None, code="80788-3", pdf_copy=None))
    by_name = read(mixed(attached("IHE_XDM.ZIP", archive), attached(COPY_NAME, PDF), attached("b.pdf", PDF + b"\n")))
    assert [d.attachments for d in by_name.documents] == [(1, 2), (3,)]
    alone = read(mixed(attached("IHE_XDM.ZIP", archive), attached("copie.pdf", PDF)))
    assert [d.attachments for d in alone.documents] == [(1, 2)]


def test_a_pdf_that_names_somebody_else_is_no_copy() -> None:
    message = read(mixed(attached("IHE_XDM.ZIP", ARCHIVE), attached("20240314_Note_AUTRE_Paul.pdf", PDF)))
    assert [d.attachments for d in message.documents] == [(1,), (2,)]


def test_two_documents_and_one_unknown_pdf_are_three_documents() -> None:
    two = make_archive(Sample(), Sample(unique_id="2.25.1000.2", set_id="2.25.1001", file="DOC0002.XML", title="Autre"))
    message = read(mixed(attached("IHE_XDM.ZIP", two), attached("copie.pdf", PDF)))
    assert [d.attachments for d in message.documents] == [(1,), (1,), (2,)]


def test_the_same_archive_forwarded_is_one_document_with_both_leaves() -> None:
    inner = mixed(TEXT, attached("IHE_XDM.ZIP", ARCHIVE), boundary="=_b2")
    message = read(mixed(part("message/rfc822", inner), attached("IHE_XDM.ZIP", ARCHIVE)))
    assert len(message.archives) == 1
    assert [d.attachments for d in message.documents] == [(2, 3)]


def test_the_same_document_in_two_archives_and_loose_is_one_document() -> None:
    again = zip_of(cdamaker.archive_files(), 0)
    loose = attached("doc.xml", make_cda(Sample()), "text/xml")
    message = read(mixed(attached("IHE_XDM.ZIP", ARCHIVE), attached("IHE_XDM.ZIP", again), loose))
    assert len(message.archives) == 2
    assert [d.attachments for d in message.documents] == [(1, 3, 2)]


def test_the_same_bytes_with_another_action_stay_two() -> None:
    replacing = make_archive(Sample(action="C"))
    message = read(mixed(attached("IHE_XDM.ZIP", ARCHIVE), attached("IHE_XDM.ZIP", replacing)))
    assert [d.action for d in message.documents] == ["none", "replace"]


def test_documents_of_archives_come_first() -> None:
    scan = attached("scan.pdf", PDF)
    message = read(
        mixed(scan, attached("x.pdf", PDF + b" "), attached("IHE_XDM.ZIP", make_archive(Sample(person=NOE))))
    )
    assert [d.form for d in message.documents] == [DocumentForm.CDA, DocumentForm.PDF, DocumentForm.PDF]


@pytest.mark.parametrize("content_type", ["text/xml", "application/octet-stream", "text/plain"])
def test_a_loose_cda_is_a_document(content_type: str) -> None:
    (document,) = read(mixed(TEXT, attached(None, make_cda(Sample()), content_type))).documents
    assert document.form is DocumentForm.CDA
    assert document.patient is not None
    assert document.attachments == (2,)


def test_a_loose_pdf_is_described_by_its_bytes_and_its_text_is_read() -> None:
    pdf = make_pdf("Projet pour Noe")
    (document,) = read(mixed(TEXT, attached("Projet.pdf", pdf))).documents
    assert document.unique_id == f"sha256:{document.sha256}"
    assert (document.title, document.media_type, document.raw) == ("Projet", "application/pdf", pdf)
    assert document.text == "Projet pour Noe"
    assert read(mixed(TEXT, attached("Projet.pdf", pdf)), read_pdf=False).documents[0].text == ""


def test_the_text_of_the_pdf_inside_an_n1_is_read() -> None:
    (document,) = read(mixed(attached("IHE_XDM.ZIP", ARCHIVE))).documents
    assert document.text == "Note de suivi"


def test_the_words_of_a_declared_document_are_left_out_unless_its_type_is_asked_for() -> None:
    archive = make_archive(Sample(body=make_pdf("Bilan")))
    raw = mixed(attached("IHE_XDM.ZIP", archive), attached("Projet.pdf", make_pdf("Projet")))
    declared, loose = read(raw).documents
    assert declared.type_code is not None
    for asked, text in ((frozenset({declared.type_code.code}), declared.text), (frozenset({"autre"}), "")):
        found = parse(raw, Limits(), Codes.empty(), words_for=asked).documents
        assert found == (replace(declared, text=text), loose)


def test_the_doubts_of_a_declared_pdf_are_told_without_its_words() -> None:
    for body, code in ((b"%PDF-1.7\nrien", "pdf-unreadable"), (make_pdf() + b"/JS (app.alert(1))", "pdf-active")):
        archive = make_archive(Sample(body=body))
        raw = mixed(attached("IHE_XDM.ZIP", archive))
        (document,) = parse(raw, Limits(), Codes.empty(), words_for=frozenset()).documents
        assert code in [defect.code for defect in document.defects]


def test_pdfs_that_cannot_be_read_or_hold_scripts_say_so() -> None:
    (broken,) = read(mixed(attached("a.pdf", b"%PDF-1.7\nrien"))).documents
    assert [d.code for d in broken.defects] == ["pdf-unreadable"]
    (active,) = read(mixed(attached("a.pdf", make_pdf() + b"<< /S /JavaScript /JS (app.alert(1)) >>"))).documents
    assert "pdf-active" in [d.code for d in active.defects]
    (called,) = read(mixed(attached("a.pdf", b"pas un pdf", "application/pdf"))).documents
    assert (called.form, [d.code for d in called.defects]) == (DocumentForm.OTHER, ["pdf-unreadable"])


def test_a_pdf_inside_a_page_or_without_a_name_is_a_document_too() -> None:
    inline = part("application/pdf", PDF, [("Content-Disposition", "inline"), ("Content-ID", "<a@b>")])
    page = multipart("=_rel", part("text/html", b"<p>x</p>"), inline, subtype="related")
    (document,) = read(mixed(page)).documents
    assert document.form is DocumentForm.PDF


def test_pictures_and_office_files_are_documents_and_logos_are_not() -> None:
    logo = part("image/png; name=logo.png", b"\x89PNG" + bytes(3000), [("Content-ID", "<logo>")])
    page = multipart("=_rel", part("text/html", b"<img src=cid:logo>"), logo, subtype="related")
    message = read(
        mixed(
            page,
            attached("photo.jpg", b"\xff\xd8" + bytes(100_000), "image/jpeg"),
            attached("note.odt", b"PK\x03\x04odt"),
            attached("note.docx", b"PK\x03\x04docx"),
            attached("note.txt", "Été".encode("cp1252"), "text/plain; charset=cp1252"),
        )
    )
    assert [(d.name, d.form) for d in message.documents] == [
        ("photo.jpg", DocumentForm.OTHER),
        ("note.odt", DocumentForm.OTHER),
        ("note.docx", DocumentForm.OTHER),
        ("note.txt", DocumentForm.OTHER),
    ]
    assert message.documents[3].text == "Été"
    assert message.documents[1].media_type == "application/vnd.oasis.opendocument.text"
    assert message.defects == ()


def test_cards_calendars_and_signatures_are_not_filed() -> None:
    silent = [
        attached("carte.vcf", b"BEGIN:VCARD", "text/vcard"),
        attached("rdv.ics", b"BEGIN:VCALENDAR", "text/calendar"),
        attached("smime.p7s", b"0", "application/pkcs7-signature"),
    ]
    message = read(mixed(TEXT, *silent))
    assert message.documents == ()
    assert len(message.attachments) == 4
    assert message.defects == ()


def test_an_attachment_of_another_type_says_that_nobody_read_it() -> None:
    message = read(mixed(TEXT, attached("outil.exe", b"MZ"), attached("x.zip", zip_of({"a.txt": b"a"}))))
    assert message.documents == ()
    assert codes(message) == {"unread-attachment"}


def test_an_archive_inside_a_zip_is_a_doubt() -> None:
    message = read(mixed(TEXT, attached("envoi.zip", zip_of({"IHE_XDM.zip": ARCHIVE}))))
    assert message.archives == ()
    assert codes(message) == {"nested-archive"}


def test_what_a_receipt_gives_back_is_listed_and_is_no_document() -> None:
    fields = b"Final-Recipient: rfc822; a@x.fr\r\nDisposition: automatic-action/MDN-sent-automatically; processed\r\n"
    original = mixed(TEXT, attached("IHE_XDM.ZIP", ARCHIVE), boundary="=_b2")
    message = read(
        mixed(
            TEXT,
            part("message/disposition-notification", fields),
            part("message/rfc822", original),
            subtype="report",
            extra="; report-type=disposition-notification",
        )
    )
    assert message.report is not None
    assert message.report.disposition == "processed"
    assert message.documents == ()
    assert [leaf.path for leaf in message.attachments] == ["1", "2", "3.1", "3.2"]
    receipt = mixed(part("message/disposition-notification", fields), boundary="=_b2")
    carried = read(mixed(TEXT, part("message/rfc822", receipt)))
    assert carried.report is None, "a receipt that somebody forwards is not a receipt"


def test_a_dsn_is_read() -> None:
    fields = b"Reporting-MTA: dns; x.fr\r\n\r\nFinal-Recipient: rfc822; a@x.fr\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    report = read(mixed(TEXT, part("message/delivery-status", fields), subtype="report")).report
    assert report is not None
    assert (report.form, report.action, report.status) == ("dsn", "failed", "5.1.1")


def test_a_file_given_by_hand_is_told_by_its_content() -> None:
    for name in ("a.bin", "IHE_XDM.ZIP"):
        message = parse_file(ARCHIVE, Limits(), Codes.empty(), name)
        assert len(message.archives) == 1
        assert message.attachments[0].name == name
    assert parse_file(make_cda(Sample()), Limits(), Codes.empty(), "x").documents[0].form is DocumentForm.CDA
    assert parse_file(make_pdf(), Limits(), Codes.empty(), "x.pdf").documents[0].form is DocumentForm.PDF
    assert parse_file(mail(subject="Un mail"), Limits(), Codes.empty(), "x.eml").subject == "Un mail"


def test_a_lone_pdf_with_other_words_than_the_n1_is_a_document_of_its_own() -> None:
    """RH-34 links a copy; a bill beside a letter is no copy, and must not vanish under it."""
    message = read(mixed(attached("IHE_XDM.ZIP", ARCHIVE), attached("scan.pdf", make_pdf("Facture du mois"))))
    assert [document.attachments for document in message.documents] == [(1,), (2,)]


def test_a_lone_pdf_with_the_words_of_the_n1_is_its_copy_whatever_its_name() -> None:
    again = make_pdf().replace(b"%PDF-1.4", b"%PDF-1.5")
    message = read(mixed(attached("IHE_XDM.ZIP", ARCHIVE), attached("document.pdf", again)))
    assert [document.attachments for document in message.documents] == [(1, 2)]


def test_a_lone_pdf_beside_an_n3_is_its_copy_when_it_names_the_person_and_only_then() -> None:
    archive = attached("IHE_XDM.ZIP", make_archive(Sample(body=None)))
    named = read(mixed(archive, attached("a.pdf", make_pdf("Compte rendu. MARTINEAU Lea nee le 12/05/2012"))))
    assert [document.attachments for document in named.documents] == [(1, 2)]
    other = read(mixed(archive, attached("a.pdf", make_pdf("Facture du mois"))))
    assert [document.attachments for document in other.documents] == [(1,), (2,)]


def test_a_script_in_the_pdf_copy_of_an_n3_is_said() -> None:
    """It is what a human opens first (cda-xdm.md §7, item 20)."""
    active = make_pdf().replace(b"/Type /Catalog", b"/Type /Catalog /OpenAction << /S /JavaScript /JS (x) >>")
    archive = make_archive(Sample(body=None, pdf_copy=active))
    (document,) = read(mixed(attached("IHE_XDM.ZIP", archive))).documents
    assert "pdf-active" in {defect.code for defect in document.defects}


def test_a_cut_archive_without_its_name_is_still_an_archive() -> None:
    message = read(mixed(TEXT, attached("courrier.bin", ARCHIVE[: len(ARCHIVE) // 2])))
    (archive,) = message.archives
    assert [defect.code for defect in archive.defects] == ["bad-zip"]
