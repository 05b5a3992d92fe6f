"""`python -m bench.hints SETTINGS`: one hint for everything that is due, and nothing else."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from hub.settings import load_settings
from hub.wiring import open_house
from hub.worker.hints import Hints


def main() -> None:
    house = open_house(load_settings(Path(sys.argv[1])), migrated=False)
    hints = Hints(house)
    hints.send(*asyncio.run(house.spool.due(1_000_000)))
    hints.close()
    house.database.close()


if __name__ == "__main__":
    main()
