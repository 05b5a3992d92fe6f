"""Headers: encoded words, addresses, dates, receipts asked for, what marks an automatic mail."""

from __future__ import annotations

import time

import pytest

from hub.cda import Codes
from hub.message import Limits, ParsedMessage
from hub.parse import parse
from hub.parse.addresses import read_addresses
from hub.parse.dates import read_date
from hub.parse.doubts import Doubts
from hub.parse.text import decode_words
from tests import mailmaker


def read(raw: bytes) -> ParsedMessage:
    return parse(raw, Limits(), Codes.empty())


def codes(message: ParsedMessage) -> set[str]:
    return {defect.code for defect in message.defects}


def test_the_usual_headers_are_found() -> None:
    message = read(
        mailmaker.mail(
            subject="XDM/1.0/DDM+Note MARTINEAU Lea",
            cc="Service <service@MAISON-Fictive.mssante.fr>, b@x.fr",
            reply_to="reponse@x.fr",
            in_reply_to="<avant@x.fr>",
            references="<un@x.fr>\r\n <deux@x.fr>",
            return_path="<retour@x.fr>",
            disposition_notification_to="Accuses <accuses@x.fr>",
        )
    )
    assert message.from_address == "camille.exemple@ch-fictif.mssante.fr"
    assert message.from_name == "Dr Camille EXEMPLE"
    assert message.to == ("esms@maison-fictive.mssante.fr",)
    assert message.cc == ("service@maison-fictive.mssante.fr", "b@x.fr")
    assert message.reply_to == ("reponse@x.fr",)
    assert message.message_id == "<essai-1@ch-fictif.mssante.fr>"
    assert message.in_reply_to == "<avant@x.fr>"
    assert message.references == ("<un@x.fr>", "<deux@x.fr>")
    assert message.return_path == "retour@x.fr"
    assert message.receipt_to == ("accuses@x.fr",)
    assert message.date == "2026-03-03T09:05:00+01:00"
    assert message.header("SUBJECT") == message.subject == "XDM/1.0/DDM+Note MARTINEAU Lea"
    assert message.content_type == "text/plain"
    assert message.defects == ()


def test_the_empty_return_path_of_a_bounce_is_not_an_absent_one() -> None:
    assert read(mailmaker.mail(return_path="<>")).return_path == ""
    assert read(mailmaker.mail()).return_path is None


def test_a_folded_message_id_has_no_blanks_around() -> None:
    assert read(mailmaker.mail(message_id="\r\n <long@x.fr> ")).message_id == "<long@x.fr>"
    assert read(mailmaker.mail(message_id="  ")).message_id is None


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("=?utf-8?Q?L'=C3=A9t=C3=A9?=", "L'été"),
        ("=?UTF-8?b?TCfDqXTDqQ==?=", "L'été"),
        ("=?UTF-8?B?TCfDqXTDqQ?=", "L'été"),  # padding forgotten
        ("=?iso-8859-15?Q?c=BDur_=A4?=", "cœur €"),
        ("=?iso-8859-1?Q?c=9Cur?=", "cœur"),  # cp1252 under a false name
        ("=?utf-8?Q?L'=C3?= =?utf-8?Q?=A9t=C3=A9?=", "L'été"),  # cut inside a character
        ("=?utf-8?Q?a?=   =?iso-8859-1?Q?=E9?=", "aé"),  # blanks between words vanish
        ("avant =?utf-8?Q?=C3=A9?= apres", "avant é apres"),
        ("=?utf-8*fr?Q?=C3=A9?=", "é"),
        ("=?utf-8?Q?un deux?=", "un deux"),
        ("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
        ("=?utf-8?Q?abc", "=?utf-8?Q?abc"),
    ],
)
def test_encoded_words_are_read_as_they_are_meant(written: str, wanted: str) -> None:
    assert decode_words(written, Doubts()) == wanted


def test_twenty_thousand_encoded_words_cost_less_than_half_a_second() -> None:
    start = time.process_time()
    text = decode_words(" ".join(["=?utf-8?Q?=C3=A9?="] * 20_000), Doubts())
    assert text == "é" * 20_000
    assert time.process_time() - start < 0.5


def test_an_unknown_charset_leaves_a_doubt_and_a_best_guess() -> None:
    message = read(mailmaker.mail(subject="=?utf-99?Q?=C3=A9t=C3=A9?="))
    assert message.subject == "été"
    assert codes(message) == {"unknown-charset"}


def test_eight_bit_headers_are_read_without_any_declaration() -> None:
    assert read(mailmaker.mail(subject="Évaluation")).subject == "Évaluation"
    message = read(mailmaker.mail(subject="Essai").replace(b"Subject: Essai", "Subject: Été".encode("cp1252")))
    assert message.subject == "Été"
    assert codes(message) == {"bad-charset"}


