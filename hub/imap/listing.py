"""What LIST and NAMESPACE say: the folders of a mailbox, their marks, and which of them are the mailbox's own.

Pure functions on answers cut by `wire`. A folder whose name cannot be said again exactly as it was heard is left out:
naming another one by mistake would show a mail to other people. Bad answers raise SurpriseOnWire.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from hub.imap.grammar import folder_name, tokens
from hub.imap.wire import Answer, SurpriseOnWire

_LIST = re.compile(rb"\* LIST ", re.IGNORECASE)
_NAMESPACE = re.compile(rb"\* NAMESPACE ", re.IGNORECASE)
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")
_NO_FOLDER = frozenset({"\\noselect", "\\nonexistent"})


@dataclass(frozen=True, slots=True)
class ListedFolder:
    """`name` as people read it; `marks` in small letters (`\\\\sent`); `delimiter` "" when there is none."""

    name: str
    marks: frozenset[str] = frozenset()
    delimiter: str = ""

    @property
    def can_be_opened(self) -> bool:
        return not self.marks & _NO_FOLDER


@dataclass(frozen=True, slots=True)
class Namespaces:
    """`own`: what the names of the mailbox's own folders begin with (`INBOX.`, often ""); `others`: the same for
    folders of other people and shared ones."""

    own: str = ""
    others: tuple[str, ...] = ()

    def is_own(self, name: str) -> bool:
        """Not of other people, as far as the server told."""
        return not any(prefix and name.startswith(prefix) for prefix in self.others)


def read_list(answer: Answer) -> ListedFolder | None:
    """None for another answer, or a folder that cannot be named. Raises SurpriseOnWire."""
    start = _LIST.match(answer[0])
    if start is None:
        return None
    words = list(tokens(answer, start.end()))
    signs = [place for place, (token, is_sign) in enumerate(words) if is_sign and token == b")"]
    if not words or words[0] != (b"(", True) or not signs or len(words) < signs[0] + 3:
        raise SurpriseOnWire("list-syntax")
    marks = frozenset((token or b"").decode("ascii", "replace").lower() for token, _ in words[1 : signs[0]])
    delimiter, raw = words[signs[0] + 1][0], words[signs[0] + 2][0]
    name = said(raw) if raw else None
    return None if name is None else ListedFolder(name, marks, (delimiter or b"").decode("ascii", "replace"))


def read_namespaces(answer: Answer) -> Namespaces | None:
    """None for another answer (RFC 2342: own, other people's, shared; each NIL or a list of pairs)."""
    start = _NAMESPACE.match(answer[0])
    if start is None:
        return None
    kinds: list[list[str]] = []
    depth = 0
    is_prefix = False
    for token, is_sign in tokens(answer, start.end()):
        if is_sign:
            depth += 1 if token == b"(" else -1
            if token == b"(" and depth == 1:
                kinds.append([])
            is_prefix = token == b"(" and depth == 2
        elif depth == 0:
            kinds.append([])  # NIL
        elif is_prefix:
            name = said(token or b"")
            kinds[-1] += [] if name is None else [name]
            is_prefix = False
    if not kinds:
        raise SurpriseOnWire("namespace-syntax")
    own = kinds[0][0] if kinds[0] else ""
    return Namespaces(own, tuple(prefix for kind in kinds[1:] for prefix in kind))


def said(raw: bytes) -> str | None:
    """A folder's name out of modified UTF-7 (RFC 3501 §5.1.3); None when it would not be written back the same."""
    try:
        name = _SHIFTED.sub(_unshifted, raw.decode("ascii"))
        back = folder_name(name)
    except ValueError:  # 8-bit, broken Base64, half a character, control characters
        return None
    return name if re.sub(r"\\(.)", r"\1", back[1:-1]) == raw.decode("ascii") else None


def _unshifted(found: re.Match[str]) -> str:
    code = found.group(1).replace(",", "/")
    return base64.b64decode(code + "=" * (-len(code) % 4)).decode("utf-16-be") if code else "&"


# --- which folder holds what is sent

# Names that servers and mail programs give it (mssante.md: "folder names vary"), the usual one first.
USUAL_NAMES = (
    "sent", "sent items", "sent messages", "sent mail", "envoyés", "éléments envoyés", "messages envoyés",
    "courrier envoyé",
)  # fmt: skip


def of_sent_mails(folders: Iterable[ListedFolder], spaces: Namespaces) -> tuple[ListedFolder, ...]:
    """The folders that can be meant by "the folder of sent mails": those marked \\Sent, else those of the first usual
    name that is there. More than one: nobody but a human can tell which."""
    own = [one for one in folders if one.can_be_opened and spaces.is_own(one.name)]
    if marked := tuple(one for one in own if "\\sent" in one.marks):
        return marked
    for usual in USUAL_NAMES:
        if named := tuple(one for one in own if _last(one).casefold() == usual and _is_at_the_top(one, spaces)):
            return named
    return ()


def _last(folder: ListedFolder) -> str:
    return folder.name.rpartition(folder.delimiter)[2] if folder.delimiter else folder.name


def _is_at_the_top(folder: ListedFolder, spaces: Namespaces) -> bool:
    """`Sent`, `INBOX.Sent`; not `Projet/Sent`."""
    above = folder.name.removesuffix(_last(folder))
    return above in ("", spaces.own, f"INBOX{folder.delimiter}")
