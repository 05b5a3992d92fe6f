"""The reader of configuration files: nothing surprising is accepted, every error has its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hub import configuration
from hub.errors import Misconfigured


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    inner: tuple[Inner, ...] = ()


def refused(text: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        configuration.validate(Outer, configuration.parse_yaml(text, "f.yaml"), "f.yaml")
    return caught.value.private


def test_a_right_text_gives_the_model() -> None:
    tree = configuration.parse_yaml("name: a\ninner:\n  - size: 3\n", "f.yaml")
    assert configuration.validate(Outer, tree, "f.yaml") == Outer(name="a", inner=(Inner(size=3),))


def test_an_empty_text_is_an_empty_mapping() -> None:
    assert configuration.plain(configuration.parse_yaml("# nothing\n", "f.yaml")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b\n", "f.yaml:2 - found duplicate key"),
        ("name: a\nother: b\n", "f.yaml:2 other Extra inputs are not permitted"),
        ("inner: []\n", "f.yaml:1 name Field required"),
        ("name: a\ninner:\n  - size: 1\n  - size: deux\n", "f.yaml:4 inner.1.size Input should be a valid integer"),
        ("name: &x a\n", "f.yaml:1 - anchors and aliases are not allowed"),
        ("- a\n", "f.yaml:1 - a mapping is expected at the top"),
        ("name: [a\n", "f.yaml:"),
        ("name: a\n\tb: c\n", "f.yaml:2"),
    ],
)
def test_a_wrong_text_is_refused_with_its_line(text: str, message: str) -> None:
    assert message in refused(text)


def test_all_errors_are_told_in_the_order_of_the_file() -> None:
    lines = refused("inner:\n  - size: x\nother: 1\n").splitlines()
    assert [line.split()[0] for line in lines] == ["f.yaml:1", "f.yaml:2", "f.yaml:3"]


def test_yaml_is_of_version_1_2() -> None:
    """PyYAML would read False, 750 and 8 (libs.md §9)."""
    assert configuration.plain(configuration.parse_yaml("a: no\nb: 12:30\nc: 010\n", "f.yaml")) == {
        "a": "no",
        "b": "12:30",
        "c": 10,
    }


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    bomb = 'a: &a ["x","x"]\n' + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(50))
    assert "anchors and aliases" in refused(bomb)


def test_a_missing_a_huge_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    cases = {
        "missing.yaml": (None, "cannot be read"),
        "huge.yaml": (b"#" * (configuration.MAX_BYTES + 1), "is larger than"),
        "latin.yaml": ("nom: é".encode("latin-1"), "is not UTF-8"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Misconfigured, match=message):
            configuration.load(Outer, path)


def test_a_place_that_does_not_exist_has_the_line_of_its_nearest_ancestor() -> None:
    tree = configuration.parse_yaml("a: 1\nb:\n  - c: 2\n", "f.yaml")
    assert configuration.line_of(tree, ("b", 0, "c")) == 3
    assert configuration.line_of(tree, ("b", 7, "d")) == 2
    assert configuration.line_of(tree, ("zz",)) == 1


def test_a_list_with_a_wrong_item_is_not_also_called_too_short() -> None:
    class Listed(BaseModel):
        items: tuple[Inner, ...] = Field(min_length=1)

    tree = configuration.parse_yaml("items:\n  - size: x\n", "f.yaml")
    with pytest.raises(Misconfigured) as caught:
        configuration.validate(Listed, tree, "f.yaml")
    assert caught.value.private.splitlines() == [
        "f.yaml:2 items.0.size Input should be a valid integer, unable to parse string as an integer"
    ]
    with pytest.raises(Misconfigured, match=r"f\.yaml:1 items .*at least 1 item"):
        configuration.validate(Listed, configuration.parse_yaml("items: []\n", "f.yaml"), "f.yaml")
