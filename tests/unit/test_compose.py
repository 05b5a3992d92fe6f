"""The writer: golden bytes, exact strings read back by Python's own parser, and attempts to say more than allowed."""

from __future__ import annotations

import asyncio
import email
import email.policy
import email.utils
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.message import EmailMessage
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import compose
from hub.compose import Letterhead
from hub.message import Header, ParsedMessage, Receipt
from hub.raw import Whole, joined
from hub.receipts import INTEGRATION_CODES, official_label, read_mdn

AT = datetime(2026, 11, 25, 10, 30, tzinfo=timezone(timedelta(hours=1)))
OURS = "bal-app@asso.mssante.example"
THEIRS = "service@hopital.mssante.example"
HEAD = Letterhead(
    address=OURS,
    display_name="Association Exemple - Accueil",
    product_reference="HUB0001",
    reporting_ua="asso.mssante.example; hub",
)
SUBJECT = "XDM/1.0/DDM+Lettre de liaison MARTIN-FICTIF Zoe 12/10/2012"
RAW = (
    b"From: service@hopital.mssante.example\r\n"
    b"To: bal-app@asso.mssante.example\r\n"
    b"Message-ID: <2@hopital.mssante.example>\r\n"
    b"Subject: XDM/1.0/DDM+Lettre de liaison MARTIN-FICTIF Zoe 12/10/2012\r\n"
    b"X-MSS-NIL: ETRANGER\r\nX-MSS-INS: O\r\nX-MSS-CODECDA: 34112-3\r\n"
    b"\r\n.\r\nBonjour.\r\n"
)
ORIGINAL = ParsedMessage(
    headers=(Header("X-MSS-NIL", "ETRANGER"), Header("X-MSS-INS", "O")),
    message_id="<2@hopital.mssante.example>",
    subject=SUBJECT,
    from_address=THEIRS,
    to=(OURS,),
    references=("<1@hopital.mssante.example>",),
    receipt_to=(THEIRS,),
)
OUR_ID = "<3@asso.mssante.example>"


def written(mail: compose.Mail) -> bytes:
    """The whole mail; what it says of itself is true."""
    raw = asyncio.run(joined(mail))
    assert (mail.size, mail.is_ascii) == (len(raw), raw.isascii())
    return raw


def surveyed(raw: bytes, message_id: str) -> compose.Carried:
    return asyncio.run(compose.survey(Whole(raw), message_id))


def receipt(
    original: ParsedMessage, raw: bytes, step: Receipt, head: Letterhead, message_id: str, at: datetime
) -> bytes:
    carried = surveyed(raw, message_id)
    return written(compose.receipt(original, Whole(raw), carried, step, head, message_id, at))


def copy(
    raw: bytes, head: Letterhead, to: str, message_id: str, at: datetime, subject: str = compose.COPY_SUBJECT
) -> bytes:
    return written(compose.copy(Whole(raw), surveyed(raw, message_id), head, to, message_id, at, subject))


def notice(head: Letterhead, to: str, message_id: str, at: datetime, *words: str) -> bytes:
    return written(compose.notice(head, to, message_id, at, *words))


