"""Every setting of the hub: typed, with its default and its reason.

`config/hub.yaml` shows each one at its default with its why; a site writes only its differences in its own
`hub.yaml`. A test checks both directions: every setting is explained there, every explanation is a setting.
Relative paths are taken from the folder of the site's `hub.yaml`. Secrets never stand in the file: they are
named by files (`password_file`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import date, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from hub import configuration
from hub.quirks import KnownOperator, Sasl, load_known


def _seconds(value: object) -> object:
    """`90s`, `10m`, `2h`, `7d` or a number of seconds."""
    if isinstance(value, str) and value[:-1].isdigit() and value[-1] in "smhd":
        return timedelta(seconds=int(value[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[value[-1]])
    if isinstance(value, str):
        raise ValueError("a duration is expected, such as 90s, 10m, 2h or 7d")
    return value


def _bytes(value: object) -> object:
    """`64KB`, `25MB` (powers of 1,024) or a number of bytes."""
    if isinstance(value, str):
        for unit, factor in (("KB", 1024), ("MB", 1024**2), ("GB", 1024**3)):
            if value.endswith(unit) and value[: -len(unit)].strip().isdigit():
                return int(value[: -len(unit)]) * factor
        raise ValueError("a size is expected, such as 64KB or 25MB")
    return value


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("a duration cannot be negative")
    return value


def _over_zero(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("a duration over 0 is expected")
    return value


Duration = Annotated[
    timedelta,
    AfterValidator(_not_negative),
    BeforeValidator(_seconds),
    PlainSerializer(lambda d: f"{int(d.total_seconds())}s"),
]
Period = Annotated[Duration, AfterValidator(_over_zero)]  # of a loop or a deadline: 0 would spin, or never succeed
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]


_IMAP_ATOM = re.compile(r"""[^\x00-\x20\x7f-\U0010ffff(){%*"\\\]]{1,60}""")
ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}$"
BROKERS = ("sql", "amqp", "amqps", "redis", "rediss")  # schemes of broker_url; hub.worker.broker builds each
_Fault = tuple[tuple[str | int, ...], str]  # path of a value, what is wrong with it


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PostalAddress(Section):
    street: str = ""
    complement: str = ""
    postal_code: str = ""
    city: str = ""


class Guardian(Section):
    organisation: str = ""
    organisation_id: str = ""


class Software(Section):
    name: str = "hub"
    maker: str = ""
    number: str = Field(default="hub", pattern=r"^[A-Za-z0-9._-]{1,40}$")


class Site(Section):
    name: str = "Établissement"
    finess: str = Field(default="", pattern=r"^([0-9][0-9AB][0-9]{7})?$")
    siret: str = Field(default="", pattern=r"^([0-9]{14})?$")
    address: PostalAddress = PostalAddress()
    address_is_secret: bool = False
    telecoms: tuple[Annotated[str, Field(pattern=r"^(tel|fax|mailto):\S{1,100}$")], ...] = ()
    guardian: Guardian = Guardian()
    software: Software = Software()
    product_reference: str = ""
    timezone: str = "Europe/Paris"

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("no such time zone, such as Europe/Paris") from None
        return value

    @field_validator("product_reference")
    @classmethod
    def _is_a_reference(cls, value: str) -> str:
        if value and not (value.isascii() and value.isalnum()):
            raise ValueError("X-MSS-NIL takes letters and digits only (ECO.2.4.3)")
        return value


class Secret(Section):
    """A client certificate with its key: one PEM file, PEM certificate and key files, or a PKCS#12 file."""

    file: Path
    key_file: Path | None = None
    password_file: Path | None = None


class Endpoint(Section):
    host: str
    port: int = Field(ge=1, le=65535)
    tls: Literal["implicit", "starttls"]
    server_name: str | None = None


# A structure's national id as it stands in the OU of its certificates (mssante.md §11.2).
Structure = Annotated[str, Field(pattern=r"^(3[0-9]{14}|1[0-9A-Z]{9})?$")]


