"""Every code of a verdict has a sentence, and every sentence a code; what a person reads of a verdict."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.cli import story
from hub.message import Evidence, ParsedMessage, SignatureSeen, Verdict
from hub.smime import words

ROOT = Path(words.__file__).parent
AT = datetime(2026, 6, 15, 9, 30, tzinfo=UTC)
GOOD = Verdict(integrity="good", chain="good", sender="good", time="good", at=AT)


def codes_in(file: Path) -> set[str]:
    """Every string of a file that looks like a code of ours."""
    strings = {n.value for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.Constant)}
    return {s for s in strings if isinstance(s, str)} & set(words.SENTENCES)


def test_every_sentence_belongs_to_a_code_that_is_given_somewhere() -> None:
    files = [
        ROOT / "cms.py",
        ROOT / "chain.py",
        ROOT / "verifying.py",
        ROOT / "revoked.py",
        ROOT.parent / "parse" / "signed.py",
    ]
    assert set().union(*(codes_in(file) for file in files)) == set(words.SENTENCES)


def test_every_refusal_of_the_cms_has_a_sentence() -> None:
    tree = ast.parse((ROOT / "cms.py").read_text("utf-8"))
    raised = [
        leaf.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Refused"
        for leaf in ast.walk(call)
        if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
    ]
    assert len(raised) > 15
    assert set(raised) <= set(words.SENTENCES)


def test_a_code_of_a_newer_hub_still_gives_a_sentence() -> None:
    assert "demain" in words.sentence("demain")


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (GOOD, "valid"),
        (Verdict(integrity="good", chain="unknown", sender="good", time="good", at=AT), "unproven"),
        (Verdict(integrity="good", chain="unknown", sender="bad", time="good", at=AT), "invalid"),
        (Verdict(at=AT), "unproven"),
    ],
)
def test_one_bad_part_is_enough_and_one_unknown_proves_nothing(verdict: Verdict, outcome: str) -> None:
    assert verdict.outcome == outcome
    assert len(words.parts_in_words(verdict)) == 4
    assert words.in_words(verdict).startswith("signature ")


def told(verdict: Verdict | None, form: str = "detached") -> str:
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    seen = SignatureSeen(form="detached" if form == "detached" else "none")
    story.tell_signature(Console(file=out, width=200), ParsedMessage(signature=seen), verdict)
    return out.getvalue()


def test_a_verdict_is_told_with_its_four_parts_its_reasons_and_its_evidence() -> None:
    evidence = Evidence(
        fingerprint="ab" * 32, subject="CN=BAL", issuer="CN=AC", serial="7f", addresses=("a@b.fr",), signed_at=AT,
        algorithm="rsa-sha256",
    )  # fmt: skip
    text = told(
        Verdict(
            integrity="bad", chain="good", sender="good", time="good", reasons=("altered",), at=AT, evidence=evidence
        )
    )
    for word in ("refusée", "NON contenu", "oui autorité", "oui expéditeur", "oui dates", "a été modifié", "CN=BAL",
                   "a@b.fr", "n° 7f", "ab" * 32, "15/06/2026 à 09:30",
                 "la révocation du certificat n'a pas été vérifiée"):  # fmt: skip
        assert word in text


def test_a_signature_that_nobody_judged_is_told_and_its_absence_is_not() -> None:
    assert "sans verdict" in told(None)
    assert told(None, "none") == ""
