"""How the lists that are kept stand: from when, until when, and since when they cannot be fetched. For alerts.

In: the files of data_dir/trust. Out: `ListStanding`s, one for each point that was asked. Signatures are not looked at
here: what does not count for `hub.trust.revocation` is fetched anew by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from hub.trust.kept import Kept, Trouble
from hub.trust.revocation import LISTS

NO_TROUBLE = Trouble()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStanding:
    """`name`: that of its file at the publisher's, such as `ACI-EL-ORG.crl`. `ends_at`: None, there is none."""

    name: str
    fetched_at: datetime | None = None
    ends_at: datetime | None = None
    trouble: Trouble = NO_TROUBLE


class KeptLists:
    """Remembers what it read until a file changes: a list has some MB. `folder`: data_dir/trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / LISTS
        self._read: dict[str, tuple[tuple[int, int], datetime, datetime | None]] = {}

    def standing(self) -> tuple[ListStanding, ...]:
        names = {path.name.removesuffix(".trouble") for path in self._folder.glob("*") if path.suffix != ".lock"}
        return tuple(self._of(name) for name in sorted(names) if not name.endswith(".new"))

    def _of(self, name: str) -> ListStanding:
        kept = Kept(self._folder, name)
        stamp, known = kept.stamp(), self._read.get(name)
        if stamp is not None and (known is None or known[0] != stamp):
            copy = kept.read()
            known = None if copy is None else (stamp, copy.fetched_at, _end_of(copy.raw))
            if known is not None:
                self._read[name] = known
        shown = name.rpartition("-")[0]
        if stamp is None or known is None:
            return ListStanding(name=shown, trouble=kept.trouble())
        return ListStanding(name=shown, fetched_at=known[1], ends_at=known[2], trouble=kept.trouble())


def _end_of(raw: bytes) -> datetime | None:
    try:
        return x509.load_der_x509_crl(raw).next_update_utc
    except ValueError:
        return None