class Operator(Section):
    """What is None may be known of the operator (`known_as`; `load_settings` takes it), else the general rule holds:
    the properties tell what is done."""

    name: str
    known_as: str | None = None
    imap: Endpoint | None = None
    smtp: Endpoint | None = None
    srv_priority: int = Field(default=20, ge=0, le=65535)
    srv_targets: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.*-]{1,253}$")], ...] = ()
    server_name: str | None = None
    ca_file: Path | None = None
    revocation: Literal["required", "published", "off"] | None = None
    pin: str | tuple[str, ...] | None = None
    certificate: Secret | None = None
    next_certificate: Secret | None = None
    next_from: date | None = None
    structure: Structure = ""
    sasl: Sasl | None = None
    smtp_sasl: Sasl | None = None
    ciphers: str = (
        "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256"
    )
    tls13: bool = True
    dsn: bool | None = None
    sent_copies: bool | None = None
    sent_folder: str | None = None
    excluded_folders: tuple[str, ...] | None = None
    message_most: Size | None = None

    @property
    def opens_by(self) -> Sasl:
        return self.sasl or "external"

    @property
    def sends_by(self) -> Sasl:
        return self.smtp_sasl or "none"

    @property
    def asks_dsn(self) -> bool:
        return self.dsn is not False

    @property
    def keeps_sent_copies(self) -> bool:
        return self.sent_copies is True

    def lacks(self, fact: str) -> bool:
        """Whether the settings leave it to what is known (`hub.quirks`, names of facts)."""
        return getattr(self, fact.removesuffix("_host")) is None

    def as_known(self, known: KnownOperator) -> Operator:
        """With the facts that the settings leave open."""
        taken = {name: fact.value for name, fact in known.facts() if self.lacks(name)}
        for service, port in (("imap", 143), ("smtp", 587)):
            if (host := taken.pop(f"{service}_host", None)) is not None:
                taken[service] = Endpoint(host=str(host), port=port, tls="starttls")
        return self.model_copy(update=taken)

    @field_validator("pin")
    @classmethod
    def _are_fingerprints(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for one in (value,) if isinstance(value, str) else value or ():
            if not re.fullmatch("[0-9A-Fa-f]{64}", one.replace(":", "")):
                raise ValueError("a SHA-256 fingerprint is expected: 64 hexadecimal digits, with or without colons")
        return value

    @property
    def pins(self) -> frozenset[str]:
        """In lower case, without colons."""
        named = (self.pin,) if isinstance(self.pin, str) else self.pin or ()
        return frozenset(one.replace(":", "").lower() for one in named)


class Signing(Section):
    certificate: Secret
    chain_file: Path | None = None
    next: Secret | None = None
    next_from: date | None = None
    address_required: bool = True


class Mailbox(Section):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    address: str = Field(pattern=ADDRESS)
    operator: str
    display_name: str = ""
    folder: str = "INBOX"
    after: Literal["mark", "move"] = "mark"
    mark: str = "$HubAccepted"
    move_to: str = "Traites"
    test: bool = False
    sasl: Sasl | None = None
    username: str | None = None
    password_file: Path | None = None
    certificate: Secret | None = None
    next_certificate: Secret | None = None
    next_from: date | None = None
    structure: Structure = ""
    signing: Signing | None = None
    reply_to: str | None = None
    sent_folder: str | None = Field(default=None, min_length=1, max_length=200)
    silence_most: Period | None = None

    @field_validator("sent_folder")
    @classmethod
    def _is_a_folder(cls, value: str | None) -> str | None:
        if value is not None and any(ord(c) < 32 or ord(c) == 127 for c in value):
            raise ValueError("a folder name holds no control character")
        return value

    @field_validator("mark")
    @classmethod
    def _is_a_keyword(cls, value: str) -> str:
        """A keyword is an atom (RFC 3501 §9). System flags are the people's who read the mailbox: \\Seen would hide a
        message from them, \\Deleted lose it; \\Flagged only shows it."""
        if value.lower() == "\\flagged" or _IMAP_ATOM.fullmatch(value):
            return value
        raise ValueError("an IMAP keyword is expected, such as $HubAccepted (no \\Seen, \\Deleted, blanks or accents)")


class Watching(Section):
    idle_renewal: Duration = timedelta(minutes=9)
    poll: Period = timedelta(minutes=5)
    command_timeout: Period = timedelta(seconds=60)
    connect_timeout: Period = timedelta(seconds=30)
    backoff_first: Period = timedelta(seconds=2)
    backoff_most: Period = timedelta(minutes=5)
    piece: Size = Field(default=1024**2, gt=0)
    message_most: Size = 200 * 1024**2
    silence_most: Period = timedelta(minutes=20)

    @field_validator("idle_renewal")
    @classmethod
    def _within_ten_minutes(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=1) <= value <= timedelta(minutes=10):
            raise ValueError("IDLE is renewed within 10 minutes (complaints.md, row 4)")
        return value


class Reading(Section):
    header_block: Size = 256 * 1024
    header: Size = 32 * 1024
    parts: int = Field(default=1_000, ge=1)
    depth: int = Field(default=50, ge=1)
    message: Size = 60 * 1024**2
    entries: int = Field(default=500, ge=1)
    unpacked: Size = 200 * 1024**2
    ratio: int = Field(default=200, ge=1)
    memory: Size = 300 * 1024**2
    seconds: Period = timedelta(seconds=5)
    processes: int = Field(default=1, ge=1)
    recycle_after: int = Field(default=2_000, ge=1)


class Spooling(Section):
    lease: Period = timedelta(minutes=2)
    attempts: int = Field(default=12, ge=1)
    deaths: int = Field(default=3, ge=1)
    retry_first: Period = timedelta(seconds=30)
    retry_most: Period = timedelta(hours=2)
    give_up_after: Period = timedelta(days=3)
    sweep_every: Period = timedelta(seconds=30)
    inline_most: Size = 96 * 1024
    same_within: Period = timedelta(days=7)


class Hosts(Section):
    look_every: Period = timedelta(seconds=5)
    lease: Period = timedelta(seconds=30)

    @model_validator(mode="after")
    def _has_time_to_look(self) -> Self:
        if self.lease < 3 * self.look_every:
            raise configuration.Misplaced([(("lease",), "hosts.lease must be at least three times hosts.look_every")])
        return self


class Working(Section):
    processes: int = Field(default=1, ge=0)
    threads: int = Field(default=4, ge=1)


URGENT = ("P0", "P1")  # urgencies of kinds (document_types.yaml) whose silence is told early


class Sending(Section):
    connect_timeout: Period = timedelta(seconds=30)
    command_timeout: Period = timedelta(seconds=60)
    idle_close: Period = timedelta(seconds=55)
    receipt_return_path: Literal["empty", "mailbox"] = "empty"
    silence_after: Period = timedelta(hours=48)
    silence_after_urgent: Period = timedelta(hours=4)
    silence_most: Period = timedelta(days=30)
    message_most: Size = Field(default=20 * 1024**2, gt=0)
    asks_receipt: bool = True
    discretion: Literal["none", "subject", "subject_and_names"] = "subject"
    embeds_the_copy: bool = False
    unsigned_domains: tuple[str, ...] = ()
    evidence_within: Period = timedelta(minutes=30)
    font_file: Path = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
    bold_font_file: Path = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf")

    @model_validator(mode="after")
    def _is_seen_before_it_is_forgotten(self) -> Self:
        if self.silence_most <= max(self.silence_after, self.silence_after_urgent):
            text = "silence_most must be longer than silence_after and silence_after_urgent"
            raise configuration.Misplaced([(("silence_most",), text)])
        return self

    def silence_of(self, urgency: str) -> timedelta:
        """How long nothing may be heard of a recipient of a sending of this urgency."""
        return self.silence_after_urgent if urgency in URGENT else self.silence_after


class Submitting(Section):
    certificate: Secret | None = None
    host: str = "127.0.0.1"
    port: int | None = Field(default=587, ge=1, le=65535)
    implicit_port: int | None = Field(default=465, ge=1, le=65535)
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]{1,253}$")
    message_most: Size = Field(default=35 * 1024**2, gt=0)
    recipients_most: int = Field(default=100, ge=1)
    sessions_most: int = Field(default=100, ge=1)
    sessions_each: int = Field(default=30, ge=1)
    login_within: Period = timedelta(seconds=60)
    silence_most: Period = timedelta(minutes=5)
    piece_within: Period = timedelta(minutes=3)
    message_within: Period = timedelta(hours=1)
    failures_each: int = Field(default=50, ge=1)
    messages_a_minute: int = Field(default=60, ge=1)
    messages_an_hour: int = Field(default=500, ge=1)
    bytes_an_hour: Size = Field(default=1024**3, gt=0)
    stop_within: Duration = timedelta(seconds=10)
    roles_domain: str = Field(default="dossier.invalid", pattern=r"^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+$")

    @model_validator(mode="after")
    def _listens_somewhere(self) -> Self:
        if self.certificate is not None and self.port is None and self.implicit_port is None:
            raise configuration.Misplaced([(("port",), "with a certificate, port or implicit_port is needed")])
        if self.port is not None and self.port == self.implicit_port:
            raise configuration.Misplaced([(("implicit_port",), "port and implicit_port must differ")])
        return self