GOLDEN = (
    b"""\
Date: Wed, 25 Nov 2026 10:30:00 +0100
From: Association Exemple - Accueil <bal-app@asso.mssante.example>
To: <service@hopital.mssante.example>
Subject: [KO =?utf-8?q?Int=C3=A9gration_syst=C3=A8me?= !][902]
 XDM/1.0/DDM+Lettre de liaison MARTIN-FICTIF Zoe 12/10/2012
Message-ID: <3@asso.mssante.example>
In-Reply-To: <2@hopital.mssante.example>
References: <1@hopital.mssante.example>
 <2@hopital.mssante.example>
Auto-Submitted: auto-replied
X-MSS-NIL: HUB0001
MIME-Version: 1.0
Content-Type: multipart/report; report-type=disposition-notification;
 boundary="=_hub_a5284afcf2a238c42e1a33e77601d657"
Content-Transfer-Encoding: 7bit

--=_hub_a5284afcf2a238c42e1a33e77601d657
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: quoted-printable

Bonjour,

Le document n'a pas pu =C3=AAtre int=C3=A9gr=C3=A9 dans le logiciel de la b=
o=C3=AEte bal-app@asso.mssante.example.

Erreur 902 : Identifiant de patient inconnu

Le syst=C3=A8me a retourn=C3=A9 l'erreur 902^Identifiant de patient inconnu=
^applicationErrorCondition| E^Error^errorSeverity

Ce qu'il faut faire : v=C3=A9rifiez l'identit=C3=A9 de l'usager et le docum=
ent, corrigez, puis renvoyez-le. En cas de doute,
r=C3=A9pondez =C3=A0 la bo=C3=AEte ci-dessus. Le message d'origine, avec se=
s pi=C3=A8ces jointes, est joint =C3=A0 cet accus=C3=A9.
--=_hub_a5284afcf2a238c42e1a33e77601d657
Content-Type: message/disposition-notification

Reporting-UA: asso.mssante.example; hub
Original-Recipient: rfc822;bal-app@asso.mssante.example
Final-Recipient: rfc822;bal-app@asso.mssante.example
Original-Message-ID: <2@hopital.mssante.example>
Disposition: automatic-action/MDN-sent-automatically; processed/error
Error: 902^Identifiant de patient inconnu^applicationErrorCondition| E^Error^errorSeverity

--=_hub_a5284afcf2a238c42e1a33e77601d657
Content-Type: message/rfc822
Content-Transfer-Encoding: 7bit

""".replace(b"\n", b"\r\n")
    + RAW
    + b"\r\n--=_hub_a5284afcf2a238c42e1a33e77601d657--\r\n"
)


def answer(step: Receipt | None = None, original: ParsedMessage = ORIGINAL, raw: bytes = RAW) -> bytes:
    return receipt(original, raw, step or Receipt(recipient=THEIRS), HEAD, OUR_ID, AT)


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def parts(raw: bytes) -> list[EmailMessage]:
    return [part for part in parsed(raw).iter_parts() if isinstance(part, EmailMessage)]


def fields_of(raw: bytes) -> bytes:
    """The second part as it stands on the wire."""
    return raw.split(b"Content-Type: message/disposition-notification\r\n\r\n")[1].split(b"\r\n\r\n")[0] + b"\r\n"


# --- receipts ---------------------------------------------------------------------------------------------------


def test_the_error_receipt_is_these_bytes() -> None:
    assert answer(Receipt(recipient=THEIRS, code=902)) == GOLDEN


def test_a_success_keeps_the_subject_and_says_processed() -> None:
    mail = parsed(answer())
    assert mail["Subject"] == SUBJECT
    assert b"Disposition: automatic-action/MDN-sent-automatically; processed\r\n" in fields_of(answer())
    assert b"Error:" not in fields_of(answer())
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "disposition-notification"


def test_a_receipt_has_three_parts_in_their_order() -> None:
    kinds = [part.get_content_type() for part in parts(answer())]
    assert kinds == ["text/plain", "message/disposition-notification", "message/rfc822"]


@pytest.mark.parametrize("code", sorted(INTEGRATION_CODES))
def test_each_error_stands_in_subject_text_and_fields(code: int) -> None:
    raw = answer(Receipt(recipient=THEIRS, code=code))
    assert parsed(raw)["Subject"] == f"[KO Intégration système !][{code}] {SUBJECT}"
    text = parts(raw)[0].get_content()
    assert f"{code}^{official_label(code)}^applicationErrorCondition| E^Error^errorSeverity" in text
    assert f"Erreur {code} : {official_label(code)}" in text
    assert read_mdn(fields_of(raw)).error == str(code)


