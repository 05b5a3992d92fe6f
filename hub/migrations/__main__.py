"""`python -m hub.migrations "what changes"`: draft the next version from the difference between `hub.tables` and the
versions so far. Read it, finish it, set `LATEST`, and run the tests of both engines."""

from __future__ import annotations

import sys

from alembic import command
from sqlalchemy import create_engine

from hub.migrations import LATEST, config


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit('usage: python -m hub.migrations "what changes"')
    with create_engine("sqlite://").begin() as connection:
        if LATEST != "base":
            command.upgrade(config(connection), LATEST)
        command.revision(config(connection), message=sys.argv[1], autogenerate=True, rev_id=f"{int(LATEST) + 1:04}")


if __name__ == "__main__":
    main()