class Fetching(Section):
    proxy: str | None = Field(default=None, pattern=r"^https?://[^\s@]{1,255}$")
    connect_timeout: Period = timedelta(seconds=10)
    answer_within: Period = timedelta(seconds=30)
    backoff_first: Period = timedelta(minutes=1)
    backoff_most: Period = timedelta(hours=2)


_HttpUrl = Annotated[str, Field(pattern=r"^http://[!-~]{1,500}$")]  # what is fetched there is signed: TLS adds nothing


class Point(Section):
    authority: str = Field(min_length=1, max_length=200)
    crl: _HttpUrl | None = None
    ocsp: _HttpUrl | None = None


class Trusting(Section):
    test_authorities: Path | None = None
    refresh_every: Period = timedelta(hours=2)
    list_most: Size = Field(default=64 * 1024**2, gt=0)
    stale_after: Period = timedelta(hours=12)
    points: tuple[Point, ...] = (
        Point(
            authority="AC IGC-SANTE ELEMENTAIRE ORGANISATIONS",
            crl="http://igc-sante.esante.gouv.fr/CRL/ACI-EL-ORG.crl",
            ocsp="http://ocsp.esante.gouv.fr",
        ),
        Point(
            authority="AC RACINE IGC-SANTE ELEMENTAIRE",
            crl="http://igc-sante.esante.gouv.fr/CRL/ACR-EL.crl",
            ocsp="http://ocsp.esante.gouv.fr",
        ),
    )


