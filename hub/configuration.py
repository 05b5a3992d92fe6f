"""Reads configuration files: YAML 1.2, line numbers kept, nothing surprising accepted.

Text in, a validated pydantic model out; or `Misconfigured`, whose private text has one `file:line path message`
a line. Duplicate and unknown keys, anchors and aliases (alias bombs) and files over 1 MB are refused. Used for
all configuration files (`hub.yaml`, `routes.yaml`…): one reader, so that one kind of error message exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from hub.errors import Misconfigured

MAX_BYTES = 1_000_000  # libs.md §9: an honest file of 2,000 routes has 200 KB

M = TypeVar("M", bound=BaseModel)


class Misplaced(ValueError):
    """What a validator of a model finds wrong between several values: each fault with its path below that model, so
    that `validate` can tell the line of each."""

    def __init__(self, faults: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(text for _, text in faults))
        self.faults = tuple(faults)


def read_file(path: Path) -> str:
    """The text of a configuration file. Raises Misconfigured when absent, unreadable, too large or not UTF-8."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Misconfigured(f"{path}:1 - the file is larger than {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"{path}:1 - cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path}:1 - is not UTF-8 (byte {error.start})") from error


class _Composer(Composer):
    """Refuses an anchor or an alias where it stands: what it would multiply is not built."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if isinstance(event, AliasEvent) or event.anchor:
            raise ComposerError(None, None, "anchors and aliases are not allowed", event.start_mark)
        return super().compose_node(parent, index)


def parse_yaml(text: str, name: str) -> CommentedMap:
    """The tree of a YAML text; an empty text is an empty mapping. `name` is what errors call the file."""
    reader = YAML(typ="rt")
    reader.Composer = _Composer
    try:
        tree = reader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise Misconfigured(f"{name}:{line} - {error.problem or error.context}") from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise Misconfigured(f"{name}:1 - is not YAML: {type(error).__name__}") from error
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise Misconfigured(f"{name}:1 - a mapping is expected at the top")
    return tree


def line_of(tree: Any, path: Sequence[str | int]) -> int:
    """The line (from 1) where `path` stands in `tree`; the line of its nearest existing ancestor otherwise."""
    line, here = 1, tree
    for key in path:
        try:
            if isinstance(here, CommentedMap):
                line = here.lc.key(key)[0] + 1
            elif isinstance(here, CommentedSeq):
                line = here.lc.item(key)[0] + 1
            else:
                break
            here = here[key]
        except (KeyError, IndexError, TypeError):
            break
    return line


def plain(tree: Any) -> Any:
    """The same tree as plain dicts, lists and scalars."""
    if isinstance(tree, CommentedMap):
        return {str(key): plain(value) for key, value in tree.items()}
    if isinstance(tree, CommentedSeq):
        return [plain(value) for value in tree]
    if isinstance(tree, bool) or tree is None:
        return tree
    for scalar in (str, int, float):
        if isinstance(tree, scalar):
            return scalar(tree)
    return tree


def validate(model: type[M], tree: CommentedMap, name: str) -> M:
    """The model built from the tree. Raises Misconfigured with every error, one a line, each with its place."""
    try:
        return model.model_validate(plain(tree))
    except ValidationError as error:
        raise misplaced(tree, name, _faults(error.errors(include_url=False, include_input=False))) from error


def misplaced(tree: CommentedMap, name: str, faults: Iterable[tuple[tuple[str | int, ...], str]]) -> Misconfigured:
    """The error to raise for (path, text) of each fault: one a line, by line."""
    lines = [(line_of(tree, path), f"{'.'.join(map(str, path)) or '-'} {text}") for path, text in faults]
    return Misconfigured("\n".join(f"{name}:{line} {text}" for line, text in sorted(lines)))


def _faults(errors: Sequence[ErrorDetails]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(path, text) of each error. pydantic also calls a list too short when one of its items is wrong: only the item is
    told."""
    places = [tuple(part for part in item["loc"] if not str(part).startswith("function-")) for item in errors]
    for item, place in zip(errors, places, strict=True):
        if item["type"] == "too_short" and any(o[: len(place)] == place and o != place for o in places):
            continue
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, Misplaced):
            yield from ((place + path, text) for path, text in cause.faults)
        else:
            yield place, item["msg"]


def load(model: type[M], path: Path) -> M:
    """Read, parse and validate one file."""
    return validate(model, parse_yaml(read_file(path), str(path)), str(path))
