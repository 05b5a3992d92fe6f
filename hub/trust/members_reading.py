"""Reads the list of member domains (liste blanche) as it is published: XML of foreign hand, read as a stream.

Bytes flow in, a `MemberList` flows out (mssante.md §9): names that repeat, several operators for one, any case, any
blank. `ListRefused` with a code for what is no such list: `too-large`, `charset`, `doctype`, `not-xml`, `not-a-list`,
`no-date`, `empty`. A copy that ends right after `</ListeDomaines>` is taken: nothing of the list is missing. No DTD, no
entity, no network.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lxml import etree

from hub.domains import Member, compared
from hub.errors import HubError

NAMESPACE = "https://listeblanche.mssante.fr/schema"
RAW_MOST = 32 * 1024**2  # bytes; the list of March 2025 has 4 MB for 6,554 entries
ENTRIES_MOST = 50_000
_MARKS_MOST = 1_500_000  # tags and attributes; 10,000 entries have 150,000, and each costs up to 200 bytes of memory
_TEXT_MOST = 300  # characters of a description or of a DN

_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"
_ROOT, _DOMAIN, _DATE, _LIST = (
    f"{{{NAMESPACE}}}{name}" for name in ("ListeBlancheMSSante", "Domaine", "DateDeGeneration", "ListeDomaines")
)
_NAME, _DESCRIPTION, _OPERATOR = (f"{{{NAMESPACE}}}{name}" for name in ("Nom", "Description", "DNCertificatOperateur"))
_CUT = re.compile(rb"</((?:[A-Za-z_][\w.-]*:)?)ListeDomaines\s*>\s*\Z")
_ENCODING = re.compile(rb"<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff]")


class ListRefused(HubError):
    """These bytes are not a list that may be used. `code` says why; `detail` holds figures only."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"list of member domains refused: {code}{f' ({detail})' if detail else ''}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberList:
    """`entries`: one for each name and operator certificate; `nameless` counts those beside them that name no domain.
    `is_signed`: it bears a signature, whatever that is worth; `is_cut`: the end of the file is missing, not of the
    list."""

    generated_at: datetime
    entries: tuple[Member, ...] = field(repr=False)
    nameless: int = 0
    is_signed: bool = False
    is_cut: bool = False

    @property
    def names(self) -> frozenset[str]:
        return frozenset(filter(None, (compared(entry.name) for entry in self.entries)))

    @property
    def certificates(self) -> frozenset[str]:
        """The names (DN) of the operators' certificates."""
        return frozenset(operator for entry in self.entries for operator in entry.operators)


def read_members(raw: bytes) -> MemberList:
    """Raises ListRefused."""
    if len(raw) > RAW_MOST or raw.count(b"<") + raw.count(b"=") > _MARKS_MOST:
        raise ListRefused("too-large")
    declared = _ENCODING.match(raw.removeprefix(b"\xef\xbb\xbf"))
    if b"\0" in raw or (declared is not None and declared[1].lower() not in (b"utf-8", b"us-ascii", b"ascii")):
        raise ListRefused("charset")
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:  # never a part of such a list, not even in a comment
        raise ListRefused("doctype")
    cut = _CUT.search(raw[-200:])
    if cut is not None:
        raw += b"</%sListeBlancheMSSante>" % cut[1]
    try:
        return _read(raw, is_cut=cut is not None)
    except (etree.XMLSyntaxError, ValueError):
        raise ListRefused("not-xml") from None


class _Gathered:
    """What was met on the way through the file."""

    def __init__(self) -> None:
        self.entries: list[Member] = []
        self.nameless = 0
        self.generated_at: datetime | None = None
        self.is_signed = False
        self._texts: dict[str, str] = {}  # a DN stands thousands of times: one object for all

    def take(self, node: etree._Element) -> None:
        parent = node.getparent()
        place = parent.tag if parent is not None else ""
        if node.tag == _DATE and place == _ROOT:
            self.generated_at = _moment(node.text)
        elif node.tag == _SIGNATURE:
            self.is_signed = True
        elif node.tag == _DOMAIN and place == _LIST:
            self._take_entry(node)

    def _take_entry(self, node: etree._Element) -> None:
        name = _tidy(node.findtext(_NAME))
        if compared(name) is None:
            self.nameless += 1
        elif len(self.entries) >= ENTRIES_MOST:
            raise ListRefused("too-large", "entries")
        else:
            texts = (_tidy(node.findtext(_DESCRIPTION)), _tidy(node.findtext(_OPERATOR)))
            described, operated = (((self._texts.setdefault(text, text),) if text else ()) for text in texts)
            self.entries.append(Member(name, described, operated))


def _read(raw: bytes, is_cut: bool) -> MemberList:
    gathered, root = _Gathered(), None
    for event, node in _nodes(raw):
        if event == "start":
            if root is None:
                root = node
                if node.tag != _ROOT:
                    raise ListRefused("not-a-list")
            continue
        gathered.take(node)
        if node.tag in (_DOMAIN, _SIGNATURE):
            _forget(node)
    if gathered.generated_at is None:
        raise ListRefused("no-date")
    if not gathered.entries:
        raise ListRefused("empty")
    return MemberList(
        generated_at=gathered.generated_at,
        entries=tuple(gathered.entries),
        nameless=gathered.nameless,
        is_signed=gathered.is_signed,
        is_cut=is_cut,
    )


def _nodes(raw: bytes) -> Iterator[tuple[str, etree._Element]]:
    """Each element as it begins and as it ends, so that none has to stay."""
    return iter(
        etree.iterparse(
            io.BytesIO(raw),
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
            encoding="utf-8",
        )
    )


def _forget(node: etree._Element) -> None:
    """What was read of it, and its elder siblings."""
    node.clear()
    parent = node.getparent()
    while parent is not None and node.getprevious() is not None:
        del parent[0]


def _moment(text: str | None) -> datetime | None:
    """ISO 8601; without a zone it is UTC. None: no date."""
    try:
        moment = datetime.fromisoformat((text or "").strip())
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _tidy(text: str | None) -> str:
    """Blanks folded, no-break ones too; without what a terminal would obey; cut."""
    return _OBEYED.sub("", " ".join((text or "").split()))[:_TEXT_MOST]