class Membership(Section):
    url: str | None = Field(default=None, pattern=r"^https?://[^\s@]{1,400}$")
    file: Path | None = None
    every: Period = timedelta(hours=6)
    stale_after: Period = timedelta(days=3)
    shrink_most: int = Field(default=20, ge=0, le=100)
    signature: Literal["required", "when_present", "off"] = "when_present"
    signer: str | None = Field(default=None, min_length=1, max_length=200)
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _is_asked_for_before_it_is_stale(self) -> Self:
        if self.stale_after <= self.every:
            raise configuration.Misplaced([(("stale_after",), "stale_after must be longer than every")])
        return self

    @property
    def is_listed(self) -> bool:
        """Whether a list is to be had from somewhere."""
        return self.url is not None or self.file is not None


class DirectorySettings(Section):
    extraction_url: str | None = Field(default=None, pattern=r"^https?://[^\s@]{1,500}$")
    extraction_ca_file: Path | None = None
    extraction_file: Path | None = None
    every: Duration = timedelta(days=1)
    stale_after: Period = timedelta(days=7)
    remembered_for: Duration = timedelta(days=90)
    download_most: Size = Field(default=100 * 1024**2, gt=0)
    download_within: Period = timedelta(minutes=15)
    unpacked_most: Size = Field(default=500 * 1024**2, gt=0)
    broken_most: float = Field(default=0.001, ge=0, le=1)
    shrink_most: int = Field(default=10, ge=0, le=100)
    api_url: str | None = Field(default=None, pattern=r"^https?://[^\s@]{1,500}$")
    api_key_file: Path | None = None
    api_ca_file: Path | None = None
    calls_a_second: int = Field(default=17, ge=1, le=1000)
    answers_kept: Duration = timedelta(days=1)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        faults: list[_Fault] = []
        if self.every < timedelta(days=1):
            faults.append((("every",), "the directory is asked for at most daily: 1d or longer"))
        if self.extraction_url is not None and self.extraction_file is not None:
            faults.append((("extraction_file",), "extraction_url and extraction_file: one of the two"))
        if self.api_url is not None and self.api_key_file is None:
            faults.append((("api_url",), "api_url needs api_key_file"))
        if faults:
            raise configuration.Misplaced(faults)
        return self


