"""Writes `config/schemas/*.schema.json`: the JSON Schemas of the configuration files, for editors.

Run after a change of settings, rules or kinds: `python scripts/make_schemas.py`. A test checks that the files are
fresh. With `--check` nothing is written and the exit code tells.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, BeforeValidator

from hub import quirks, settings
from hub.routing import catalogue, rulebook

FOLDER = Path(__file__).parent.parent / "config" / "schemas"

_DURATION = {"anyOf": [{"type": "string", "pattern": "^[0-9]+[smhd]$"}, {"type": "number", "minimum": 0}]}
_SIZE = {"anyOf": [{"type": "string", "pattern": "^[0-9]+ ?(KB|MB|GB)$"}, {"type": "integer", "minimum": 0}]}


def schemas() -> dict[str, str]:
    """File name -> text, for each file."""
    made = {
        "document_types": ("Kinds of documents of the hub", catalogue.schema()),
        "hub": ("Settings of the hub", _settings_schema()),
        "operators": ("What is known of operators", quirks.KnownOperators.model_json_schema()),
        "routes": ("Rules of the hub", rulebook.schema()),
    }
    return {f"{name}.schema.json": _text(title, schema) for name, (title, schema) in made.items()}


def _text(title: str, schema: dict[str, Any]) -> str:
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
    return json.dumps(whole, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _settings_schema() -> dict[str, Any]:
    """Durations and sizes as they are written in the file (`10m`, `25MB`), which pydantic cannot know."""
    schema: dict[str, Any] = settings.Settings.model_json_schema()
    _mend(settings.Settings, schema)
    for name, definition in schema["$defs"].items():
        _mend(getattr(settings, name), definition)
    return schema


def _mend(model: type[BaseModel], schema: dict[str, Any]) -> None:
    written = {settings._seconds: _DURATION, settings._bytes: _SIZE}
    for name, field in model.model_fields.items():
        for one in field.metadata:
            if isinstance(one, BeforeValidator) and one.func in written:
                schema["properties"][name] = {"title": name, **written[one.func]}


def main() -> int:
    stale = [
        name
        for name, text in schemas().items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        print("\n".join(f"stale: {name}" for name in stale) or "fresh")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"{FOLDER / name}: {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
