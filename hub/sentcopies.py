"""The copy of a sent mail in the folder of sent mails of its mailbox: ours, or what the operator's own one proves.

In: a sending. Out: its bytes, as they left, in that folder (once); or whether the operator put them there, which proves
that it has them. A copy says nothing of the sending: whoever calls goes on without it when it fails.

One copy proves one submission. All recipients of a mail share its Message-ID, and a submission that was repeated after
a crash leaves two copies: with several recipients nobody can say whose copy it is, so it proves nothing there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from hub.errors import HubError, Permanent
from hub.message import Rung, Sending, SentTo
from hub.ports import Blobs, Filer, SentFolder

log = logging.getLogger("hub.deeds")

NO_FOLDER = "Aucun dossier des messages envoyés n'est réglé pour cette boîte : rien n'y a été rangé."
_NOT_LEFT = (Rung.PREPARED, Rung.UNCERTAIN, Rung.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCopies:
    """`folder_of`: name of a mailbox -> its folder of sent mails; None when nothing is to be filed or looked for."""

    filer: Filer
    folder_of: Callable[[str], SentFolder | None]
    blobs: Blobs

    async def file(self, sending: Sending) -> str:
        """Returns what was done. Raises Temporary, Permanent, Damaged."""
        folder = self.folder_of(sending.mailbox)
        if folder is None:
            raise Permanent("no sent_folder any more", NO_FOLDER)
        if folder.is_kept_by_operator:
            return "left to the operator"
        mail = await self.blobs.open(sending.sha256)
        return await self.filer.file(sending.mailbox, folder.name, mail, sending.message_id, sending.composed_at)

    def can_prove(self, sending: Sending) -> bool:
        """Whether a look into the folder could show that the operator has it."""
        folder = self.folder_of(sending.mailbox)
        return folder is not None and folder.is_kept_by_operator and len(sending.sent_to) == 1

    async def prove(self, sending: Sending) -> bool:
        """Whether the operator's own copy is there. False also when nobody can look now."""
        folder = self.folder_of(sending.mailbox)
        if folder is None or not self.can_prove(sending):
            return False
        try:
            at = sending.composed_at
            return await self.filer.holds(sending.mailbox, folder.name, sending.message_id, at)
        except HubError as error:
            log.warning("mail %s: no look for the operator's copy: %s", sending.message_id, error.private)
            return False


def has_left(stands: SentTo) -> bool:
    """The operator took it, whatever became of it then (a bounce has a `report`)."""
    return stands.rung not in _NOT_LEFT or (stands.rung is Rung.FAILED and bool(stands.report))