class Dns(Section):
    servers: tuple[str, ...] = ()
    answer_within: Period = timedelta(seconds=5)
    told_after: Duration = timedelta(days=1)

    @field_validator("servers")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            _address_and_port(one)
        return value

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """(address, port) of each resolver; none: those of this machine."""
        return tuple(map(_address_and_port, self.servers))


def _address_and_port(value: str) -> tuple[str, int]:
    """`192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})|([0-9A-Fa-f:.]+)", value)
    address, port = (found[1] or found[3] or found[5], int(found[2] or found[4] or 53)) if found else ("", 0)
    try:
        ip_address(address)
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise ValueError("the address of a DNS server is expected, such as 192.0.2.53 or 192.0.2.53:5353")
    return address, port


class Deciding(Section):
    kind_confidence: float = Field(default=0.6, ge=0, le=1)
    qualified_statuses: tuple[str, ...] = ("qualifiee",)
    birth_place_required: bool = False
    order_grace: Duration = timedelta(minutes=10)
    member_domains: tuple[Annotated[str, Field(pattern=r"^[^\s@.]+(\.[^\s@.]+)+$")], ...] = ()
    unknown_previous: Literal["file", "hold"] = "file"


class Signatures(Section):
    anchors: Path | None = None
    purposes: tuple[Annotated[str, Field(pattern=r"^[0-2](\.[0-9]{1,20}){1,20}$")], ...] = ("1.3.6.1.5.5.7.3.4",)


class Role(Section):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")
    label: str = Field(min_length=2, max_length=80)
    shared: bool = False


class AddressBook(Section):
    roles: tuple[Role, ...] = (
        Role(name="referent_ase", label="référent ASE"),
        Role(name="secretariat_territoire", label="secrétariat du territoire"),
        Role(name="responsable_territoire", label="responsable du territoire"),
        Role(name="medecin_ase", label="médecin référent de la protection de l'enfance"),
        Role(name="crip", label="CRIP"),
        Role(name="educateur_pjj", label="éducateur PJJ"),
        Role(name="medecin_traitant", label="médecin traitant"),
    )

    @field_validator("roles")
    @classmethod
    def _are_told_apart(cls, value: tuple[Role, ...]) -> tuple[Role, ...]:
        """In an address a hyphen, a dot or nothing may stand for the underline."""
        names = [one.name.replace("_", "") for one in value]
        if len(set(names)) < len(names):
            raise ValueError("two roles have the same name")
        return value


class Alerting(Section):
    every: Period = timedelta(minutes=1)
    ledger_every: Period = timedelta(hours=1)
    carried_within: Period = timedelta(minutes=10)
    finished_within: Period = timedelta(hours=1)
    certificate_notices: tuple[Period, ...] = Field(
        default=tuple(timedelta(days=days) for days in (90, 60, 30, 14, 7)), min_length=1, max_length=20
    )
    remind_every: Period = timedelta(days=1)
    mail_to: tuple[Annotated[str, Field(pattern=ADDRESS)], ...] = Field(default=(), max_length=20)
    mail_from: str | None = None
    mail_rest: Duration = timedelta(minutes=10)

    @model_validator(mode="before")
    @classmethod
    def _is_not_of_an_earlier_version(cls, value: object) -> object:
        if isinstance(value, dict) and "certificate_notice" in value:
            text = "it is certificate_notices now, a list such as [90d, 60d, 30d, 14d, 7d]"
            raise configuration.Misplaced([(("certificate_notice",), text)])
        return value

    @field_validator("certificate_notices")
    @classmethod
    def _from_the_first_to_the_last(cls, value: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        if list(value) != sorted(set(value), reverse=True):
            raise ValueError("each notice is shorter than the one before it, such as [90d, 30d, 7d]")
        return value

    @model_validator(mode="after")
    def _has_a_writer(self) -> Self:
        if self.mail_to and self.mail_from is None:
            raise configuration.Misplaced([(("mail_to",), "mail_from is needed: the mailbox that writes")])
        return self


class Web(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8780, ge=1, le=65535)
    public_url: str = ""

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        is_bare = not (parts.query or parts.fragment or parts.username or parts.password)
        if value and not (parts.scheme in ("https", "http") and parts.hostname and is_bare):
            raise ValueError("a web address is expected, such as https://hub.example.org")
        return value.rstrip("/")


class Settings(Section):
    database_url: str = "sqlite:///hub.db"
    broker_url: str = "sql://"
    broker_password_file: Path | None = None
    broker_ca_file: Path | None = None
    data_dir: Path = Path(".")
    key_file: Path = Path("keys/data.keys")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    routes_file: Path = Path("routes.yaml")
    document_types_file: Path | None = None
    operators_file: Path | None = None
    codes_dir: Path | None = None
    site: Site = Site()
    operators: tuple[Operator, ...] = ()
    mailboxes: tuple[Mailbox, ...] = ()
    watching: Watching = Watching()
    reading: Reading = Reading()
    spooling: Spooling = Spooling()
    hosts: Hosts = Hosts()
    working: Working = Working()
    submission: Submitting = Submitting()
    sending: Sending = Sending()
    deciding: Deciding = Deciding()
    fetching: Fetching = Fetching()
    trust: Trusting = Trusting()
    members: Membership = Membership()
    directory: DirectorySettings = DirectorySettings()
    dns: Dns = Dns()
    signatures: Signatures = Signatures()
    addressbook: AddressBook = AddressBook()
    alerting: Alerting = Alerting()
    web: Web = Web()

    @field_validator("broker_url")
    @classmethod
    def _is_a_broker(cls, value: str) -> str:
        """Never quotes the value: it may hold the password that it must not hold."""
        try:
            url = urlsplit(value)
            _port, place = url.port, url.path.removeprefix("/")  # what is no port raises
        except ValueError:
            raise ValueError("a URL is expected, such as amqps://user@host:5671/vhost") from None
        if url.scheme not in BROKERS:
            known = ", ".join(f"{scheme}://" for scheme in BROKERS)
            raise ValueError(f"{url.scheme or 'no scheme'} is not a broker of this version (known: {known})")
        if url.password is not None:
            raise ValueError("no password here: name a file that holds it in broker_password_file")
        if url.query or url.fragment:
            raise ValueError("nothing may follow ? or #")
        if url.scheme == "sql":
            if url.netloc or url.path:
                raise ValueError("sql:// stands alone: it is the database of database_url")
        elif not url.hostname:
            raise ValueError(f"a host is expected, such as {url.scheme}://broker.example")
        elif url.scheme.startswith("redis") and place and not place.isdecimal():
            raise ValueError("the number of a Redis database is expected after the host, such as /0")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        faults = [
            *self._repeated_names(),
            *self._faults_of_mailboxes(),
            *self._faults_with_operators(known=False),
            *self._faults_of_sent_folders(),
            *self._faults_of_silences(),
            *self._faults_of_roles(),
            *self._faults_of_successions(),
            *self._faults_of_alert_mails(),
        ]
        if self.mailboxes and not self.site.product_reference:
            faults.append(
                (
                    ("site", "product_reference"),
                    "site.product_reference (X-MSS-NIL, ECO.2.4.3) is needed to send anything",
                )
            )
        if faults:
            raise configuration.Misplaced(faults)
        return self

    def _repeated_names(self) -> Iterator[_Fault]:
        named: tuple[tuple[str, tuple[Operator, ...] | tuple[Mailbox, ...]], ...] = (
            ("operators", self.operators),
            ("mailboxes", self.mailboxes),
        )
        for section, items in named:
            names = [item.name for item in items]
            for number, name in enumerate(names):
                if name in names[:number]:
                    yield (section, number, "name"), f"two {section} have the same name"

    def _faults_of_mailboxes(self) -> Iterator[_Fault]:
        operators = {operator.name: operator for operator in self.operators}
        read: set[tuple[str, str, str]] = set()
        for number, mailbox in enumerate(self.mailboxes):
            operator = operators.get(mailbox.operator)
            if operator is None:
                yield ("mailboxes", number, "operator"), f"no operator is called {mailbox.operator}"
                continue
            place = (mailbox.operator, (mailbox.username or mailbox.address).casefold(), mailbox.folder)
            if place in read:  # everything would be accepted, and answered, twice
                yield ("mailboxes", number), "another mailbox reads the same folder of the same address"
            read.add(place)

    def _faults_with_operators(self, *, known: bool) -> Iterator[_Fault]:
        """What a mailbox and its operator disagree on. `known`: of the operators that have `known_as` (once what is
        known was taken), or of the others."""
        operators = {one.name: one for one in self.operators if (one.known_as is not None) is known}
        for number, mailbox in enumerate(self.mailboxes):
            operator = operators.get(mailbox.operator)
            if operator is None:
                continue
            for what, sasl in (("sasl", mailbox.sasl or operator.opens_by), ("smtp_sasl", operator.sends_by)):
                if sasl in ("plain", "login") and mailbox.password_file is None:
                    yield ("mailboxes", number), f"{what} {sasl} needs password_file"
                if sasl == "external" and not (mailbox.certificate or operator.certificate):
                    yield ("mailboxes", number), f"{what} external needs a certificate, of the mailbox or its operator"
            if mailbox.folder.casefold() in {name.casefold() for name in operator.excluded_folders or ()}:
                yield ("mailboxes", number, "folder"), "this folder is one of the operator's excluded_folders"

    def _faults_of_sent_folders(self) -> Iterator[_Fault]:
        """What the hub files there would come in again as a mail from outside."""
        for number, mailbox in enumerate(self.mailboxes):
            folder = (mailbox.sent_folder or "").casefold()
            if folder and folder in {one.casefold() for one in self.watched_folders(mailbox)}:
                text = "sent_folder holds what is sent: it cannot be INBOX, a folder that is read, or `move_to`"
                yield ("mailboxes", number, "sent_folder"), text

    def _faults_of_silences(self) -> Iterator[_Fault]:
        """A mailbox is compared at each poll: a shorter silence would be an alert of every quiet mailbox."""
        limits: list[tuple[tuple[str | int, ...], timedelta | None]] = [(("watching",), self.watching.silence_most)]
        limits += [(("mailboxes", number), box.silence_most) for number, box in enumerate(self.mailboxes)]
        for place, limit in limits:
            if limit is not None and limit <= self.watching.poll:
                yield (*place, "silence_most"), "silence_most must be longer than watching.poll"

    def _faults_of_roles(self) -> Iterator[_Fault]:
        """What is written there is never delivered there: it must be nobody's domain."""
        used = {box.address.rpartition("@")[2].casefold() for box in self.mailboxes}
        used |= {domain.casefold() for domain in self.deciding.member_domains}
        if self.submission.roles_domain in used:
            yield ("submission", "roles_domain"), "roles_domain is a real domain: mails to it would never arrive"

    def with_known_operators(self) -> tuple[Settings, tuple[_Fault, ...]]:
        """With what is known of the operators that have `known_as`, and what is wrong then. Raises Misconfigured (the
        file of what is known)."""
        if all(operator.known_as is None for operator in self.operators):
            return self, ()
        assert self.operators_file is not None  # made absolute when the settings were loaded
        known, faults, operators = load_known(self.operators_file).operators, [], []
        for number, operator in enumerate(self.operators):
            named = operator.known_as
            if named is not None and named not in known:
                text = f"nothing is known of {named} (known: {', '.join(sorted(known))})"
                faults.append((("operators", number, "known_as"), text))
            operators.append(operator.as_known(known[named]) if named in known else operator)
        settings = self.model_copy(update={"operators": tuple(operators)})
        return settings, (*faults, *settings._faults_with_operators(known=True))

    def message_most(self, mailbox: Mailbox) -> int:
        """The largest mail that is composed for it, in bytes."""
        most = self.operator_of(mailbox).message_most
        return self.sending.message_most if most is None else min(most, self.sending.message_most)

    def _faults_of_successions(self) -> Iterator[_Fault]:
        holders: list[tuple[str, int, Operator | Mailbox]] = [("operators", *one) for one in enumerate(self.operators)]
        holders += [("mailboxes", *one) for one in enumerate(self.mailboxes)]
        for section, number, one in holders:
            if one.next_certificate is not None and one.certificate is None:
                text = "next_certificate follows a certificate that stands here too"
                yield (section, number, "next_certificate"), text
            if one.next_from is not None and one.next_certificate is None:
                yield (section, number, "next_from"), "next_from is the day of a next_certificate: there is none"

    def _faults_of_alert_mails(self) -> Iterator[_Fault]:
        """What a site tells of itself stays within the trust space."""
        alerting = self.alerting
        if alerting.mail_from is not None and self.mailbox(alerting.mail_from) is None:
            yield ("alerting", "mail_from"), f"no mailbox is called {alerting.mail_from}"
        members = {domain.casefold() for domain in self.deciding.member_domains}
        members |= {box.address.rpartition("@")[2].casefold() for box in self.mailboxes}
        is_known = bool(self.deciding.member_domains) and not self.members.is_listed  # else asked when a mail leaves
        for number, address in enumerate(alerting.mail_to if is_known else ()):
            if address.rpartition("@")[2].casefold() not in members:
                yield (
                    ("alerting", "mail_to", number),
                    "this address is not of the trust space (deciding.member_domains)",
                )

    def silence_most(self, mailbox: Mailbox) -> timedelta:
        """How long a mailbox may go without a sign of progress."""
        return self.watching.silence_most if mailbox.silence_most is None else mailbox.silence_most

    def watched_folders(self, mailbox: Mailbox) -> frozenset[str]:
        """Where mail comes in at the address of this mailbox, whichever mailbox of the settings reads it."""
        place = (mailbox.operator, (mailbox.username or mailbox.address).casefold())
        read = [box for box in self.mailboxes if (box.operator, (box.username or box.address).casefold()) == place]
        moved = [box.move_to for box in read if box.after == "move"]
        return frozenset({"INBOX", *(box.folder for box in read), *moved})

    def operator_of(self, mailbox: Mailbox) -> Operator:
        return next(operator for operator in self.operators if operator.name == mailbox.operator)

    def mailbox(self, name: str) -> Mailbox | None:
        return next((mailbox for mailbox in self.mailboxes if mailbox.name == name), None)


