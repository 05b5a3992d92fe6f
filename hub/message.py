"""The types that flow between rooms.

Everything here is a frozen dataclass of plain values: it can be compared, written to the spool as JSON
(`hub.encoding`) and handed across a process border. No dict crosses a room, no type here
knows how it was read or where it will be stored. Text from outside is kept as a best guess beside its
defects; nothing in this file raises on bad content.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Literal


def comparable(name: str | None) -> str | None:
    """The compared form of a name: capitals, no accents, ligatures opened, one blank between words, one sort of
    apostrophe and hyphen (the RNIV form, confidence low: mssante.md §13). None for nothing."""
    if name is None:
        return None
    if name.isascii():  # most names, several of them a message: nothing below would change them
        return " ".join(name.replace("`", "'").upper().split()) or None
    opened = name.replace("œ", "oe").replace("Œ", "OE").replace("æ", "ae").replace("Æ", "AE").replace("ß", "ss")
    bare = "".join(c for c in unicodedata.normalize("NFKD", opened) if not unicodedata.combining(c))
    for odd, usual in (("\u2019", "'"), ("\u02bc", "'"), ("`", "'"), ("\u2010", "-"), ("\u2011", "-"), ("\u2013", "-")):
        bare = bare.replace(odd, usual)
    return " ".join(bare.upper().split()) or None


class Door(StrEnum):
    """Where a message entered."""

    IMAP = "imap"
    SMTP = "smtp"  # submitted by a user of ours
    WEB = "web"
    MLLP = "mllp"
    FILE = "file"  # a file given to `hub explain`


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the wire told us before a header was read.

    `mailbox` is the configured name of the mailbox, not its address. `sender` is the return path when the
    wire gave one (IMAP gives none: the reader finds `Return-Path` in the header). `test` marks a mailbox of
    the test branch, where only test and demonstration INS may match (RH-42). `by` is the login of the user who
    submitted it, "" for what came from outside.
    """

    id: str
    door: Door
    received_at: datetime
    mailbox: str | None = None
    peer: str = ""
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    size: int = 0
    sha256: str = ""
    test: bool = False
    by: str = ""

    @property
    def is_submission(self) -> bool:
        """Whether somebody of ours wants it sent."""
        return self.door in (Door.SMTP, Door.WEB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Caps of the reader, on raw bytes before any parser sees them (libs.md §10). Bytes, except `parts`, `depth`,
    `entries` (of an archive) and `ratio` (unpacked over packed). The defaults are those of `hub.settings.Reading`."""

    header_block: int = 256 * 1024
    header: int = 32 * 1024
    parts: int = 1_000
    depth: int = 50
    message: int = 60 * 1024**2
    entries: int = 500
    unpacked: int = 200 * 1024**2
    ratio: int = 200


# --- what the reader finds ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Defect:
    """One doubt of the reader. `code` is stable and in English; `detail` never holds personal content.

    A `grave` defect is a reason to hold the message; the others are only shown.
    """

    code: str
    detail: str = ""
    grave: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """One header: the name as written, the value unfolded and decoded (best guess), at most 32 KB."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One leaf of the MIME tree, named or not. `number` counts leaves from 1, depth first, over the whole
    mail (leaves inside forwarded mails, p7m and winmail.dat included); `path` is like `1.2.1`.

    `raw` is the decoded content; it is empty for leaves that the mind never needs (see `parse`).
    """

    number: int
    path: str
    name: str | None
    media_type: str
    size: int
    sha256: str
    disposition: str | None = None
    content_id: str | None = None
    raw: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class LocalId:
    """An identifier given by a structure (IPP, record number): assigning authority and value."""

    oid: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The traits of an usager as somebody stated them; None where nothing was stated.

    `ins` has 15 characters, its key included; `oid` is one of 1.2.250.1.213.1.4.8 to .11. `birth_date` is
    ISO (`2012-05-31`), cut short (`2012-05`, `2012`) when the source knew no more. `sex` is M, F or U.
    `birth_place` is the INSEE code (5 characters). `given_names` holds all birth given names, in order,
    separated by blanks; `first_given` the first of them.
    """

    ins: str | None = None
    oid: str | None = None
    local_ids: tuple[LocalId, ...] = ()
    birth_name: str | None = None
    first_given: str | None = None
    given_names: str | None = None
    used_name: str | None = None
    used_given: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    birth_place: str | None = None


Way = Literal["form", "datamatrix", "document", "number", "thread", "name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """Something by which the usager of a submission may be found, and where it stood (`subject`, a file name…).

    `readings` are the identities that it can be read as (a name does not say which word is the surname), `numbers` the
    record numbers, `message_ids` what it answers. `is_clear`: it cannot well be anything else; what is not clear may
    be no clue at all."""

    way: Way
    place: str
    readings: tuple[Identity, ...] = ()
    numbers: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    is_clear: bool = True


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded value: code, OID of its system, label as written by the sender."""

    code: str
    system: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who wrote a document. `person_id` and `organisation_id` are national ids (PS_IdNat, Struct_IdNat)."""

    name: str = ""
    person_id: str | None = None
    organisation: str = ""
    organisation_id: str | None = None
    role: Coded | None = None


class DocumentForm(StrEnum):
    CDA = "cda"
    PDF = "pdf"
    OTHER = "other"  # an image, a text, a word-processor file, an opaque entry of an archive


Action = Literal["none", "replace", "delete"]
Level = Literal["N1", "N3", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One CDA, form, PDF or other file that can be filed.

    `unique_id` is `root` or `root^extension` for a CDA, else `sha256:` + the digest of the bytes.
    `created_at` and `act_at` are ISO 8601; UTC (`…Z`) when the source knew its zone. `replaces` are the
    unique ids named by relatedDocument RPLC. `archive` is the index of its archive in the message, None for
    a loose document. `attachments` are the numbers of the MIME leaves that carried it, its PDF twin included.
    `body` is the decoded N1 body or the PDF copy of an N3 (what a human reads first), `text` its plain text
    when it was extracted (PDF, N1 text), both possibly empty.
    """

    form: DocumentForm
    unique_id: str
    sha256: str
    size: int
    media_type: str
    title: str = ""
    name: str | None = None
    type_code: Coded | None = None
    class_code: Coded | None = None
    format_code: Coded | None = None
    facility_code: Coded | None = None
    practice_code: Coded | None = None
    confidentiality: tuple[Coded, ...] = ()
    patient: Identity | None = None
    authors: tuple[Author, ...] = ()
    custodian_id: str | None = None
    created_at: str | None = None
    act_at: str | None = None
    language: str | None = None
    action: Action = "none"
    level: Level = "other"
    set_id: str | None = None
    version: str | None = None
    replaces: tuple[str, ...] = ()
    archive: int | None = None
    attachments: tuple[int, ...] = ()
    hash_ok: bool | None = None
    size_ok: bool | None = None
    body_type: str | None = None
    body: bytes = field(default=b"", repr=False)
    text: str = field(default="", repr=False)
    raw: bytes = field(default=b"", repr=False)
    clues: tuple[Clue, ...] = ()  # a filled form, an INS in a DataMatrix: looked for in submissions only
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One IHE_XDM archive: the leaf that carried it, what is wrong with it, its documents in order."""

    name: str
    attachment: int
    sha256: str
    defects: tuple[Defect, ...] = ()
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureSeen:
    """That a signature was there, and of which form; what it is worth is said by a `Verdict`."""

    form: Literal["none", "detached", "opaque"] = "none"
    protocol: str = ""


Finding = Literal["good", "bad", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a verdict stands on; empty where the signature could not be read so far.

    `fingerprint` is the SHA-256 of the signer's certificate, `serial` its number, both in hexadecimal; `subject` and
    `issuer` as RFC 4514 writes them; `addresses` those that the certificate vouches for. `signed_at` is the signer's
    word only. `algorithm` is like `rsa-sha256`; `digest` the digest of the content as signed, in hexadecimal. `chain`
    holds the fingerprints from the signer up to the trust anchor, when there is one."""

    fingerprint: str = ""
    subject: str = ""
    issuer: str = ""
    serial: str = ""
    addresses: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    signed_at: datetime | None = None
    algorithm: str = ""
    digest: str = ""
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the signature of a mail is worth, judged once, when it was received (`at`): later, certificates have expired
    and lists have changed.

    `integrity`: what is shown is what was signed. `chain`: an authority that we trust vouches for the signer's
    certificate, and for this use. `sender`: it is the certificate of the From that is shown. `time`: it was valid then.
    `reasons` are stable codes of all that is not good, and of what a human should know (`hub.smime.words`)."""

    integrity: Finding = "unknown"
    chain: Finding = "unknown"
    sender: Finding = "unknown"
    time: Finding = "unknown"
    reasons: tuple[str, ...] = ()
    is_revocation_checked: bool = False
    at: datetime
    evidence: Evidence = Evidence()

    @property
    def outcome(self) -> Literal["valid", "invalid", "unproven"]:
        """`invalid` as soon as one part is bad, `valid` only when all four are good."""
        parts = (self.integrity, self.chain, self.sender, self.time)
        return "invalid" if "bad" in parts else "unproven" if "unknown" in parts else "valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a DSN says of one recipient; the fields are those of `Report`."""

    final_recipient: str | None = None
    original_recipient: str | None = None
    action: str | None = None
    status: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A receipt that came in: a DSN or an MDN, reduced to what correlation needs (see `receipts`). A DSN may speak of
    several recipients: `recipients` has them all, the other fields are those of the worst of them."""

    form: Literal["dsn", "mdn"]
    original_message_id: str | None = None
    original_envelope_id: str | None = None
    final_recipient: str | None = None
    original_recipient: str | None = None
    disposition: str | None = None  # MDN: displayed, deleted, dispatched, processed
    action: str | None = None  # DSN: failed, delayed, delivered, relayed, expanded
    status: str | None = None  # DSN: 5.1.1
    error: str | None = None  # the integration code 900 to 906, or the diagnostic class
    recipients: tuple[Reported, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMessage:
    """What the reader understood of one raw message. Nothing here was guessed without a defect beside it."""

    headers: tuple[Header, ...] = ()
    message_id: str | None = None
    subject: str = ""
    from_address: str | None = None
    from_name: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    return_path: str | None = None  # "" is the empty path `<>`; None when the header is absent
    date: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    auto_submitted: str | None = None
    receipt_to: tuple[str, ...] = ()  # Disposition-Notification-To
    content_type: str = "text/plain"
    body: str = field(default="", repr=False)
    attachments: tuple[Attachment, ...] = ()
    archives: tuple[Archive, ...] = ()
    documents: tuple[Document, ...] = ()  # every filable document: those of the archives first, then loose ones
    report: Report | None = None
    carried_ids: tuple[str, ...] = ()  # Message-IDs of the mails that it carries or gives back, the outermost first
    signature: SignatureSeen = SignatureSeen()
    verdict: Verdict | None = None  # None: no signature, or nobody asked
    defects: tuple[Defect, ...] = ()

    def header(self, name: str) -> str | None:
        """The first value of a header, None when absent; names compare without case."""
        wanted = name.lower()
        return next((h.value for h in self.headers if h.name.lower() == wanted), None)


# --- what the mind decides ------------------------------------------------------------------------------------


class MessageClass(StrEnum):
    """What sort of mail it is, in the order in which it is asked (RH-30)."""

    DSN = "dsn"
    MDN = "mdn"
    AUTO_REPLY = "auto_reply"
    LETTER = "letter"  # what the hub itself wrote to a mailbox of ours, met there
    XDM = "xdm"
    DOCUMENT = "document"  # a document without archive: a PDF, a loose CDA, a scan
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a stable code, and the sentence that a French user reads. Journal and logs keep the code only."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What it is. `kind` is an id of `config/document_types.yaml`, None when no rule was sure enough;
    `confidence` runs from 0 to 1."""

    message_class: MessageClass
    kind: str | None = None
    confidence: float = 0.0
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usager:
    """An usager of the site as the records know them. `ins_status` is one of provisoire, recuperee,
    validee, qualifiee (RNIV); only the last may be filed to without a human. `doubtful` bars it too."""

    id: str
    identity: Identity
    ins_status: str = "provisoire"
    doubtful: bool = False
    record_number: str | None = None
    facility: str | None = None  # FINESS of the establishment
    territory: str | None = None  # of the ASE, as the site words it


Agreement = Literal["equal", "close", "different", "absent"]


@dataclass(frozen=True, slots=True)
class Trait:
    """One trait compared: its name, how the two sides agree, both values (for the human, never for a log)."""

    name: str
    agreement: Agreement
    stated: str = ""
    known: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An usager it could be, trait by trait."""

    usager_id: str
    record_number: str | None = None
    traits: tuple[Trait, ...] = ()
    ins_status: str = "provisoire"


MatchOutcome = Literal["certain", "proposed", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Whose it is. `certain` has exactly one candidate and no code; else `code` is 902 to 906 (IG-LPS)."""

    outcome: MatchOutcome = "none"
    code: int | None = None
    candidates: tuple[Candidate, ...] = ()
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """By what the usager of a submission may be found, the strongest way first; `tags` are the words in brackets of its
    subject that are no record number. `near_dates`: dates that a slip of the pen makes of the birth dates stated."""

    clues: tuple[Clue, ...] = ()
    tags: tuple[str, ...] = ()
    near_dates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """Whom the records know under what was asked. `usagers`: who is named, who resembles them, who bears the same birth
    name; `thread`: ids of those whom the mails answered were about. Not `is_whole`: there were more than could be read,
    so that nobody is the only one."""

    usagers: tuple[Usager, ...] = ()
    thread: tuple[str, ...] = ()
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterSent:
    """A letter of ours to somebody of ours, sent by step `number` of `message`. `is_held`: the message is before a
    human now."""

    message: str
    number: int
    outgoing_id: str
    mailbox: str | None
    recipient: str
    subject: str
    is_held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the author of a submission answers to the letter about it: the record `number` of the usager (as written),
    or that it must not go (`cancels`); neither when it is not clear, for `reason`."""

    message: str
    number: str | None = None
    cancels: bool = False
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledVersion:
    """What the records already hold of a document: row id, version chain, whether it is the live one."""

    document_id: str
    usager_id: str
    unique_id: str
    sha256: str
    set_id: str | None
    version: str | None
    live: bool
    deleted: bool
    author_organisation_id: str | None = None
    author_ids: tuple[str, ...] = ()


class Rung(StrEnum):
    """How far a sending came with one recipient, as far as somebody told us (RFC 3464, RFC 8098, mssante.md §5.1).

    The first five follow one another; a later one never goes back. The others stand beside: not (yet) arrived."""

    PREPARED = "prepared"  # composed and signed, kept in the spool
    SUBMITTED = "submitted"  # the operator took it (its 250)
    DELIVERED = "delivered"  # in the recipient's mailbox (DSN)
    READ = "read"  # displayed to somebody (MDN)
    INTEGRATED = "integrated"  # in the recipient's record (MDN processed)
    DELAYED = "delayed"  # the operator is still trying
    UNCERTAIN = "uncertain"  # cut after the final dot: nobody knows
    FAILED = "failed"


# Who told: the operator's server, its own copy among the sent mails, a report, a person.
Source = Literal["smtp", "imap", "dsn", "mdn", "reply", "human"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTo:
    """One recipient of a sending: its rung, since when, and the code that goes with it. `report` is the id of the
    message that said so, "" for none; `answered_at`: when an automatic answer last came (the person may be away)."""

    recipient: str
    rung: Rung
    at: datetime
    status: str = ""
    report: str = ""
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A mail of ours and what became of it. `message` is the submission it was made of, `mailbox` the configured name
    of the mailbox it left from, `size` and `sha256` those of the mail as sent."""

    id: str
    message: str
    mailbox: str
    message_id: str
    composed_at: datetime
    sha256: str
    size: int
    by: str = ""  # who submitted it
    usager_id: str | None = None
    kind: str | None = None
    urgency: str = ""  # P0 to P3, that of its kind when it was composed; "" for an ordinary mail
    wants_receipt: bool = False  # the author asked to be told when it is read
    record_number: str | None = None  # of the usager
    submitted_as: str | None = None  # the Message-ID of what its author wrote
    sent_to: tuple[SentTo, ...] = ()


# --- to whom it may go ------------------------------------------------------------------------------------------

MailboxType = Literal["PER", "ORG", "APP", "CAB"]  # Référentiel #1: a person, an organisation, a program, a practice


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A line of the address book. `address` never changes: somebody else's address is another line. It may be written
    to from the day `since` to the day `until`, both included; None: always. `changed_by` said so last."""

    id: str
    address: str
    type: MailboxType
    name: str = ""
    organisation: str = ""
    service: str = ""
    departement: str = ""
    note: str = ""
    since: date | None = None
    until: date | None = None
    changed_at: datetime
    changed_by: str

    def is_active(self, on: date) -> bool:
        return (self.since is None or self.since <= on) and (self.until is None or on <= self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What somebody is for an usager, as the site's settings declare it: `referent_ase`, in French `label`.
    `is_shared`: several may be so at once."""

    name: str
    label: str
    is_shared: bool = False


RoleLevel = Literal["usager", "territory", "site"]  # for whom a role is held, the closest first


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRole:
    """That a contact holds a role for an usager, for those of a territory, or for all of the site: from the day `since`
    to the day `until`, both included. `record_number`: of the usager. `withdrawn_at`: it was noted by mistake, or said
    otherwise since."""

    id: str
    role: str
    contact: Contact
    level: RoleLevel
    since: date
    until: date | None = None
    territory: str | None = None
    record_number: str | None = None
    said_at: datetime
    said_by: str
    withdrawn_at: datetime | None = None
    withdrawn_by: str | None = None

    def is_held(self, on: date) -> bool:
        return self.withdrawn_at is None and self.since <= on and (self.until is None or on <= self.until)


# --- plans, steps, outcomes -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """File one document in one usager's record. `document` is its index in `ParsedMessage.documents`.

    `supersedes` is the row id of the version that this one replaces or deletes; when the live version is no
    longer that one at the time of filing, the plan is stale and the message is thought about again.
    """

    document: int
    unique_id: str
    usager_id: str
    kind: str | None
    action: Action = "none"
    supersedes: str | None = None
    historic: bool = False  # an older version than the live one: kept in the chain, never the one to read
    by: str = "hub"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Hand one document to the DUI (by MLLP; a later issue)."""

    document: int
    target: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """Make the conformant mail of what somebody of ours submitted: once, its bytes and its Message-ID never change.

    `sending` identifies it for ever. `documents` are indexes in `ParsedMessage.documents`, `kinds` their kinds (that of
    the words of the mail, when they are the document). `usager_id` is whose they are. An ordinary mail has none of
    them. `recipients` are all that will get it."""

    sending: str
    recipients: tuple[str, ...]
    usager_id: str | None = None
    documents: tuple[int, ...] = ()
    kinds: tuple[str | None, ...] = ()
    signed: Literal["auto", "never", "always"] = "auto"  # auto: when the mailbox has a certificate for it
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Send a mail to one recipient. `copy`: the message as it came; `notice`: that something happened, without health
    data; `letter`: `subject` and `text` in plain French, to a mailbox of ours; `dispatch`: what the `Composition` of
    the same `sending` made, byte for byte; `outcome`: a letter to its author, only if it did not get to `about`
    (empty: if the `composition` could not be made); `sent-copy`: the same bytes into the mailbox's own folder of sent
    mails, once they left for somebody (`recipient` is ""). `role`: in French, as what the recipient gets it, when the
    address book gave the address."""

    content: Literal["copy", "notice", "letter", "dispatch", "outcome", "sent-copy"]
    recipient: str
    reason: str = ""
    role: str = ""
    sending: str = ""
    about: str = ""
    composition: Composition | None = None
    subject: str = ""
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Finish the held submission `message` as its author answered: it is about `usager_id`; None: it must not go."""

    message: str
    usager_id: str | None
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Write on the ladder of one recipient what was heard of a sending of ours.

    `recipient` is as in `Sending.sent_to`. `stood` is the rung on which the plan saw it: when it stands on another one
    by the time of writing, the plan is stale (two reports at once would tell the author twice); None: not looked at."""

    sending: str
    recipient: str
    rung: Rung
    source: Source
    status: str = ""  # 5.1.1, 902: a code, never words of a person
    stood: Rung | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Answer the MDN that the sender asked for. `code` 0 is success, else 900 to 906; `label` is official.

    `by` is who decided that it goes: `hub`, or the user who released it (the MDN then says sent manually)."""

    recipient: str
    code: int = 0
    label: str = ""
    reason: str = ""
    by: str = "hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Put before a human, with the reasons. `about` says what the human must decide."""

    about: Literal["message", "receipt"] = "message"
    reasons: tuple[Reason, ...] = ()
    match: Match | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Refuse the message: it stays in the spool, nothing is filed, the sender is told if they asked."""

    reasons: tuple[Reason, ...] = ()
    reason: str = ""


Step = Filing | Handover | Composition | Delivery | Receipt | News | Release | Hold | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTried:
    """One rule of `routes.yaml` as it was tried: its conditions with the value seen, and whether each held."""

    name: str
    line: int
    matched: bool
    conditions: tuple[tuple[str, str, bool], ...] = ()  # (condition as written, value seen, held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All deeds for one message, in order, and the rule that decided them."""

    rule: str
    steps: tuple[Step, ...] = ()
    tried: tuple[RuleTried, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """Everything the mind concluded on one message: what `hub explain` prints and the spool keeps."""

    classification: Classification
    match: Match
    plan: Plan
    kinds: tuple[str | None, ...] = ()  # kind of each document, in order
    verdict: Verdict | None = None  # on its signature, as given at reception


@dataclass(frozen=True, slots=True)
class Done:
    """The deed is done; `answer` is what the other side said, without personal content."""

    answer: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: try again at `until` (aware UTC)."""

    until: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """It may have happened: the connection broke after the final dot. Neither sent nor failed. `until`: look again then
    (aware UTC), not as soon as for other retries."""

    evidence: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """It will not happen by itself; a human must decide."""

    reason: str


Outcome = Done | Deferred | Uncertain | Failed
