"""Which sending of ours a report is about, and what it says of each recipient.

`keys_of` names the mails that a report may be about, the surest key first: Original-Message-ID, In-Reply-To and
References, the envelope id, the headers that it gives back, the text of bounces of the old style. The records look them
up; `correlate` takes the sending of the first key that found one and says on which rung each recipient is now.

Our Message-IDs are random: who knows one has seen the mail, so that no key but a copied one can lie. A recipient is
never guessed: a report on a mail with several of them, which names none of ours, gives no news.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hub.integration import INTEGRATION_CODES
from hub.message import MessageClass, News, ParsedMessage, Reported, Rung, Sending, Source, comparable
from hub.receipts.failures import DELETED, REFUSED, status_in
from hub.receipts.fields import message_id_of

KEYS_MOST = 64
_TEXT_MOST = 100_000  # characters of the body that are looked at
_ID = re.compile(r"<([^<>\s@]{1,200}@[^<>\s@]{1,200})>")
_NAMED_ID = re.compile(r"message[ -]?id[ \t]*:?[ \t]*<?([^<>\s@]{1,200}@[^<>\s@,;]{1,200})", re.IGNORECASE)
# Where the text of a bounce ends and the mail that it gives back begins.
_GIVEN_BACK = re.compile(
    r"^[> \t]*(?:from|received|return-path|message-id|mime-version|dkim-signature)[ \t]*:", re.I | re.M
)
_ADDRESS = re.compile(r"[A-Za-z0-9._%+'=-]{1,64}@[A-Za-z0-9.-]{1,190}[A-Za-z0-9]")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_CODE = re.compile(r"(?<![0-9])(90[0-6])(?![0-9])")
# Words in the subjects of servers that are still trying (`Warning: could not send message for past 4 hours`).
_LATE = frozenset({"DELAY", "DELAYED", "RETARD", "RETARDE", "RETARDEE", "DIFFERE", "HOURS", "HEURES"})
_WORST = (Rung.FAILED, Rung.DELAYED, Rung.SUBMITTED, Rung.DELIVERED, Rung.READ, Rung.INTEGRATED)


@dataclass(frozen=True, slots=True)
class Correlation:
    """`sending` is None when no key found one. `is_whole`: every recipient that the report speaks of is one of ours,
    and it says something of each."""

    sending: Sending | None = None
    news: tuple[News, ...] = ()
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """What a report says of somebody: by which names, the surest first; None for a rung that it does not tell."""

    names: tuple[str, ...]
    rung: Rung | None
    status: str = ""


# --- which sending


def envelope_id(sending: Sending, recipient: str) -> str:
    """What we give as ENVID (RFC 3461 §4.4): the sending, and which of its recipients; it comes back as
    Original-Envelope-Id. ASCII letters, digits and a point: needs no xtext."""
    number = next((n for n, one in enumerate(sending.sent_to) if _same(one.recipient, recipient)), None)
    return sending.id if number is None else f"{sending.id}.{number}"


def keys_of(parsed: ParsedMessage) -> tuple[str, ...]:
    """Message-IDs (with their brackets) and envelope ids (without), the surest first, each once, at most `KEYS_MOST`.
    A long thread keeps its newest part."""
    return tuple(dict.fromkeys(_keys(parsed)))[:KEYS_MOST]


def _keys(parsed: ParsedMessage) -> Iterator[str]:
    report = parsed.report
    if report is not None and report.original_message_id:
        yield report.original_message_id
    for name in ("Original-Message-ID", "X-Original-Message-ID"):
        if written := message_id_of(parsed.header(name)):
            yield written
    if parsed.in_reply_to:
        yield parsed.in_reply_to
    yield from reversed(parsed.references[-20:])
    if report is not None and report.original_envelope_id:
        yield _plain_envelope_id(report.original_envelope_id)
    yield from parsed.carried_ids[:10]
    yield from _ids_in(parsed.body[:_TEXT_MOST])


def _ids_in(text: str) -> Iterator[str]:
    """What follows the words `Message-ID` first; what else stands in brackets may be an address: it finds nothing."""
    for found in _NAMED_ID.finditer(text):
        yield f"<{found[1].rstrip('.')}>"
    for found in _ID.finditer(text):
        yield f"<{found[1]}>"


def _plain_envelope_id(written: str) -> str:
    return _from_xtext(written.strip().strip("<>").partition(";")[0].strip())


def _from_xtext(text: str) -> str:
    """RFC 3461 §4: `+2B` stands for `+`; some servers give it back as it was sent."""
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)


def _found_by(parsed: ParsedMessage, sendings: Iterable[Sending]) -> Sending | None:
    known = tuple(sendings)
    by_key = {one.message_id: one for one in known} | {one.id: one for one in known}
    for key in keys_of(parsed):
        if found := by_key.get(key if key.startswith("<") else key.partition(".")[0].lower()):
            return found
    return None


# --- what is said of whom


def correlate(parsed: ParsedMessage, message_class: MessageClass, sendings: Iterable[Sending]) -> Correlation:
    """`sendings` are those that the records found for `keys_of(parsed)`. Each recipient at most once: where a report
    says two things of one (a list behind an address), the worse one counts. `News.stood` is where each stands now."""
    sending = _found_by(parsed, sendings)
    if sending is None:
        return Correlation()
    found: dict[str, News] = {}
    is_whole = True
    for said in _said(parsed, message_class, sending):
        recipient = _recipient(said.names, sending, parsed)
        if recipient is None or said.rung is None:
            is_whole = False
            continue
        news = _news(sending, recipient, said.rung, said.status, _source(message_class))
        known = found.get(recipient)
        if known is None or _WORST.index(news.rung) < _WORST.index(known.rung):
            found[recipient] = news
    return Correlation(sending, tuple(found.values()), is_whole and bool(found))


def _source(message_class: MessageClass) -> Source:
    match message_class:
        case MessageClass.DSN:
            return "dsn"
        case MessageClass.MDN:
            return "mdn"
        case _:
            return "reply"


def _news(sending: Sending, recipient: str, rung: Rung, status: str, source: Source) -> News:
    stood = next(one.rung for one in sending.sent_to if one.recipient == recipient)
    reason = f"{source} {status}".strip()
    return News(
        sending=sending.id, recipient=recipient, rung=rung, source=source, status=status, stood=stood, reason=reason
    )


def _said(parsed: ParsedMessage, message_class: MessageClass, sending: Sending) -> Iterator[_Said]:
    match message_class:
        case MessageClass.DSN:
            return _by_dsn(parsed, sending)
        case MessageClass.MDN:
            return iter([_by_mdn(parsed, sending)])
        case MessageClass.AUTO_REPLY:  # it surely left, and nobody has read it
            return iter([_Said(_authors(parsed), Rung.SUBMITTED)])
        case _:
            return iter(())


def _by_dsn(parsed: ParsedMessage, sending: Sending) -> Iterator[_Said]:
    report = parsed.report
    if report is None:
        yield from _by_old_bounce(parsed, sending)
    elif report.recipients:
        yield from (_of_recipient(one) for one in report.recipients)
    else:
        yield _Said((), *_dsn_rung(report.action, report.status, report.error))


def _of_recipient(one: Reported) -> _Said:
    names = (one.original_recipient, one.final_recipient)
    return _Said(tuple(filter(None, names)), *_dsn_rung(one.action, one.status, one.error))


def _dsn_rung(action: str | None, status: str | None, error: str | None) -> tuple[Rung | None, str]:
    """RFC 3464 §2.3.3. `relayed` went on to a server that sends no such reports; `expanded` reached the address, which
    is a list. Without a known action the class of the status decides."""
    rungs = {
        "failed": Rung.FAILED,
        "delayed": Rung.DELAYED,
        "delivered": Rung.DELIVERED,
        "expanded": Rung.DELIVERED,
        "relayed": Rung.SUBMITTED,
    }
    by_class = {"5": Rung.FAILED, "4": Rung.DELAYED, "2": Rung.DELIVERED}
    rung = rungs.get(action or "") or by_class.get((status or error or "")[:1])
    if rung not in (Rung.FAILED, Rung.DELAYED):
        return rung, ""
    is_vague = status is None or status.endswith(".0.0")
    reply = error if error is not None and len(error) == 3 else None
    return rung, (reply if is_vague and reply else status or error) or ""


def _by_old_bounce(parsed: ParsedMessage, sending: Sending) -> Iterator[_Said]:
    """A text for humans: who failed stands in a header of its own (Exim), or before the mail that is given back."""
    if _is_other_report(parsed):
        yield _Said((), None)
        return
    text = _own_text(parsed.body)
    subject = (comparable(parsed.subject) or "").split()
    rung = Rung.DELAYED if any(word.strip(":!,.") in _LATE for word in subject) else Rung.FAILED
    status = status_in(text)
    failed = _ADDRESS.findall(parsed.header("X-Failed-Recipients") or "")
    written = dict.fromkeys(_ADDRESS.findall(text))  # the servers' own addresses among them
    ours = [name for name in written if any(_same(name, one.recipient) for one in sending.sent_to)]
    for name in failed or ours or [""]:
        yield _Said((name,), rung, status)


def _is_other_report(parsed: ParsedMessage) -> bool:
    """A report of another sort than RFC 3464: on abuse, on TLS."""
    kind = (parsed.header("Content-Type") or "").lower()
    return parsed.content_type == "multipart/report" and "report-type" in kind and "delivery-status" not in kind


def _own_text(body: str) -> str:
    given_back = _GIVEN_BACK.search(body)
    return (body[: given_back.start()] if given_back else body)[:_TEXT_MOST]


def _by_mdn(parsed: ParsedMessage, sending: Sending) -> _Said:
    report = parsed.report
    if report is None:
        return _Said(_authors(parsed), *_by_old_receipt(parsed))
    names = (report.original_recipient, report.final_recipient, *_authors(parsed))
    return _Said(tuple(filter(None, names)), *_mdn_rung(report.disposition, report.error, sending))


def _mdn_rung(disposition: str | None, error: str | None, sending: Sending) -> tuple[Rung | None, str]:
    """RFC 8098 §3.2.6, mssante.md §5.2. `processed` is an integration only of a document; of an ordinary mail it says
    that a machine has it."""
    if error is not None and error != "warning":
        return Rung.FAILED, error if _CODE.fullmatch(error) else REFUSED
    is_document = sending.kind is not None or sending.usager_id is not None
    match disposition:
        case "displayed":
            return Rung.READ, ""
        case "processed":
            return (Rung.INTEGRATED if is_document else Rung.DELIVERED), ""
        case "deleted":
            return Rung.FAILED, DELETED
        case "dispatched" | "denied":
            return Rung.DELIVERED, ""
        case "failed":
            return Rung.FAILED, REFUSED
        case _:
            return None, ""


def _by_old_receipt(parsed: ParsedMessage) -> tuple[Rung | None, str]:
    """A mail that says it in its subject: `[KO Intégration système !][902] …` (mssante.md §5.4), or `Lu : …`."""
    subject = comparable(parsed.subject) or ""
    if "INTEGRATION" in subject[:60]:
        code = _CODE.search(parsed.subject[:80]) or _CODE.search(_own_text(parsed.body)[:4_000])
        return Rung.FAILED, code[1] if code and int(code[1]) in INTEGRATION_CODES else REFUSED
    is_report = parsed.content_type.startswith("multipart/report")  # whose own part is missing: nobody knows
    return (None if is_report else Rung.READ), ""


def _authors(parsed: ParsedMessage) -> tuple[str, ...]:
    return tuple(filter(None, (parsed.from_address, *parsed.reply_to, parsed.header("Sender") or "")))


# --- which recipient


def _recipient(names: tuple[str, ...], sending: Sending, parsed: ParsedMessage) -> str | None:
    """As in `sending.sent_to`. With one recipient only, the report is about that one, whatever it calls it: an alias,
    a mailbox behind it, a name of the directory."""
    if len(sending.sent_to) == 1:
        return sending.sent_to[0].recipient
    for name in names:
        for one in sending.sent_to:
            if _same(name, one.recipient):
                return one.recipient
    return _by_envelope(sending, parsed)


def _by_envelope(sending: Sending, parsed: ParsedMessage) -> str | None:
    """Each recipient got its own envelope, so its id says which, for a report on one recipient."""
    report = parsed.report
    if report is None or not report.original_envelope_id or len(report.recipients) > 1:
        return None
    of, _, number = _plain_envelope_id(report.original_envelope_id).lower().partition(".")
    if of != sending.id or not number.isdecimal() or int(number) >= len(sending.sent_to):
        return None
    return sending.sent_to[int(number)].recipient


def _same(name: str, recipient: str) -> bool:
    """Case apart; `name` also in the forms in which servers give it back: `SMTP:a@b`, xtext."""
    wanted = recipient.casefold()
    bare = name.strip().strip("<>'\"").casefold().removeprefix("smtp:").removeprefix("mailto:")
    return wanted in (bare, _from_xtext(bare.upper()).casefold())
