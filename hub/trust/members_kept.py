"""The last good list of member domains, in data_dir for every process of the site: what came with it, and its entries.

A judged list flows in and takes the place of the former whole; its members, or only what is known of it, flow out.
Failures: OSError (the disk), ValueError when somebody wrote into the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from hub.domains import Member
from hub.trust.kept import Kept, Trouble

Source = Literal["url", "file"]
Seal = Literal["verified", "absent", "unchecked"]  # of the signature: by whom, none, not looked at (setting off)

_HEAD_MOST = 4096  # bytes of the line before the kept list


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """What is known of the list in use. `at`: when it was last had or confirmed; `signer`: the CN, "" unless the
    signature is verified."""

    at: datetime
    generated_at: datetime
    source: Source
    names: int
    entries: int
    certificates: int
    seal: Seal
    signer: str = ""
    is_cut: bool = False
    sha256: str = ""  # of the bytes as published
    modified: str = ""  # as the publisher's server says it
    demands: str = ""  # upon its signature, when it was taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The list in use, and what is wrong with the newest at each source."""

    in_use: InUse | None
    of_url: Trouble
    of_file: Trouble


class KeptMembers:
    """One file of `folder`: a line of JSON about the list, then its members, so that a process has them in a tenth of
    the time that the XML takes. `stamp` changes when the list in use does."""

    def __init__(self, folder: Path) -> None:
        self.list = Kept(folder, "members")
        self.of_file = Kept(folder, "members-file")  # the state in which the site's own file was looked at last

    def stamp(self) -> tuple[int, int] | None:
        return self.list.stamp()

    def standing(self) -> Standing:
        return Standing(in_use=self.in_use(), of_url=self.list.trouble(), of_file=self.of_file.trouble())

    def in_use(self) -> InUse | None:
        """Reads only the first line; None when there is no list, or what is there is not of ours."""
        try:
            with self.list.path.open("rb") as file:
                head = file.readline(_HEAD_MOST)
            at = datetime.fromtimestamp(self.list.path.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None
        try:
            told: dict[str, Any] = json.loads(head)
            return InUse(**{**told, "at": at, "generated_at": datetime.fromisoformat(told["generated_at"])})
        except (ValueError, KeyError, TypeError):
            return None

    def members(self) -> Mapping[str, Member]:
        """By compared name; nothing when there is no list. Raises ValueError: somebody wrote into the file."""
        copy = self.list.read()
        if copy is None:
            return {}
        try:
            told: dict[str, Any] = json.loads(copy.raw.partition(b"\n")[2])
            operators = told["operators"]
            return {
                name: Member(written, tuple(descriptions), tuple(operators[number] for number in numbers))
                for name, written, descriptions, numbers in told["members"]
            }
        except (KeyError, TypeError, IndexError):
            raise ValueError("not a list of ours") from None

    def replace(self, in_use: InUse, members: Mapping[str, Member]) -> None:
        head = asdict(in_use) | {"generated_at": in_use.generated_at.isoformat()}
        del head["at"]  # it is the time of the file
        numbers: dict[str, int] = {}  # of an operator: its name stands hundreds of times
        listed = [
            (name, one.name, one.descriptions, [numbers.setdefault(dn, len(numbers)) for dn in one.operators])
            for name, one in members.items()
        ]
        body = {"operators": list(numbers), "members": listed}
        self.list.replace(json.dumps(head).encode() + b"\n" + json.dumps(body).encode(), in_use.at)