@pytest.mark.parametrize(
    ("written", "addresses", "doubts"),
    [
        ("a@good.fr <b@evil.fr>", ["b@evil.fr"], {"misleading-name"}),
        ('"a@good.fr" <b@evil.fr>', ["b@evil.fr"], {"misleading-name"}),
        ("=?utf-8?Q?a=40good.fr?= <b@evil.fr>", ["b@evil.fr"], {"misleading-name"}),
        ('"b@evil.fr" <b@EVIL.fr>', ["b@evil.fr"], set()),
        ('"MARTIN, Marie" <m@x.fr>, n@y.fr (Nina)', ["m@x.fr", "n@y.fr"], set()),
        ("<a@x.fr> <b@x.fr>", [], {"bad-address"}),
        ("a b@x.fr", [], {"bad-address"}),
        ("a@x.fr\0", [], {"bad-address"}),
        ("é@x.fr", [], {"bad-address"}),
        ("<@relais.fr:u@d.fr>", ["u@d.fr"], set()),
        ('"a b"@x.fr', ['"a b"@x.fr'], set()),
        ("Equipe: a@x.fr, b@x.fr;, c@x.fr", ["a@x.fr", "b@x.fr", "c@x.fr"], set()),
        ("undisclosed-recipients:;", [], set()),
        ('a@x.fr (dit "b) <c@evil.fr>"', [], {"bad-address"}),
        ("a@x..fr", [], {"bad-address"}),
        ("", [], set()),
    ],
)
def test_an_address_is_what_a_careful_reader_sees_or_nothing(
    written: str, addresses: list[str], doubts: set[str]
) -> None:
    found = Doubts()
    assert [a.address for a in read_addresses(written.encode(), found, "from")] == addresses
    assert {defect.code for defect in found.all()} == doubts


@pytest.mark.parametrize("pattern", ['"a" ', '"a"<', '<"', "(", "a@b,", '"\\', '<"\\', "<", ":;", '\\"'])
def test_no_address_header_takes_long(pattern: str) -> None:
    start = time.process_time()
    read_addresses((pattern * 32_768)[:32_768].encode(), Doubts(), "from")
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("second", ["From: b@x.fr\r\n", "FROM: b@x.fr\r\n"])
def test_several_authors_are_a_doubt(second: str) -> None:
    assert "several-from" in codes(read(second.encode() + mailmaker.mail()))
    assert "several-from" in codes(read(mailmaker.mail(from_="a@x.fr, b@x.fr")))


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("Tue, 3 Mar 2026 09:05:00 +0100", "2026-03-03T09:05:00+01:00"),
        ("3 Mar 26 9:05 GMT", "2026-03-03T09:05:00+00:00"),
        ("mar., 3 févr. 2026 09:05:07 +0100 (CET)", "2026-02-03T09:05:07+01:00"),
        ("Tue, 3 Mar 2026 09:05:00 -0000", "2026-03-03T09:05:00"),
        ("Tue, 3 Mar 2026 09:05:00", "2026-03-03T09:05:00"),
        ("Tue, 31 Feb 2026 09:05:00 +0100", None),
        ("Tue, 3 Mar 2026 09:05:00 +9900", None),
        ("hier", None),
        ("1" * 30_000, None),
    ],
)
def test_a_date_is_read_or_left_out(written: str, wanted: str | None) -> None:
    assert read_date(written) == wanted


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ('Auto-Submitted: auto-replied; owner-email="a@x.fr"', "auto-replied"),
        ("Auto-Submitted: auto-replied (zimbra; readreceipt=no)", "auto-replied"),
        ("Auto-Submitted: no", "no"),
        ("X-Autoreply: yes", "auto-replied"),
        ("Precedence: auto_reply", "auto-replied"),
        ("Precedence: bulk", None),
        ("X-Auto-Response-Suppress: DR, OOF, AutoReply", None),
        ("X-Autre: oui", None),
    ],
)
def test_marks_of_automatic_mail_are_folded_into_one(header: str, wanted: str | None) -> None:
    """That a sender wants no automatic answer (Exchange writes it on mails of people) does not make his mail one."""
    assert read(header.encode() + b"\r\n" + mailmaker.mail()).auto_submitted == wanted


def test_a_repeated_header_is_a_doubt_and_the_first_counts() -> None:
    message = read(b"Subject: Premier\r\n" + mailmaker.mail(subject="Second"))
    assert message.subject == "Premier"
    assert codes(message) == {"repeated-header"}


def test_a_line_that_is_no_header_is_a_doubt() -> None:
    message = read(b"ceci n'est pas un en-tete\r\n" + mailmaker.mail())
    assert codes(message) == {"bad-header"}
    assert message.subject == "Essai"


def test_a_bare_carriage_return_that_hides_a_header_is_grave() -> None:
    message = read(mailmaker.mail(subject="a\rContent-Type: multipart/mixed"))
    assert {d.code for d in message.defects if d.grave} == {"ambiguous-structure"}


def test_a_mail_stored_with_unix_line_ends_or_an_mbox_line_is_whole() -> None:
    raw = mailmaker.mixed(mailmaker.TEXT, mailmaker.attached("a.pdf", mailmaker.PDF))
    for same in (raw.replace(b"\r\n", b"\n"), b"From camille Tue Mar  3 09:05:00 2026\n" + raw, b"\r\n" + raw):
        message = read(same)
        assert message.defects == ()
        assert [leaf.name for leaf in message.attachments] == [None, "a.pdf"]


def test_a_header_holds_no_control_character() -> None:
    message = read(mailmaker.mail(subject="=?utf-8?Q?a=0D=0ABcc:_x=00?="))
    assert message.subject == "a  Bcc: x"