def test_a_label_of_the_step_is_said_instead_of_the_official_one() -> None:
    raw = answer(Receipt(recipient=THEIRS, code=906, label="Pièce jointe illisible"))
    assert "906^Pièce jointe illisible^" in parts(raw)[0].get_content()
    assert b"Error: 906^Piece jointe illisible^applicationErrorCondition| E^Error^errorSeverity\r\n" in raw


@pytest.mark.parametrize(("code", "disposition"), [(0, b"processed"), (902, b"processed/error")])
def test_a_receipt_that_a_human_released_says_sent_manually(code: int, disposition: bytes) -> None:
    raw = answer(Receipt(recipient=THEIRS, code=code, by="c.durand"))
    assert b"Disposition: manual-action/MDN-sent-manually; " + disposition + b"\r\n" in fields_of(raw)
    assert "automatiquement" not in parts(raw)[0].get_content()
    assert b"durand" not in raw


def test_the_headers_correlate_and_stop_loops() -> None:
    mail = parsed(answer())
    assert mail["Message-ID"] == OUR_ID
    assert mail["In-Reply-To"] == ORIGINAL.message_id
    assert str(mail["References"]).split() == ["<1@hopital.mssante.example>", "<2@hopital.mssante.example>"]
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["Date"].datetime == AT
    assert "Disposition-Notification-To" not in mail
    assert mail["To"].addresses[0].addr_spec == THEIRS
    assert mail["From"].addresses[0].addr_spec == OURS
    assert mail["From"].addresses[0].display_name == "Association Exemple - Accueil"


def test_no_mss_header_of_the_original_is_copied() -> None:
    head = answer().partition(b"\r\n\r\n")[0]
    assert [line for line in head.split(b"\r\n") if line.upper().startswith(b"X-MSS")] == [b"X-MSS-NIL: HUB0001"]


@pytest.mark.parametrize(
    "raw",
    [
        RAW,
        RAW + b"sans fin de ligne",
        RAW + b"d\xe9j\xe0 \xc3\xa9\x00",
        RAW + b"x" * 5000 + b"\r\n",
        b"",
        b"\r\n\r\n\r\n",
        b"--=_hub_a5284afcf2a238c42e1a33e77601d657--\r\n\r\nfin",
    ],
)
def test_the_original_is_carried_byte_for_byte(raw: bytes) -> None:
    carried = answer(raw=raw)
    boundary = parsed(carried).get_boundary()
    assert boundary is not None
    assert boundary.encode() not in raw
    last = carried.split(b"\r\n--" + boundary.encode())[-2]
    assert last.partition(b"\r\n\r\n")[2] == raw
    assert carried.count(b"\r\n") == carried.count(b"\n") == carried.count(b"\r")


def test_bare_line_ends_of_the_original_become_crlf() -> None:
    assert answer(raw=RAW.replace(b"\r\n", b"\n")) == answer()
    assert answer(raw=RAW.replace(b"\r\n", b"\r")) == answer()


@pytest.mark.parametrize(
    ("raw", "encoding"), [(RAW, "7bit"), (RAW + b"\xc3\xa9\r\n", "8bit"), (RAW + b"x" * 999 + b"\r\n", "8bit")]
)
def test_what_is_not_seven_bits_is_declared(raw: bytes, encoding: str) -> None:
    mail = answer(raw=raw)
    assert parsed(mail)["Content-Transfer-Encoding"] == encoding
    assert parts(mail)[2]["Content-Transfer-Encoding"] == encoding
    assert parts(mail)[0]["Content-Transfer-Encoding"] == "quoted-printable"


@pytest.mark.parametrize("prefix", ["", "TR: ", "Re: Fwd: ", "[KO Intégration système !][904] "])
def test_the_subject_starts_at_the_marker(prefix: str) -> None:
    seen = ParsedMessage(subject=prefix + SUBJECT)
    assert parsed(answer(original=seen))["Subject"] == SUBJECT
    assert parsed(answer(Receipt(recipient=THEIRS, code=903), seen))["Subject"] == (
        "[KO Intégration système !][903] " + SUBJECT
    )


