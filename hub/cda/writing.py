"""What is to be written: a piece (one CDA document), the people and structures in its header, the lot they leave in.

Frozen values without any I/O: whoever plans a sending fills them, `write_cda` and `write_archive` turn them into bytes.
National ids follow the ANS forms (cda-xdm.md §3.6): persons and systems `8`+RPPS, `3`+FINESS+`/`+internal number;
structures `1`+FINESS, `2`+SIREN, `3`+SIRET. Every time is an aware datetime: its offset is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hub.cda.xml import tidy
from hub.message import Action, Coded, LocalId, Usager

PERSONS = "1.2.250.1.71.4.2.1"  # authority of PS_IdNat: professionals and systems
STRUCTURES = "1.2.250.1.71.4.2.2"  # authority of Struct_IdNat
CONFIDENTIALITY = "2.16.840.1.113883.5.25"
VISIBILITY = "1.2.250.1.213.1.1.4.13"  # INVISIBLE_PATIENT and the like: in the metadata only (cda-xdm.md §3.5)

NORMAL = Coded("N", CONFIDENTIALITY, "Normal")
SOCIAL_DOCUMENT = Coded("28653-4", "2.16.840.1.113883.6.1", "Document du secteur social / médico-social")
CHILD_PROTECTION = Coded("SA20", "1.2.250.1.71.4.2.4", "Etablissement pour la protection de l'enfance")
SOCIAL_SETTING = Coded("ESSMS", "1.2.250.1.213.1.1.4.9", "Etablissement ou Service Social ou Médico-Social")
ANY_ACTIVITY = Coded("97", "1.2.250.1.213.2.2", "Type d'activité indifférencié")
RECORD_SOFTWARE = Coded("LOGICIEL_DUI", "1.2.250.1.213.1.1.4.6", "Logiciel de Dossier Usager Informatisé")
UNREFERENCED_FORMAT = Coded(
    "urn:asipSante:modelesHorsProfils:2011", "1.2.250.1.213.1.1.4.2.282", "Document non référencé IHE ou CI-SIS"
)


def internal_id(finess: str, number: str) -> str:
    """The id of a person or system without a national number, given by its establishment: `3<FINESS>/<number>`."""
    return f"3{finess}/{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A postal address; parts that are empty are not written."""

    street: str = ""
    complement: str = ""
    postal_code: str = ""
    city: str = ""
    country: str = "FRANCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """An establishment, a service, a département. `telecoms` are URLs (`tel:…`, `mailto:…`).

    `address_is_secret` (CC 375-7, guard G07) masks address and telecoms wherever the structure is written.
    `local_id_root` is the authority of the numbers that it gives to its usagers (confidence low, cda-xdm.md §4.2).
    """

    name: str
    national_id: str
    internal_ids: tuple[LocalId, ...] = ()
    address: Address | None = None
    telecoms: tuple[str, ...] = ()
    address_is_secret: bool = False
    facility: Coded = CHILD_PROTECTION
    setting: Coded = SOCIAL_SETTING
    activity: Coded = ANY_ACTIVITY
    local_id_root: str = STRUCTURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Professional:
    """A person who writes, signs or receives for a structure."""

    family: str
    given: str
    national_id: str
    role: Coded
    structure: Structure
    prefix: str = ""  # JDV_J245: M, MME…


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """A program that writes for a structure: the DUI."""

    name: str
    maker: str
    national_id: str
    structure: Structure
    role: Coded = RECORD_SOFTWARE


Signatory = Professional | Software


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardian:
    """Who answers for a minor: a person (`family`, `given`) or an organisation (`organisation`: the ASE department)."""

    family: str = ""
    given: str = ""
    organisation: str = ""
    organisation_id: str = ""
    address: Address | None = None
    telecoms: tuple[str, ...] = ()
    address_is_secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Whom the document is meant for: a person, a structure, or both (the person's own is then written)."""

    person: Professional | None = None
    structure: Structure | None = None


# --- bodies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PdfBody:
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TextBody:
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list, one item a line."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`head` may be empty; every row has as many cells as the head, or as the first row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Paragraph | Items | Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One coded answer of a form, beside the words that say it."""

    code: Coded
    value: Coded | str | bool | int | datetime | None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of an N3: what a human reads (`blocks`), and what a program reads (`entries`)."""

    title: str
    blocks: tuple[Block, ...]
    code: Coded | None = None
    entries: tuple[Observation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FormBody:
    """An N3. `model` is the OID of the form's template; `pdf` the copy for human eyes, b"" for none."""

    sections: tuple[Section, ...]
    model: str
    pdf: bytes = field(default=b"", repr=False)
    format_code: Coded = UNREFERENCED_FORMAT


Content = PdfBody | TextBody | FormBody


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One version of one document.

    `unique_id`, `set_id` and `replaces` are `root` or `root^extension`; the first is new for each version, the second
    shared by all. `replaces` is the version before (RPLC); `action` says what the receiver is asked: file (`none`),
    `replace`, or `delete` the document of this very id. The first author's structure issues the document; `signer`
    and `custodian` are the first author and that structure unless others are named. `act_at` is when what the
    document tells began, its creation when None. `confidentiality`: the first goes into the header, all of them into
    the metadata.
    """

    type_code: Coded
    title: str
    body: Content
    created_at: datetime
    unique_id: str
    set_id: str
    usager: Usager
    authors: tuple[Signatory, ...]
    kind: str | None = None
    version: int = 1
    replaces: str | None = None
    action: Action = "none"
    act_at: datetime | None = None
    act_until: datetime | None = None
    guardians: tuple[Guardian, ...] = ()
    signer: Signatory | None = None
    custodian: Structure | None = None
    recipients: tuple[Recipient, ...] = ()
    confidentiality: tuple[Coded, ...] = (NORMAL,)

    @property
    def shown_title(self) -> str:
        """As it is written: what a reader will show of it, the label of its type when that is nothing."""
        return tidy(self.title) or self.type_code.label

    @property
    def issuer(self) -> Structure:
        return self.authors[0].structure

    @property
    def began_at(self) -> datetime:
        return self.act_at or self.created_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The program that makes the archive, as README.TXT tells."""

    name: str = "hub"
    version: str = ""
    maker: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """A submission set: its id (an OID, new for each), when it is made, who sends it. `source_id` is the OID of the
    sending system, made from the structure's id when empty."""

    unique_id: str
    sent_at: datetime
    sender: Signatory
    product: Product = Product()
    source_id: str = ""
