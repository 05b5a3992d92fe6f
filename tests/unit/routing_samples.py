"""Small samples for the tests of the mind: fictional people, documents and mails, each built from a few words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from hub import ins, routing
from hub.message import (
    Archive,
    Author,
    Coded,
    Document,
    DocumentForm,
    Door,
    Envelope,
    FiledVersion,
    Identity,
    ParsedMessage,
    Thought,
    Usager,
)

CONFIG = Path(__file__).parent.parent.parent / "config"
LOINC = "2.16.840.1.113883.6.1"
SENDER = "secretariat.pediatrie@hopital-exemple.mssante.fr"
OURS = "secretariat@mecs-exemple.mssante.fr"


def ins_of(body: str) -> str:
    """The 15 characters of an INS: the 13 given and their key."""
    key = ins.key_of(body)
    assert key is not None
    return f"{body}{key:02d}"


LOU_INS = ins_of("2150369123456")
LOU = Identity(
    ins=LOU_INS,
    oid=ins.NIR,
    birth_name="MARTINEAU",
    first_given="LOU",
    given_names="LOU ANNE",
    birth_date="2015-03-14",
    sex="F",
    birth_place="69123",
)
LOU_USAGER = Usager(id="u-lou", identity=LOU, ins_status="qualifiee", record_number="D-0012", facility="690000001")


@cache
def rulebook(policy: routing.Policy | None = None, routes: str | None = None) -> routing.Rulebook:
    """The shipped rules and kinds, or other rules."""
    return routing.make_rulebook(
        types_text=(CONFIG / "document_types.yaml").read_text(encoding="utf-8"),
        types_name="document_types.yaml",
        routes_text=routes or (CONFIG / "routes.yaml").read_text(encoding="utf-8"),
        routes_name="routes.yaml",
        policy=policy or routing.Policy(own_addresses=frozenset({OURS})),
        mailbox_names=frozenset(),
    )


def document(**given: Any) -> Document:
    """A CDA about Lou from the hospital, unless told otherwise; `code` is its type code."""
    code = given.pop("code", "11490-0")
    defaults: dict[str, Any] = {
        "form": DocumentForm.CDA,
        "unique_id": "1.2.250.1.999.1",
        "sha256": "a" * 64,
        "size": 1000,
        "media_type": "text/xml",
        "title": "Lettre de liaison",
        "type_code": Coded(code, LOINC) if code else None,
        "patient": LOU,
        "authors": (Author(person_id="8019", organisation_id="1690000000"),),
        "confidentiality": (Coded("N"),),
        "archive": 0,
    }
    return Document(**{**defaults, **given})


def pdf(**given: Any) -> Document:
    """A loose PDF: no identity, no code."""
    defaults: dict[str, Any] = {
        "form": DocumentForm.PDF,
        "unique_id": "sha256:" + "b" * 64,
        "sha256": "b" * 64,
        "media_type": "application/pdf",
        "title": "",
        "code": None,
        "patient": None,
        "authors": (),
        "confidentiality": (),
        "archive": None,
    }
    return document(**{**defaults, **given})


def mail(*documents: Document, **given: Any) -> ParsedMessage:
    """A mail of the hospital with these documents, those of an archive in one archive."""
    packed = tuple(one for one in documents if one.archive is not None)
    archives = (Archive(name="IHE_XDM.zip", attachment=2, sha256="c" * 64, documents=packed),) if packed else ()
    defaults: dict[str, Any] = {
        "message_id": "<1@hopital-exemple.mssante.fr>",
        "from_address": SENDER,
        "return_path": SENDER,
        "to": (OURS,),
        "documents": documents,
        "archives": archives,
    }
    return ParsedMessage(**{**defaults, **given})


def envelope(**given: Any) -> Envelope:
    defaults: dict[str, Any] = {
        "id": "m1",
        "door": Door.IMAP,
        "mailbox": "secretariat",
        "received_at": datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
    }
    return Envelope(**{**defaults, **given})


def seen(
    parsed: ParsedMessage, *usagers: Usager, versions: tuple[FiledVersion, ...] = (), **given: Any
) -> routing.Seen:
    return routing.Seen(envelope=envelope(**given), parsed=parsed, usagers=usagers or (LOU_USAGER,), versions=versions)


def think(parsed: ParsedMessage, *usagers: Usager, book: routing.Rulebook | None = None, **given: Any) -> Thought:
    return routing.think(seen(parsed, *usagers, **given), book or rulebook())


def filed(**given: Any) -> FiledVersion:
    """A version in Lou's record, by the hospital."""
    defaults: dict[str, Any] = {
        "document_id": "row-1",
        "usager_id": "u-lou",
        "unique_id": "1.2.250.1.999.1",
        "sha256": "a" * 64,
        "set_id": None,
        "version": None,
        "live": True,
        "deleted": False,
        "author_organisation_id": "1690000000",
        "author_ids": ("8019",),
    }
    return FiledVersion(**{**defaults, **given})


def lou(**changes: Any) -> Identity:
    """Lou's identity with some traits changed."""
    return replace(LOU, **changes)
