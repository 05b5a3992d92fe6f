"""What a recipient finds in the mailbox, taken apart with Python's own libraries, and what the requirements want there.

Nothing here uses the hub's writer or reader: names, subjects and headers are worked out again from mssante.md §4.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import getaddresses
from functools import cached_property
from zoneinfo import ZoneInfo

from lxml import etree

from tests.trips.mailbag import Written
from tests.trips.office import DIRECTION, PRODUCT, SECRETARIAT, SHOWN, TEAM, parsed

CDA = "{urn:hl7-org:v3}"
PARIS = ZoneInfo("Europe/Paris")
OURS_DOMAIN = "mecs.mssante.example"
# No header of the secretary's program goes on, but those that the requirements name.
HEADERS = (
    "Date", "From", "To", "Reply-To", "Subject", "Message-ID", "In-Reply-To", "References", "MIME-Version",
    "Disposition-Notification-To", "X-MSS-NIL", "X-MSS-CODECDA", "X-MSS-INS", "Content-Type",
)  # fmt: skip
OF_THE_WAY = ("Return-Path", "Delivered-To", "Received")


@dataclass(frozen=True)
class Arrived:
    """One mail in the mailbox of `recipient`; `raw` as IMAP gives it (CRLF)."""

    recipient: str
    raw: bytes

    @cached_property
    def mail(self) -> EmailMessage:
        return parsed(self.raw)

    @property
    def message_id(self) -> str:
        return str(self.mail["Message-ID"])

    @cached_property
    def entity(self) -> EmailMessage:
        """What is signed."""
        first = next(self.mail.iter_parts(), self.mail)
        assert isinstance(first, EmailMessage)
        return first

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(self.files["IHE_XDM.zip"]))

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Every attachment of the signed entity, by its name."""
        return {str(part.get_filename()): _decoded(part) for part in self.entity.iter_attachments()}

    @property
    def copies(self) -> dict[str, bytes]:
        return {name: raw for name, raw in self.files.items() if name != "IHE_XDM.zip"}

    @cached_property
    def cdas(self) -> tuple[bytes, ...]:
        """None in an ordinary mail."""
        if "IHE_XDM.zip" not in self.files:
            return ()
        names = [name for name in self.archive.namelist() if re.search(r"/DOC\d+\.XML$", name)]
        return tuple(self.archive.read(name) for name in sorted(names))

    @property
    def metadata(self) -> bytes:
        return self.archive.read("IHE_XDM/SUBSET01/METADATA.XML")

    @property
    def codes(self) -> tuple[str, ...]:
        roots = (etree.fromstring(raw) for raw in self.cdas)
        return tuple(str(root.find(f"{CDA}code").get("code")) for root in roots)  # type: ignore[union-attr]

    @property
    def signed_bytes(self) -> bytes:
        """The signed entity as it came, cut out at its boundary."""
        mark = b"--" + str(self.mail.get_boundary()).encode()
        return self.raw.split(mark + b"\r\n", 2)[1].removesuffix(b"\r\n")

    def shown(self, name: str) -> str | None:
        """A header as people see it; addresses without their brackets, but for the author."""
        found = self.mail[name]
        if found is None or name not in ("To", "Reply-To", "Disposition-Notification-To"):
            return None if found is None else str(found)
        return ", ".join(address for _, address in getaddresses([str(found)]))

    def lines(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """The headers beside these."""
        left = {name.casefold() for name in names}
        return [(name, value) for name, value in self.mail.items() if name.casefold() not in left]


def _decoded(part: EmailMessage) -> bytes:
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    return raw


def expected_headers(one: Written) -> dict[str, str | None]:
    """Name -> value, None for a header that must be absent."""
    box = one.sender.partition("@")[0]
    is_real = one.sender == DIRECTION  # whose usagers have a qualified INS of the real authority; test ones never say O
    return {
        "From": f"{SHOWN[box]} <{one.sender}>",
        "To": ", ".join(one.recipients),
        "Reply-To": {SECRETARIAT: None, DIRECTION: TEAM}[one.sender],  # ECO.2.2.7
        "Subject": expected_subject(one),
        "In-Reply-To": one.answers,  # ECO.2.2.2
        "References": one.answers,
        "Disposition-Notification-To": one.sender,  # ECO.2.3.2
        "X-MSS-NIL": PRODUCT,  # ECO.2.4.3
        "X-MSS-CODECDA": ",".join([one.kind.code] * len(one.pdfs)),  # ECO.2.4.1
        "X-MSS-INS": "O" if is_real else "N",  # ECO.2.4.2
        "X-MSS-MES": None,  # ECO.2.2.8: to a usager only
        "Auto-Submitted": None,
    }


def expected_subject(one: Written) -> str:
    """ECO.2.1.3, and guard G14 for social kinds: the number, no name."""
    label = one.kind.label[:40].strip() if len(one.pdfs) == 1 else f"{len(one.pdfs)} documents"
    if not one.kind.shows_name:
        return f"XDM/1.0/DDM+{label} dossier {one.usager.record_number}"
    return f"XDM/1.0/DDM+{label} {_family(one)} {_given(one)} {_born(one)}"


def expected_names(one: Written, sent_at: datetime) -> list[str]:
    """ECO.2.1.6: `<AAAAMMJJ>_<type>_<NOM>_<prenom>_<dossier>.pdf`, no two the same; the day is that of Paris."""
    label = one.kind.label.replace(" / ", " - ")[:40].strip()
    parts = [f"{sent_at.astimezone(PARIS):%Y%m%d}", label, _family(one), _given(one), str(one.usager.record_number)]
    names = ["_".join(parts) + ".pdf"]
    for number in range(2, len(one.pdfs) + 1):
        end = f" {number}"
        parts[1] = one.kind.label.replace(" / ", " - ")[: 40 - len(end)].strip() + end
        names.append("_".join(parts) + ".pdf")
    return names


def _family(one: Written) -> str:
    return _bare(str(one.usager.identity.birth_name)).upper()


def _given(one: Written) -> str:
    return _bare(str(one.usager.identity.first_given))


def _born(one: Written) -> str:
    return "/".join(reversed(str(one.usager.identity.birth_date).split("-")))


def _bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
