"""The mail of a trial: what it is, what the hub's own trip makes of it, and how a change on the way is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hub import routing
from hub.compose import Letterhead
from hub.message import Limits, MessageClass
from hub.parse import parse
from hub.parse.signed import Witness
from hub.smime import Trust
from hub.trial import Sent, Steps, plain_letter, signed_letter
from hub.trial.comparing import Body, compared
from hub.trial.words import why_refused
from hub.trust.shown import ShownCertificate
from tests import signers
from tests.unit.routing_samples import envelope, rulebook
from tests.unit.test_correlate import NO_CODES

ADDRESS = "dossiers@mecs.mssante.example"
AT = datetime(2026, 6, 15, 9, 30, tzinfo=UTC)
ID = "<essai@mecs.mssante.example>"
LETTERHEAD = Letterhead(
    address=ADDRESS, display_name="MECS (fictive)", product_reference="ESSAI1", reporting_ua="x; hub"
)
AUTHORITY = signers.Authority()


def plain(takes_8bit: bool = True) -> Sent:
    return plain_letter(LETTERHEAD, ID, AT, takes_8bit=takes_8bit)


def signed() -> Sent:
    return signed_letter(LETTERHEAD, ID, AT, AUTHORITY.signer(ADDRESS))


@pytest.mark.parametrize("mail", [plain(), plain(takes_8bit=False), signed()], ids=["8bit", "7bit", "signed"])
def test_what_remains_of_it_in_the_mailbox_is_noted_and_nothing_is_filed(mail: Sent) -> None:
    witness = Witness(Trust((AUTHORITY.root.der,), frozenset({"1.3.6.1.5.5.7.3.4"})), AT)
    parsed = parse(b"Return-Path: <>\r\n" + mail.raw, Limits(), NO_CODES, witness=witness)
    assert (parsed.message_id, [defect for defect in parsed.defects if defect.grave]) == (mail.message_id, [])
    book = rulebook(routing.Policy(own_addresses=frozenset({ADDRESS})))
    thought = routing.think(routing.Seen(envelope=envelope(), parsed=parsed), book)
    assert thought.classification.message_class is MessageClass.LETTER
    assert (thought.plan.rule, thought.plan.steps) == ("own-letter", ())


def test_the_signed_one_can_be_verified() -> None:
    witness = Witness(Trust((AUTHORITY.root.der,), frozenset({"1.3.6.1.5.5.7.3.4"})), AT)
    verdict = parse(b"Received: x\r\n" + signed().raw, Limits(), NO_CODES, witness=witness).verdict
    assert verdict is not None
    assert verdict.outcome == "valid"


def test_the_unsigned_one_bears_all_that_relays_are_known_to_change() -> None:
    raw = plain().raw
    assert max(map(len, raw.split(b"\r\n"))) in range(900, 999)
    for hard in ("é".encode(), b"\r\n.\r\n", b"\r\nFrom ", b"blancs \xc3\xa0 la fin   \r\n", b"X-MSS-NIL: ESSAI1\r\n"):
        assert hard in raw
    assert plain(takes_8bit=False).raw.isascii()


# --- compared


def test_headers_added_above_are_no_change() -> None:
    found = compared(plain().raw, b"Return-Path: <a@b>\r\nReceived: from x\r\n by y; z\r\n" + plain().raw)
    assert found.is_untouched
    assert found.reads_the_same


def _with(old: bytes, new: bytes) -> bytes:
    assert old in plain().raw
    return plain().raw.replace(old, new)


_QP = plain(takes_8bit=False).raw


@pytest.mark.parametrize(
    ("came", "lost", "changed", "refolded", "body", "why"),
    [
        (_with(b"X-MSS-NIL: ESSAI1\r\n", b""), ("X-MSS-NIL",), (), (), Body.SAME, ""),
        (_with(b"X-MSS-NIL: ESSAI1", b"X-MSS-NIL: AUTRE"), (), ("X-MSS-NIL",), (), Body.SAME, ""),
        (_with(b"X-MSS-NIL: ESSAI1", b"x-mss-nil:\r\n ESSAI1"), (), (), ("X-MSS-NIL",), Body.SAME, ""),
        (plain().raw.replace(b"\r\n", b"\n"), (), (), (), Body.LINE_ENDS, ""),
        (plain().raw + b"\r\n", (), (), (), Body.LINE_ENDS, ""),
        (_with(b"   \r\n", b"\r\n"), (), (), (), Body.CHANGED, "blanks"),
        (_with(b"\r\nFrom une", b"\r\n>From une"), (), (), (), Body.CHANGED, "from"),
        (_with(b"x" * 900, b"x" * 450 + b"\r\n" + b"x" * 450), (), (), (), Body.CHANGED, "rewrapped"),
        (_with("é à ç œ".encode(), b"? ? ? ?"), (), (), (), Body.CHANGED, "eight-bit"),
        (plain().raw + b"Ce courriel est s\xc3\xbbr.\r\n", (), (), (), Body.CHANGED, "longer"),
        (plain().raw[:-40], (), (), (), Body.CHANGED, "shorter"),
        (b"", ("Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "X-MSS-NIL", "MIME-Version",
               "Content-Type", "Content-Transfer-Encoding"), (), (), Body.CHANGED, "shorter"),
    ],
)  # fmt: skip
def test_each_change_is_named(
    came: bytes, lost: tuple[str, ...], changed: tuple[str, ...], refolded: tuple[str, ...], body: Body, why: str
) -> None:
    found = compared(plain().raw, came)
    assert (found.lost, found.changed, found.refolded, found.body, found.why) == (lost, changed, refolded, body, why)
    assert not found.is_untouched
    assert found.reads_the_same is (not lost and not changed and body is not Body.CHANGED)


def test_a_text_that_was_recoded_reads_the_same() -> None:
    import quopri

    head, _, body = plain().raw.partition(b"\r\n\r\n")
    recoded = head.replace(b"8bit", b"quoted-printable") + b"\r\n\r\n"
    recoded += quopri.encodestring(body.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    found = compared(plain().raw, recoded)
    assert (found.body, found.changed, found.reads_the_same, found.is_untouched) == (Body.RECODED, (), True, False)


# --- why a certificate was refused

HOST = "imap.operateur.example"


def shown(*names: str, ends: timedelta = timedelta(days=9)) -> ShownCertificate:
    return ShownCertificate(
        common_name=HOST,
        unit="10690000001",
        organisation="OPERATEUR (FICTIF)",
        names=names,
        issuer="AC DE TEST",
        not_before=AT - timedelta(days=9),
        not_after=AT + ends,
        fingerprint="ab" * 32,
    )


@pytest.mark.parametrize(
    ("certificate", "why", "remedy"),
    [
        (shown(HOST, ends=-timedelta(seconds=1)), "n'est pas valable à cette date", "prévenez l'opérateur"),
        (shown(), "ne nomme aucun hôte", f"pin: {'ab' * 32}"),
        (shown("smtp.operateur.example"), f"d'un autre hôte que {HOST}", "server_name"),
        (shown("*.autre.example"), f"d'un autre hôte que {HOST}", "server_name"),
        (shown("*.Operateur.example"), "L'autorité de ce certificat (AC DE TEST)", "ca_file"),
        (shown(HOST.upper()), "L'autorité de ce certificat (AC DE TEST)", "ca_file"),
    ],
)
def test_what_was_refused_is_said_with_what_to_do(certificate: ShownCertificate, why: str, remedy: str) -> None:
    said = why_refused(certificate, HOST, AT)
    assert why in said[0]
    assert remedy in said[1]


# --- steps


def test_a_note_stops_nothing_and_a_failure_does() -> None:
    steps = Steps()
    steps.ok("a", "bien")
    steps.note("b", "à savoir")
    assert steps.are_well
    steps.failed("c", "mal", remedy="faire")
    assert not steps.are_well
    assert [(one.code, one.went, one.seconds is None) for one in steps.tried] == [
        ("a", "ok", False),
        ("b", "note", True),
        ("c", "failed", False),
    ]
