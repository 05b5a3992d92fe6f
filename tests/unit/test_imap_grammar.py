"""What we write on the wire and what we read from it."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.imap.grammar import (
    _items,
    _plain_items,
    folder_name,
    message_id_in,
    quoted,
    read_date,
    read_fetch,
    read_search,
    response_code,
    uid_set,
    written_date,
)
from hub.imap.wire import SurpriseOnWire


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("INBOX", '"INBOX"'),
        ("Mon dossier", '"Mon dossier"'),
        ("Boîte d'accueil & Cie", '"Bo&AO4-te d\'accueil &- Cie"'),
        ("Traités", '"Trait&AOk-s"'),
        ("&AOk-", '"&-AOk-"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("台北", '"&U,BTFw-"'),  # RFC 3501 §5.1.3
        ("😀", '"&2D3eAA-"'),
        ("*%", '"*%"'),
    ],
)
def test_folder_names_are_quoted_and_in_modified_utf_7(name: str, written: str) -> None:
    assert folder_name(name) == written


@pytest.mark.parametrize("name", ["a\r\nA2 DELETE x", "a\0b", "tab\there", "\x7f"])
def test_a_control_character_in_a_folder_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        folder_name(name)


@given(st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")), min_size=1))
def test_every_folder_name_comes_back_from_its_written_form(name: str) -> None:
    import base64
    import re

    def back(found: re.Match[str]) -> str:
        if not found.group(1):
            return "&"
        code = found.group(1).replace(",", "/")
        return base64.b64decode(code + "=" * (-len(code) % 4)).decode("utf-16-be")

    written = folder_name(name)
    assert written.isascii()
    bare = re.sub(r"\\(.)", r"\1", written[1:-1])
    assert re.sub(r"&([^-]*)-", back, bare) == name


def test_a_quoted_string_holds_no_line_end_and_no_eight_bit() -> None:
    assert quoted('mot "de" \\passe') == '"mot \\"de\\" \\\\passe"'
    for text in ("a\rb", "a\nb", "a\0b", "é"):
        with pytest.raises(ValueError):
            quoted(text)


@given(st.sets(st.integers(min_value=1, max_value=300), min_size=1))
def test_a_uid_set_names_exactly_its_uids(uids: set[int]) -> None:
    named: set[int] = set()
    for part in uid_set(uids).split(","):
        low, _, high = part.partition(":")
        named |= set(range(int(low), int(high or low) + 1))
    assert named == uids


def test_a_fetch_answer_is_read_whatever_the_order() -> None:
    fetched = read_fetch(
        (
            b"* 12 FETCH (FLAGS (\\Seen $HubAccepted) BODY[HEADER.FIELDS (MESSAGE-ID)]<10> ",
            b'raw ) ( " bytes',
            b' UID 7 INTERNALDATE " 7-Feb-2026 22:10:01 +0100" RFC822.SIZE 4096 MODSEQ (12))',
        )
    )
    assert fetched is not None
    assert (fetched.uid, fetched.size, fetched.origin) == (7, 4096, 10)
    assert fetched.flags == frozenset({"\\Seen", "$HubAccepted"})
    assert fetched.body == b'raw ) ( " bytes'
    assert fetched.received_at == datetime(2026, 2, 7, 21, 10, 1, tzinfo=UTC)


def test_a_quoted_body_keeps_its_stars_and_blanks() -> None:
    fetched = read_fetch((b'* 1 FETCH (UID 1 BODY[] "Re: a* b * c \\"d\\" \\\\")',))
    assert fetched is not None
    assert fetched.body == b'Re: a* b * c "d" \\'


def test_nil_is_nothing_but_a_quoted_nil_is_a_word() -> None:
    nothing, word = read_fetch((b"* 1 FETCH (UID 1 BODY[] NIL)",)), read_fetch((b'* 1 FETCH (UID 1 BODY[] "NIL")',))
    assert nothing is not None
    assert nothing.body is None
    assert word is not None
    assert word.body == b"NIL"


@pytest.mark.parametrize("text", [b"* 1 FETCH (UID 1", b"* 1 FETCH UID", b'* 1 FETCH (UID "1', b"* 1 FETCH "])
def test_a_broken_fetch_answer_is_a_surprise(text: bytes) -> None:
    with pytest.raises(SurpriseOnWire):
        read_fetch((text,))


def test_deep_parentheses_do_not_recurse() -> None:
    with pytest.raises(SurpriseOnWire):
        read_fetch((b"* 1 FETCH " + b"(" * 100_000,))


def test_other_answers_are_no_fetch() -> None:
    assert read_fetch((b"* 1 EXISTS",)) is None
    assert read_fetch((b"* FETCH 1",)) is None


@given(st.binary(max_size=80))
def test_any_bytes_in_a_fetch_answer_raise_only_a_surprise(raw: bytes) -> None:
    with contextlib.suppress(SurpriseOnWire):
        read_fetch((b"* 1 FETCH (" + raw,))


def test_search_answers_are_numbers_or_a_surprise() -> None:
    assert read_search((b"* SEARCH 2 84 882",)) == [2, 84, 882]
    assert read_search((b"* SEARCH",)) == []
    assert read_search((b"* 5 EXISTS",)) == []
    with pytest.raises(SurpriseOnWire):
        read_search((b"* SEARCH 1 x",))


@pytest.mark.parametrize(
    "text", [b"", b"17-Xxx-2026 10:00:00 +0000", b"31-Feb-2026 10:00:00 +0000", b" 1-Jan-0001 00:00:00 +1400"]
)
def test_a_bad_date_is_no_date(text: bytes) -> None:
    assert read_date(text) is None


def test_a_written_date_is_read_back() -> None:
    at = datetime(2026, 11, 5, 8, 30, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))
    written = written_date(at)
    assert written == '"05-Nov-2026 08:30:01 -0330"'
    assert read_date(written.strip('"').encode()) == at


def test_response_codes_are_found_at_the_start_only() -> None:
    assert response_code(b"[UIDVALIDITY 38] ok") == ("UIDVALIDITY", "38")
    assert response_code(b"[PERMANENTFLAGS (\\Seen \\*)] kept") == ("PERMANENTFLAGS", "(\\Seen \\*)")
    assert response_code(b"[READ-ONLY] x") == ("READ-ONLY", "")
    assert response_code(b"done [READ-ONLY]") == ("", "")


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"Subject: x\r\nMessage-ID: <a@b>\r\n\r\nbody", "<a@b>"),
        (b"MESSAGE-id:\r\n <a@b>\r\nSubject: x\r\n\r\n", "<a@b>"),
        (b"message-id : <a@b>\n\nbody", "<a@b>"),
        (b"Subject: x\r\n\r\nMessage-ID: <in-the-body@b>\r\n", None),
        (b"Subject: x\r\n Message-ID: <folded-into-the-subject@b>\r\n\r\n", None),
        (b"X-Message-ID: <other@b>\r\n\r\n", None),
        (b"Message-ID: \r\n\r\n", None),
        (b"Message-ID: <\xe9@b>\r\n\r\n", "<\ufffd@b>"),
        (b"", None),
    ],
)
def test_the_message_id_is_that_of_the_header(head: bytes, found: str | None) -> None:
    assert message_id_in(head) == found


def test_an_endless_message_id_is_cut() -> None:
    found = message_id_in(b"Message-ID: <" + b"a" * 10_000 + b"@b>\r\n\r\n")
    assert found is not None
    assert len(found) == 998


_WORDS = rb"""( ) () UID 7 12x FLAGS (\Seen) NIL nil (NIL) "a" "a\"b" " BODY[]<0> RFC822.SIZE ((a)b) [ x""".split()
_PIECES = st.sampled_from([*_WORDS, b" ", b"  ", b"\t", b"UID 7", b"(\\Seen $Mark)", b"(a  b)", b'"a b"'])


@given(st.lists(_PIECES, max_size=12))
def test_plain_items_are_read_as_the_slow_way_reads_them(pieces: list[bytes]) -> None:
    for text in (b"(" + b"".join(pieces) + b")", b"(" + b" ".join(pieces) + b")", b" ".join(pieces)):
        if plain := _plain_items((text,), 0):
            assert plain == _items((text,), 0)


def test_a_usual_answer_is_plain() -> None:
    text = rb'(UID 5 INTERNALDATE "02-Nov-2026 09:30:00 +0000" RFC822.SIZE 64123 FLAGS (\Seen $Hub))'
    assert len(_plain_items((text,), 0)) == 4