def test_a_subject_without_marker_is_not_made_a_document() -> None:
    assert parsed(answer(original=ParsedMessage(subject="Bonjour")))["Subject"] == "Accusé de traitement : Bonjour"


def test_an_original_without_message_id_is_answered_without_one() -> None:
    raw = answer(original=ParsedMessage(subject=SUBJECT))
    assert "In-Reply-To" not in parsed(raw)
    assert "References" not in parsed(raw)
    assert b"Original-Message-ID" not in fields_of(raw)


def test_the_original_recipient_is_the_one_that_the_sender_wrote() -> None:
    forwarded = ParsedMessage(headers=(Header("Original-Recipient", "rfc822; Secretariat@asso.mssante.example"),))
    assert read_mdn(fields_of(answer(original=forwarded))).original_recipient == "Secretariat@asso.mssante.example"
    spelled = ParsedMessage(to=("Autre@x.example",), cc=("BAL-APP@asso.mssante.example",))
    assert read_mdn(fields_of(answer(original=spelled))).original_recipient == "BAL-APP@asso.mssante.example"
    assert read_mdn(fields_of(answer(original=ParsedMessage()))).original_recipient == OURS


# --- copies and notices -----------------------------------------------------------------------------------------


def test_a_copy_carries_the_message_as_it_came() -> None:
    raw = copy(RAW, HEAD, "educ@asso.mssante.example", OUR_ID, AT)
    text, attached = parts(raw)
    assert attached.get_filename() == "message_original.eml"
    assert attached.get_content_type() == "message/rfc822"
    assert RAW in raw
    assert "transmis en copie" in text.get_content()
    mail = parsed(raw)
    assert (mail["Subject"], mail["Auto-Submitted"], mail["X-MSS-NIL"]) == (
        "Copie d'un message reçu",
        "auto-generated",
        "HUB0001",
    )


def test_neither_copy_nor_notice_names_the_usager_outside_the_attachment() -> None:
    outside = copy(RAW, HEAD, THEIRS, OUR_ID, AT).replace(RAW, b"") + notice(HEAD, THEIRS, OUR_ID, AT, "regle-crip")
    assert b"FICTIF" not in outside


def test_a_notice_says_why_and_what_to_do() -> None:
    mail = parsed(notice(HEAD, THEIRS, OUR_ID, AT, "Document urgent reçu"))
    assert mail.get_content_type() == "text/plain"
    assert "Motif : Document urgent reçu\r\n" in mail.get_content()
    assert "Ce qu'il faut faire" in mail.get_content()
    assert "Motif" not in parsed(notice(HEAD, THEIRS, OUR_ID, AT)).get_content()


def test_utc_is_written_with_its_offset() -> None:
    at = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
    assert b"Date: Wed, 25 Nov 2026 09:30:00 +0000\r\n" in notice(HEAD, THEIRS, OUR_ID, at)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_an_original_is_carried_alike_however_it_is_cut(original: bytes, cuts: list[int]) -> None:
    class Cut(Whole):
        async def pieces(self) -> AsyncIterator[bytes]:
            for start, end in pairwise([0, *sorted(min(cut, len(original)) for cut in cuts), len(original)]):
                yield original[start:end]

    cut = Cut(original)
    carried = asyncio.run(compose.survey(cut, OUR_ID))
    assert carried == surveyed(original, OUR_ID)
    mail = written(compose.copy(cut, carried, HEAD, THEIRS, OUR_ID, AT))
    assert mail == copy(original, HEAD, THEIRS, OUR_ID, AT)
    as_crlf = re.sub(rb"\r\n|\r|\n", b"\r\n", original)
    assert as_crlf + b"\r\n--" + carried.boundary in mail
    assert carried.size == len(as_crlf)
    longest = max(map(len, as_crlf.split(b"\r\n")))
    assert (carried.encoding == b"7bit") == (original.isascii() and longest <= 998)


