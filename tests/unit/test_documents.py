"""What the pages for people promise is what the hub writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.routing import letters, tidings

DOCS = Path(__file__).parents[2] / "docs"
SUBJECTS = sorted(
    {
        value
        for module in (letters, tidings)
        for value in vars(module).values()
        if isinstance(value, str) and value.startswith("Votre ")
    }
)


def _said(text: str) -> str:
    return " ".join(text.split()).casefold()


def test_there_are_letters() -> None:
    assert len(SUBJECTS) >= 14


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_letter_is_explained_to_the_secretary(subject: str) -> None:
    page = _said((DOCS / "secretary.md").read_text(encoding="utf-8"))
    first, _, rest = _said(subject).partition(" à tous")
    assert first in page
    assert not rest or rest in page


@pytest.mark.parametrize("page", sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"]), ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
