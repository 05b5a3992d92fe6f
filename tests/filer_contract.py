"""What a filer owes, said once: the real one (tests/edges/test_imap_filer.py) and the fake
(tests/unit/test_fake_filer.py) pass it both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from hub.errors import Damaged
from hub.ports import Filer
from hub.raw import Whole

AT = datetime(2026, 11, 25, 9, 30, 15, tzinfo=UTC)
ID = "<0123456789abcdef@mecs-exemple.mssante.example>"


def a_mail(message_id: str = ID, body: bytes = b"Bonjour.\r\n") -> bytes:
    """Fictional, as it left: CRLF, 8-bit, a line of one dot."""
    head = f"From: <secretariat@mecs-exemple.mssante.example>\r\nMessage-ID: {message_id}\r\nSubject: Réunion\r\n\r\n"
    return head.encode() + b".\r\n..\r\n" + body


class InPieces(Whole):
    """`raises` after the last piece."""

    def __init__(self, raw: bytes, piece: int, raises: Exception | None = None) -> None:
        super().__init__(raw)
        self._cut, self._bytes, self._raises = piece, raw, raises

    async def pieces(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._bytes), self._cut):
            yield self._bytes[start : start + self._cut]
            if self._raises is not None:
                raise self._raises


@dataclass
class Shelf:
    """A filer, and what another program sees in a folder of a mailbox: the mails in order, None where no folder is."""

    filer: Filer
    mailbox: str
    other_mailbox: str
    seen: Callable[[str, str], Awaitable[list[bytes] | None]]


class FilerContract:
    async def test_a_mail_is_filed_byte_for_byte(self, shelf: Shelf) -> None:
        raw = a_mail(body=b"\xe9 seul\r\n" + bytes(range(32, 127)) * 3_000)
        assert await shelf.filer.file(shelf.mailbox, "Envois", InPieces(raw, 70_001), ID, AT) == "filed"
        assert await shelf.seen(shelf.mailbox, "Envois") == [raw]

    async def test_filing_again_makes_no_twin(self, shelf: Shelf) -> None:
        for done in ("filed", "already there", "already there"):
            assert await shelf.filer.file(shelf.mailbox, "Envois", Whole(a_mail()), ID, AT) == done
        assert await shelf.seen(shelf.mailbox, "Envois") == [a_mail()]

    async def test_ids_are_compared_whole(self, shelf: Shelf) -> None:
        longer = ID.replace("<", "<x")
        assert await shelf.filer.file(shelf.mailbox, "Envois", Whole(a_mail(longer)), longer, AT) == "filed"
        assert not await shelf.filer.holds(shelf.mailbox, "Envois", ID, AT)
        assert not await shelf.filer.holds(shelf.mailbox, "Envois", longer[:-1], AT)
        assert await shelf.filer.holds(shelf.mailbox, "Envois", longer, AT)
        assert await shelf.filer.file(shelf.mailbox, "Envois", Whole(a_mail()), ID, AT) == "filed"

    async def test_looking_into_a_folder_that_is_not_there_makes_none(self, shelf: Shelf) -> None:
        assert not await shelf.filer.holds(shelf.mailbox, "Envois", ID, AT)
        assert await shelf.seen(shelf.mailbox, "Envois") is None

    async def test_clocks_that_differ_by_a_day_hide_nothing(self, shelf: Shelf) -> None:
        await shelf.filer.file(shelf.mailbox, "Envois", Whole(a_mail()), ID, AT)
        assert await shelf.filer.holds(shelf.mailbox, "Envois", ID, AT + timedelta(days=1))
        assert await shelf.filer.holds(shelf.mailbox, "Envois", ID, AT - timedelta(days=30))

    async def test_mailboxes_and_folders_do_not_mix(self, shelf: Shelf) -> None:
        await shelf.filer.file(shelf.mailbox, "Envois", Whole(a_mail()), ID, AT)
        assert not await shelf.filer.holds(shelf.other_mailbox, "Envois", ID, AT)
        assert not await shelf.filer.holds(shelf.mailbox, "Boîte d'envoi & Cie", ID, AT)
        await shelf.filer.file(shelf.mailbox, "Boîte d'envoi & Cie", Whole(a_mail()), ID, AT)
        assert await shelf.seen(shelf.mailbox, "Boîte d'envoi & Cie") == [a_mail()]

    async def test_a_mail_that_cannot_be_read_to_its_end_is_not_filed(self, shelf: Shelf) -> None:
        raw = a_mail(body=b"x" * 200_000)
        with pytest.raises(Damaged):
            await shelf.filer.file(shelf.mailbox, "Envois", InPieces(raw, 90_000, Damaged("altered")), ID, AT)
        assert not await shelf.seen(shelf.mailbox, "Envois")
        assert await shelf.filer.file(shelf.mailbox, "Envois", Whole(raw), ID, AT) == "filed"
        assert await shelf.seen(shelf.mailbox, "Envois") == [raw]
