"""The kinds of documents of the field, from `document_types.yaml`: how each is recognised and how it is treated.

YAML text in, an immutable catalogue out, its phrases indexed once. A wrong file raises Misconfigured with every
`file:line path message`. The catalogue is data with source and version: a site may replace it whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hub import configuration
from hub.errors import Misconfigured
from hub.routing.words import Phrase, PhraseIndex, phrase

UNKNOWN = "indetermine"  # the kind of what no rule recognised: it has a treatment, and is never a verdict

Weight = Literal["title", "strong", "weak", "negative"]
Urgency = Literal["P0", "P1", "P2", "P3"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Text = Annotated[str, Field(min_length=2, max_length=200)]
Pattern = Annotated[str, Field(min_length=1, max_length=200)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KindEntry(_Section):
    """One kind as written in the file. Vocabularies: see the head of `config/document_types.yaml`."""

    id: Name
    label: Text
    type_codes: tuple[str, ...] = ()
    carrier_codes: tuple[str, ...] = ()
    write_as: str = ""
    titles: tuple[Text, ...] = ()
    title_alone: bool = True
    keywords_strong: tuple[Text, ...] = ()
    keywords_weak: tuple[Text, ...] = ()
    negative_keywords: tuple[Text, ...] = ()
    issuer: tuple[Name, ...] = ()
    recipients: tuple[Name, ...] = ()
    content: Literal["admin", "social", "judicial", "health", "mixed"]
    sensitivity: Literal["S1", "S2", "S3", "S4"]
    dmp: Literal["never", "conditional", "allowed"]
    dmp_type_codes: tuple[str, ...] = ()
    channels: tuple[
        Literal[
            "MSS_PRO", "MSS_CITOYEN", "DMP", "PLEX", "PORTAIL_CD", "PORTAIL_AUTORITE", "LRAR", "COURRIER",
            "MAIN_PROPRE", "TEL", "INTERNE",
        ],
        ...,
    ] = ()  # fmt: skip
    urgency: Urgency
    deadline_days: Annotated[int, Field(ge=0)] | None = None
    deadline_basis: Literal["law", "local", "product_default", "document", "none"] = "none"
    deadline_actor: Name = "none"
    deadline_note: str = ""
    guards: tuple[Annotated[str, Field(pattern=r"^G[0-9]{2}$")], ...] = ()
    legal: tuple[str, ...] = ()
    conf: Literal["A", "B", "C", "D"]


class SenderEntry(_Section):
    """Who writes from an address or a domain (`*@ase.exemple.mssante.fr`): a hint, never a proof."""

    address: Pattern
    issuer: Name


class CatalogueFile(_Section):
    """The whole of `document_types.yaml`."""

    version: str
    source: str = ""
    senders: tuple[SenderEntry, ...] = ()
    negative_keywords: tuple[Text, ...] = ()  # against every kind: papers that speak of documents and are none
    document_types: Annotated[tuple[KindEntry, ...], Field(min_length=1)]
    guards: dict[Annotated[str, Field(pattern=r"^G[0-9]{2}$")], str] = {}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind, ready for use. `carrier_codes` are declared codes that say nothing of the kind by themselves;
    `write_as` is the code under which the hub itself writes such a document, "" for the general one."""

    id: str
    label: str
    urgency: Urgency
    sensitivity: str
    content: str
    type_codes: frozenset[str]
    carrier_codes: frozenset[str]
    issuers: frozenset[str]
    title_alone: bool
    write_as: str


