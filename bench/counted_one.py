"""`python -m bench.counted_one floor|reader WARM COUNT`: the floor, or the work of the reader's child, mail by mail.

Says `warm` after the first ones and `done` after the others, each time waiting for a line: for whoever counts between.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from bench.floor import Floor
from bench.letters import signed_letters, signer
from hub.cda import Codes
from hub.cell.child import done
from hub.cell.wire import Orders, Task, Words
from hub.encoding import decode, encode
from hub.message import Limits
from hub.settings import default_config_dir
from hub.smime import Trust


def main() -> None:
    which, warm, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    letters = list(signed_letters(warm + count, receipts=False))
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        deed = _floor(Path(folder)) if which == "floor" else _reader()
        for part, says in ((letters[:warm], "warm"), (letters[warm:], "done")):
            for raw in part:
                deed(raw)
            print(says, flush=True)
            sys.stdin.readline()


def _floor(folder: Path) -> Callable[[bytes], None]:
    floor = Floor(folder)
    return lambda raw: floor.file(raw, True)


def _reader() -> Callable[[bytes], None]:
    anchor = signer().authority.public_bytes(serialization.Encoding.DER)
    tables = (default_config_dir() / "codes").glob("*.csv")
    codes = Codes.from_tables({file.name: file.read_text("utf-8") for file in tables})
    orders = Orders(limits=Limits(), memory=0, processor=1, alarm=1, codes_dir="", anchors=(anchor,))
    trust = Trust((anchor,))
    asked = Task(words=Words.OF_THESE_TYPES, are_wanted=True, received_at=datetime.now(UTC))

    def read(raw: bytes) -> None:
        done([raw], decode(encode(asked), Task), orders, codes, trust)

    return read


if __name__ == "__main__":
    main()
