"""One target under atheris: `python -m tests.fuzz.one TARGET [libFuzzer arguments, corpus folders or files]`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["hub.parse", "hub.cda", "hub.smime", "hub.receipts", "hub.base64"]):
    from tests.fuzz.targets import TARGETS, timed


def main() -> None:
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], lambda raw: timed(target, raw))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