def test_an_original_that_holds_our_boundary_does_not_end_our_parts() -> None:
    first = surveyed(b"", OUR_ID).boundary
    raw = copy(b"Subject: x\r\n\r\n--" + first + b"--\r\n", HEAD, THEIRS, OUR_ID, AT)
    assert surveyed(b"--" + first, OUR_ID).boundary != first
    assert len(parts(raw)) == 2


# --- headers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Hôpital C – Biologie",
        "Accueil, Urgences (nuit)",
        'Le "Phare"',
        "a\\b",
        "=?utf-8?q?faux?=",
        "Maison de l'enfance et de la famille du département de l'Exemple — service d'accueil d'urgence",
        "日本語 長い名前" * 10,
        "",
    ],
)
def test_a_display_name_is_read_back(name: str) -> None:
    head = Letterhead(address=OURS, display_name=name, product_reference="HUB0001", reporting_ua="")
    raw = notice(head, THEIRS, OUR_ID, AT)
    # By the older parser: the newer one puts blanks between encoded words of a name (CPython, seen in 3.11).
    shown, address = email.utils.parseaddr(str(email.message_from_bytes(raw)["From"]))
    assert (str(make_header(decode_header(shown))), address) == (name, OURS)


@given(st.text(max_size=300))
def test_any_subject_stays_one_subject(subject: str) -> None:
    raw = receipt(ParsedMessage(subject=subject), RAW, Receipt(recipient=THEIRS), HEAD, OUR_ID, AT)
    head = raw.partition(b"\r\n\r\n")[0]
    assert head.isascii()
    lines = head.split(b"\r\n")
    names = [line.partition(b":")[0] for line in lines if line[:1] != b" "]
    assert names == [
        b"Date",
        b"From",
        b"To",
        b"Subject",
        b"Message-ID",
        b"Auto-Submitted",
        b"X-MSS-NIL",
        b"MIME-Version",
        b"Content-Type",
        b"Content-Transfer-Encoding",
    ]
    assert all(len(line) <= 78 and line.strip() for line in lines)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=200))
def test_a_printable_subject_is_read_back(subject: str) -> None:
    plain = " ".join(subject.split())
    raw = receipt(ParsedMessage(subject=SUBJECT + plain), RAW, Receipt(recipient=THEIRS), HEAD, OUR_ID, AT)
    assert parsed(raw)["Subject"] == SUBJECT + plain


INJECTED = "x\r\nBcc: e@v.example\r\n\r\nX\x85\u2028\u2029\x0b\x0c\0"


def test_nothing_given_can_add_a_header_or_a_part() -> None:
    original = ParsedMessage(
        subject=SUBJECT + INJECTED,
        message_id="<1@x>" + INJECTED,
        references=(INJECTED, "<ok@x.example>", "<a\r\nb@x>"),
        to=(INJECTED,),
        headers=(Header("Original-Recipient", "rfc822;a@x.example" + INJECTED),),
    )
    head = Letterhead(
        address=OURS + INJECTED, display_name=INJECTED, product_reference="H" + INJECTED, reporting_ua=INJECTED
    )
    step = Receipt(recipient=THEIRS + INJECTED, code=902, label=INJECTED)
    for raw in (
        receipt(original, RAW, step, head, "<1@x.example>" + INJECTED, AT),
        copy(RAW, head, THEIRS + INJECTED, INJECTED, AT, INJECTED),
        notice(head, THEIRS + INJECTED, INJECTED, AT, INJECTED, INJECTED),
    ):
        assert b"\r\nbcc:" not in raw.lower()
        assert "Bcc" not in email.message_from_bytes(raw)
        assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r")
        assert len(list(email.message_from_bytes(raw).walk())) == len(
            list(email.message_from_bytes(raw.replace(b"Bcc", b"")).walk())
        )
