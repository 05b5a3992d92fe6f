"""Golden trips: `samples/NAME.eml` beside `samples/NAME.plan.json`, what the mind must conclude of it.

`python -m tests.trips.golden` writes the samples of the sandbox's scenario again (all people are fictional) and the
plans as they are now: read the difference before you commit it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub import routing
from hub.cda import Codes
from hub.cli.story_json import as_json
from hub.domains import NO_MEMBERS
from hub.message import Door, Envelope, Limits, ParsedMessage, Thought, Usager
from hub.parse import parse
from hub.sandbox.people import USAGERS
from hub.sandbox.scenario import samples
from hub.settings import default_config_dir
from tests.unit.routing_samples import rulebook

FOLDER = Path(__file__).parent / "samples"
AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
LEFT_OUT = {"bombe"}  # a quarter of a megabyte says nothing more here
KEPT = ("archives", "classification", "match", "plan")


def thought_of(raw: bytes) -> tuple[ParsedMessage, Thought]:
    """What the reader and the mind say of a mail received by the fictional home, which has filed nothing yet."""
    tables = {file.name: file.read_text("utf-8") for file in (default_config_dir() / "codes").glob("*.csv")}
    parsed = parse(raw, Limits(), Codes.from_tables(tables))
    envelope = Envelope(id="0" * 32, door=Door.IMAP, received_at=AT, mailbox="dossiers", size=len(raw), test=True)
    seen = routing.Seen(envelope=envelope, parsed=parsed, usagers=candidates(parsed))
    return parsed, routing.think(seen, rulebook())


def candidates(parsed: ParsedMessage) -> tuple[Usager, ...]:
    """As the records answer: same INS, same birth name or same birth date."""
    asked = routing.identities(parsed)
    return tuple(
        usager
        for usager in USAGERS
        if any(
            (one.ins and one.ins == usager.identity.ins)
            or (one.birth_name or "").upper() == usager.identity.birth_name
            or (one.birth_date and one.birth_date == usager.identity.birth_date)
            for one in asked
        )
    )


def plan_of(raw: bytes) -> dict[str, Any]:
    """The parts of `hub explain --json` that the mind answers for, without the rules that did not match."""
    parsed, thought = thought_of(raw)
    told = as_json("", parsed, thought, NO_MEMBERS)
    kept: dict[str, Any] = {name: told[name] for name in KEPT}
    kept["plan"].pop("tried")
    return kept


def main() -> None:
    for sample in samples(AT):
        if sample.key in LEFT_OUT:
            continue
        (FOLDER / f"{sample.key}.eml").write_bytes(sample.raw)
        plan = json.dumps(plan_of(sample.raw), ensure_ascii=False, indent=1, sort_keys=True)
        (FOLDER / f"{sample.key}.plan.json").write_text(plan + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
