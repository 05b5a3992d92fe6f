"""What is known of single operators, as data (`config/operators.yaml`): each fact with its source and how sure it is.

In: the file. Out: `KnownOperators`; `operators[].known_as` of the settings takes the facts of one as its defaults, and
what a site writes itself wins. What nobody is sure of stands in the file as null, and counts for nothing. Failures:
Misconfigured, with `file:line`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from hub import configuration

Sasl = Literal["external", "plain", "login", "none"]
FolderName = Annotated[str, Field(min_length=1, max_length=200)]
T = TypeVar("T")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fact(_Entry, Generic[T]):
    """`confidence`: A, read in a primary text or seen in the field; B, told by somebody who had it."""

    value: T
    confidence: Literal["A", "B"]
    source: str = Field(min_length=1)


class Note(_Entry):
    """What people should know and no setting says. French."""

    text: str = Field(min_length=1)
    confidence: Literal["A", "B", "C"]
    source: str = Field(min_length=1)


class KnownOperator(_Entry):
    """The names are those of `operators[]` in the settings; `imap_host` and `smtp_host` mean ports 143 and 587 with
    STARTTLS, `message_most` is in bytes."""

    title: str = Field(min_length=1)
    imap_host: Fact[str] | None = None
    smtp_host: Fact[str] | None = None
    sasl: Fact[Sasl] | None = None
    smtp_sasl: Fact[Sasl] | None = None
    dsn: Fact[bool] | None = None
    sent_copies: Fact[bool] | None = None
    sent_folder: Fact[FolderName] | None = None
    excluded_folders: Fact[tuple[FolderName, ...]] | None = None
    message_most: Fact[int] | None = None
    notes: tuple[Note, ...] = ()

    def facts(self) -> Iterator[tuple[str, Fact[object]]]:
        """(name, fact) of all that is known."""
        for name in type(self).model_fields:
            fact = getattr(self, name)
            if isinstance(fact, Fact):
                yield name, fact


class KnownOperators(_Entry):
    version: date
    operators: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")], KnownOperator]


def load_known(file: Path) -> KnownOperators:
    """Raises Misconfigured."""
    return configuration.load(KnownOperators, file)