@dataclass(frozen=True, slots=True)
class Weighed:
    """What finding a phrase says: for which kind, and how."""

    kind: str
    weight: Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All kinds, with the index of their phrases and of their codes."""

    version: str
    kinds: dict[str, Kind]
    senders: tuple[tuple[str, str], ...]  # (glob of the address, issuer)
    index: PhraseIndex
    weighed: dict[Phrase, tuple[Weighed, ...]]
    by_code: dict[str, tuple[str, ...]]  # kinds that a declared code names
    by_carrier: dict[str, tuple[str, ...]]  # kinds that may travel under a general code
    worded: frozenset[str]  # the codes that leave a choice, which words then make

    def urgency(self, kind: str | None) -> Urgency:
        """That of the kind; of `indetermine` when there is none."""
        found = self.kinds.get(kind or UNKNOWN)
        return found.urgency if found else "P1"

    def label(self, kind: str | None) -> str:
        found = self.kinds.get(kind or UNKNOWN)
        return found.label if found else (kind or "Non reconnu")


def load_catalogue(text: str, name: str) -> Catalogue:
    """The catalogue of a YAML text; `name` is what errors call the file. Raises Misconfigured."""
    tree = configuration.parse_yaml(text, name)
    file = configuration.validate(CatalogueFile, tree, name)
    errors = _disagreements(file)
    if errors:
        lines = sorted((configuration.line_of(tree, path), message) for path, message in errors)
        raise Misconfigured("\n".join(f"{name}:{line} {message}" for line, message in lines))
    return _compiled(file)


def _disagreements(file: CatalogueFile) -> list[tuple[Sequence[str | int], str]]:
    """What the model cannot see: ids given twice, guards that do not exist, phrases without a word."""
    errors: list[tuple[Sequence[str | int], str]] = []
    seen: set[str] = set()
    for number, entry in enumerate(file.document_types):
        where: tuple[str | int, ...] = ("document_types", number)
        if entry.id in seen:
            errors.append(((*where, "id"), f"document_types.{number}.id {entry.id} is given twice"))
        seen.add(entry.id)
        for guard in entry.guards:
            if guard not in file.guards:
                errors.append(((*where, "guards"), f"document_types.{number}.guards {guard} is not in guards"))
        for field in ("titles", "keywords_strong", "keywords_weak", "negative_keywords"):
            for text in getattr(entry, field):
                if phrase(text) is None:
                    errors.append(((*where, field), f"document_types.{number}.{field} {text!r} has no word"))
    for text in file.negative_keywords:
        if phrase(text) is None:
            errors.append((("negative_keywords",), f"negative_keywords {text!r} has no word"))
    if UNKNOWN not in seen:
        errors.append((("document_types",), f"document_types has no kind {UNKNOWN} (the treatment of the rest)"))
    return errors


def _compiled(file: CatalogueFile) -> Catalogue:
    weighed: dict[Phrase, list[Weighed]] = {}
    by_code: dict[str, list[str]] = {}
    by_carrier: dict[str, list[str]] = {}
    for entry in file.document_types:
        for text, weight in _phrases(entry, file.negative_keywords):
            found = phrase(text)
            if found is not None:
                weighed.setdefault(found, []).append(Weighed(entry.id, weight))
        for code in entry.type_codes:
            by_code.setdefault(code, []).append(entry.id)
        for code in entry.carrier_codes:
            by_carrier.setdefault(code, []).append(entry.id)
    return Catalogue(
        version=file.version,
        kinds={entry.id: _kind(entry) for entry in file.document_types},
        senders=tuple((sender.address, sender.issuer) for sender in file.senders),
        index=PhraseIndex(weighed),
        weighed={key: tuple(value) for key, value in weighed.items()},
        by_code={key: tuple(value) for key, value in by_code.items()},
        by_carrier={key: tuple(value) for key, value in by_carrier.items()},
        worded=frozenset(by_carrier) | {code for code, kinds in by_code.items() if len(kinds) > 1},
    )


def _phrases(entry: KindEntry, against_all: tuple[str, ...]) -> list[tuple[str, Weight]]:
    """Each phrase once, under its best weight; `indetermine` has none."""
    if entry.id == UNKNOWN:
        return []
    chosen: dict[str, Weight] = {}
    groups: list[tuple[tuple[str, ...], Weight]] = [
        (entry.titles, "title"),
        (entry.keywords_strong, "strong"),
        (entry.keywords_weak, "weak"),
        (entry.negative_keywords, "negative"),
        (against_all, "negative"),
    ]
    for texts, weight in groups:
        for text in texts:
            chosen.setdefault(text, weight)
    return list(chosen.items())


def _kind(entry: KindEntry) -> Kind:
    return Kind(
        id=entry.id,
        label=entry.label,
        urgency=entry.urgency,
        sensitivity=entry.sensitivity,
        content=entry.content,
        type_codes=frozenset(entry.type_codes),
        carrier_codes=frozenset(entry.carrier_codes),
        issuers=frozenset(entry.issuer),
        title_alone=entry.title_alone,
        write_as=entry.write_as or next(iter((*entry.type_codes, *entry.carrier_codes)), ""),
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    return CatalogueFile.model_json_schema()
