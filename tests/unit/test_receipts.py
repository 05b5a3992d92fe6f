"""MDN and DSN: what we write, and what we understand of everybody else's. Samples are our own, people fictional."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.message import Report, Reported
from hub.receipts import INTEGRATION_CODES, official_label, read_dsn, read_mdn, status_in, write_mdn

BAL = "bal-app@asso.mssante.example"
ID = "<2@hopital.mssante.example>"


# --- written ----------------------------------------------------------------------------------------------------


def test_a_success_is_written_in_the_words_of_the_volet() -> None:
    written = write_mdn(
        reporting_ua="asso.mssante.example; hub", original_recipient=BAL, final_recipient=BAL, original_message_id=ID
    )
    assert written == (
        b"Reporting-UA: asso.mssante.example; hub\r\n"
        b"Original-Recipient: rfc822;bal-app@asso.mssante.example\r\n"
        b"Final-Recipient: rfc822;bal-app@asso.mssante.example\r\n"
        b"Original-Message-ID: <2@hopital.mssante.example>\r\n"
        b"Disposition: automatic-action/MDN-sent-automatically; processed\r\n"
    )


def test_an_error_is_written_in_the_new_form() -> None:
    lines = write_mdn(final_recipient=BAL, code=902).split(b"\r\n")
    assert lines[1:3] == [
        b"Disposition: automatic-action/MDN-sent-automatically; processed/error",
        b"Error: 902^Identifiant de patient inconnu^applicationErrorCondition| E^Error^errorSeverity",
    ]


def test_a_receipt_that_a_human_released_says_so() -> None:
    assert b"Disposition: manual-action/MDN-sent-manually; processed\r\n" in write_mdn(
        final_recipient=BAL, by_hand=True
    )


@pytest.mark.parametrize("code", sorted(INTEGRATION_CODES))
def test_every_code_is_written_in_ascii_on_one_line_and_read_back(code: int) -> None:
    written = write_mdn(final_recipient=BAL, original_message_id=ID, code=code)
    assert written.isascii()
    assert written.count(b"\r\n") == 4
    assert read_mdn(written) == Report(
        form="mdn", original_message_id=ID, final_recipient=BAL, disposition="processed", error=str(code)
    )
    assert official_label(code)


def test_nothing_given_can_add_a_field() -> None:
    written = write_mdn(
        final_recipient="a@b.example\r\nDisposition: x",
        original_recipient="a\u2028b@c.example",
        original_message_id="<1@x>\nError: 900^",
        reporting_ua="x\0\r\ny",
        code=901,
        label="a\r\nb\x85c",
    )
    names = [line.partition(b":")[0] for line in written.splitlines()]
    assert names == [
        b"Reporting-UA",
        b"Original-Recipient",
        b"Final-Recipient",
        b"Original-Message-ID",
        b"Disposition",
        b"Error",
    ]


# --- MDN read ---------------------------------------------------------------------------------------------------

NEW = b"""\
Reporting-UA: pfi.chb.mssante.example; PFI\r
Original-Recipient: rfc822;auto@chb.mssante.example\r
Final-Recipient: rfc822; auto@chb.mssante.example\r
Original-Message-ID: <20240219230100.23456@chb.mssante.example>\r
Disposition: automatic-action/MDN-sent-automatically; processed/error\r
Error: 904^L'INS transmis^applicationErrorCondition| E^Error^errorSeverity\r
"""
OLD = b"""\
Original-Recipient: rfc822;auto@chb.mssante.example
Final-Recipient: rfc822; auto@chb.mssante.example
Original-Message-ID: <199509192301.23456 >
Disposition:automatic-action/MDN-sent-automatically; processed/Error: 902^Identifiant de patient inconnu^x| E^Error^y
"""


def test_the_new_form_is_read() -> None:
    assert read_mdn(NEW) == Report(
        form="mdn",
        original_message_id="<20240219230100.23456@chb.mssante.example>",
        final_recipient="auto@chb.mssante.example",
        original_recipient="auto@chb.mssante.example",
        disposition="processed",
        error="904",
    )


def test_the_old_form_is_read() -> None:
    report = read_mdn(OLD)
    assert (report.disposition, report.error) == ("processed", "902")
    assert report.original_message_id == "<199509192301.23456>"


@pytest.mark.parametrize(
    ("fields", "disposition", "error"),
    [
        (b"Disposition: manual-action/MDN-sent-manually; displayed", "displayed", None),
        (b"DISPOSITION:AUTOMATIC-ACTION/MDN-SENT-AUTOMATICALLY;PROCESSED", "processed", None),
        (b"disposition : automatic-action/MDN-sent-automatically;\r\n\tdeleted", "deleted", None),
        (
            b"Disposition: automatic-action/\r\n MDN-sent-automatically; processed/\r\n Error: 903^INS",
            "processed",
            "903",
        ),
        (b"Disposition: a/b; dispatched/warning", "dispatched", "warning"),
        (b"Disposition: a/b; processed/error\r\nError: boite pleine de M. Martin", "processed", "error"),
        (b"Disposition: a/b; processed/error", "processed", "error"),
        (b"Disposition: a/b; processed\r\nFailure: 906^x", "processed", "906"),
        (b"Disposition: a/b; failed/failure", "failed", "failure"),
        (b"Disposition: processed", "processed", None),
        (b"Disposition: a/b; processed/Error 905", "processed", "905"),
        (b"Disposition: a/b; processed/error\nError: 207^Application error^x| E|902^Identifiant", "processed", "902"),
        (b"Disposition: a/b; processed/error\nError: =?utf-8?q?901^Auteur_non_autoris=C3=A9?=", "processed", "901"),
        (b"Disposition: a/b; processed/error\nError: 1902^x", "processed", "error"),
        (b"Disposition: ;", None, None),
        (b"Final-Recipient: rfc822;x@y.example", None, None),
        (b"", None, None),
    ],
)
def test_odd_dispositions_are_read(fields: bytes, disposition: str | None, error: str | None) -> None:
    report = read_mdn(fields)
    assert (report.disposition, report.error) == (disposition, error)


def test_the_text_of_an_error_is_not_kept() -> None:
    report = read_mdn(b"Disposition: a/b; processed/error\nError: 902^Usager Zoe MARTIN-FICTIF inconnu")
    assert "MARTIN" not in repr(report)


@pytest.mark.parametrize("charset", ["utf-8", "cp1252", "utf-16", "utf-8-sig"])
def test_no_charset_hides_the_code(charset: str) -> None:
    text = f"Disposition: a/b; processed/error\r\nError: 903^INS non présent\r\nFinal-Recipient: rfc822;{BAL}"
    report = read_mdn(text.encode(charset))
    if charset != "utf-16":  # two octets a character: no field can be seen, and nothing is guessed
        assert (report.error, report.disposition, report.final_recipient) == ("903", "processed", BAL)


def test_a_receipt_without_original_message_id_is_a_receipt() -> None:
    report = read_mdn(b"Final-Recipient: rfc822;" + BAL.encode() + b"\nDisposition: a/b; processed")
    assert report.original_message_id is None
    assert report.disposition == "processed"


def test_blank_lines_between_the_fields_lose_nothing() -> None:
    assert read_mdn(NEW.replace(b"\r\n", b"\r\n\r\n")) == read_mdn(NEW)


# --- DSN read ---------------------------------------------------------------------------------------------------

BOUNCE = b"""\
Reporting-MTA: dns; mail.operateur.mssante.example\r
Original-Envelope-Id: ENV-0042\r
X-Postfix-Queue-ID: 4B1\r
\r
Final-Recipient: rfc822; inconnu@hopital.mssante.example\r
Original-Recipient: rfc822;Inconnu@hopital.mssante.example\r
Action: failed\r
Status: 5.1.1\r
Remote-MTA: dns; mx.hopital.mssante.example\r
Diagnostic-Code: smtp; 550 5.1.1 <inconnu@hopital.mssante.example>: Recipient\r
    address rejected\r