def default_config_dir() -> Path:
    """The folder of the shipped configuration: beside the package in a checkout, inside it in a wheel."""
    inside = Path(__file__).parent / "_config"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "config"


def load_settings(path: Path) -> Settings:
    """The settings of a site, its paths made absolute, what is known of its operators taken. Raises Misconfigured with
    `file:line` errors."""
    tree = configuration.parse_yaml(configuration.read_file(path), str(path))
    settings = with_absolute_paths(configuration.validate(Settings, tree, str(path)), path.resolve().parent)
    settings, faults = settings.with_known_operators()
    if faults:
        raise configuration.misplaced(tree, str(path), faults)
    return settings


def with_absolute_paths(settings: Settings, base: Path) -> Settings:
    """The same settings with every relative path taken from `base`."""

    def absolute(value: object) -> object:
        if isinstance(value, Path):
            return Path(os.path.normpath(base / value))
        if isinstance(value, Section):
            return value.model_copy(update={k: absolute(v) for k, v in value})
        if isinstance(value, tuple):
            return tuple(absolute(item) for item in value)
        return value

    moved = absolute(settings)
    assert isinstance(moved, Settings)
    url = moved.database_url
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////") and url != "sqlite://":
        url = f"sqlite:///{os.path.normpath(base / url.removeprefix('sqlite:///'))}"
    return moved.model_copy(
        update={
            "database_url": url,
            "document_types_file": moved.document_types_file or default_config_dir() / "document_types.yaml",
            "operators_file": moved.operators_file or default_config_dir() / "operators.yaml",
            "codes_dir": moved.codes_dir or default_config_dir() / "codes",
        }
    )