"""


def test_a_bounce_is_read() -> None:
    assert read_dsn(BOUNCE) == Report(
        form="dsn",
        original_envelope_id="ENV-0042",
        final_recipient="inconnu@hopital.mssante.example",
        original_recipient="Inconnu@hopital.mssante.example",
        action="failed",
        status="5.1.1",
        error="550",
        recipients=(
            Reported(
                final_recipient="inconnu@hopital.mssante.example",
                original_recipient="Inconnu@hopital.mssante.example",
                action="failed",
                status="5.1.1",
                error="550",
            ),
        ),
    )


def recipient(name: str, action: str, status: str) -> bytes:
    return f"Final-Recipient: rfc822;{name}@x.example\nAction: {action}\nStatus: {status}\n".encode()


@pytest.mark.parametrize("between", [b"\n", b""])
def test_the_worst_of_several_recipients_is_told(between: bytes) -> None:
    report = read_dsn(
        b"Reporting-MTA: dns; x\n\n"
        + recipient("a", "delivered", "2.0.0")
        + between
        + recipient("b", "failed", "5.2.2")
        + between
        + recipient("c", "delayed", "4.4.1")
    )
    assert (report.final_recipient, report.action, report.status, report.error) == (
        "b@x.example",
        "failed",
        "5.2.2",
        "5",
    )
    assert [(one.final_recipient, one.action, one.status) for one in report.recipients] == [
        ("a@x.example", "delivered", "2.0.0"),
        ("b@x.example", "failed", "5.2.2"),
        ("c@x.example", "delayed", "4.4.1"),
    ]


@pytest.mark.parametrize(
    ("fields", "action", "status", "error"),
    [
        (b"ACTION:Failed (bounce)\nSTATUS: 5.0.0 (permanent)", "failed", "5.0.0", "5"),
        (b"Action: delayed\nStatus: 4.4.1\nDiagnostic-Code: X-Postfix; connect timed out", "delayed", "4.4.1", "4"),
        (b"Action: failed\nDiagnostic-Code: smtp;552-5.3.4 too big", "failed", "5.3.4", "552"),
        (b"Status: 5.7.1", None, "5.7.1", "5"),
        (b"Action: relayed", "relayed", None, None),
        (b"Reporting-MTA: dns;x", None, None, None),
        (b"", None, None, None),
    ],
)
def test_odd_bounces_are_read(fields: bytes, action: str | None, status: str | None, error: str | None) -> None:
    report = read_dsn(fields)
    assert (report.action, report.status, report.error) == (action, status, error)


def test_a_bounce_may_name_the_original_message() -> None:
    assert read_dsn(BOUNCE + b"\r\nX-Original-Message-ID: 2@x.example\r\n").original_message_id == "<2@x.example>"


# --- whatever comes ---------------------------------------------------------------------------------------------

names = st.sampled_from([b"Disposition", b"Error", b"Final-Recipient", b"Action", b"Status", b"Diagnostic-Code"])
words = st.builds(
    lambda charset, encoding, text: b"=?%s?%s?%s?=" % (charset, encoding, text),
    st.one_of(st.sampled_from([b"utf-8", b"utf-16-be", "u»f-16-be".encode(), b"x", b"utf-7"]), st.binary(max_size=12)),
    st.sampled_from([b"q", b"B", b"x"]),
    st.binary(max_size=20),
)
values = st.one_of(st.binary(max_size=60), words, st.lists(words, max_size=3).map(b" ".join))
lines = st.one_of(st.binary(max_size=60), st.builds(lambda name, value: name + b":" + value, names, values))


@given(st.lists(lines, max_size=20).map(b"\n".join))
def test_reading_never_raises(raw: bytes) -> None:
    assert read_mdn(raw).form == "mdn"
    assert read_dsn(raw).form == "dsn"


@pytest.mark.parametrize("charset", ["u»f-16-be", "u\x80\u2122òî6", "", "x", "utf-8*fr"])
def test_a_word_in_no_charset_is_shown_as_it_came(charset: str) -> None:
    """Found by the fuzzing: the library raises what is no ValueError for a charset that is not ASCII."""
    raw = f"Disposition: a/b; processed/error\nError: =?{charset}?q?901^Auteur?=\n".encode()
    assert read_mdn(raw).disposition == "processed"
    assert read_dsn(raw).form == "dsn"


def test_a_body_of_megabytes_is_read_in_no_time() -> None:
    for raw in (b" x\n" * 10**6, b"Error: " + b"=?utf-8?q?a?= " * 10**5, b"Error: " + b"902" * 10**6, b":\n" * 10**6):
        read_mdn(b"Disposition: a/b; processed/" + raw)
        read_dsn(b"Action: failed\n" + raw)


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_good_news_of_a_dsn_tells_no_error(action: str) -> None:
    """A rule on `report: error` must not fire on a mail that arrived."""
    raw = f"Final-Recipient: rfc822; a@b.fr\r\nAction: {action}\r\nStatus: 2.0.0\r\nDiagnostic-Code: smtp; 250 ok\r\n"
    said = read_dsn(raw.encode())
    assert (said.action, said.status, said.error) == (action, "2.0.0", None)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("The message identifier is <f5c550a0577b@esms.example>", ""),
        ("id <20261126.550.1@esms.example>, <550@esms.example>, queue 452A981F", ""),
        ("Remote host said: 550-5.1.1 no such user", "5.1.1"),
        ("smtp;452 4.2.2 mailbox full", "4.2.2"),
        ("said: 552 too big (id f5c550a0577b)", "552"),
    ],
)
def test_digits_inside_an_identifier_are_no_status(text: str, status: str) -> None:
    assert status_in(text) == status
