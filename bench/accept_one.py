"""`python -m bench.accept_one SETTINGS PORT`: the submission door of a site alone in a process, until SIGTERM.

Beside the site's own listeners it opens PORT without TLS, where every client is the fictional user of the bench: what
`smtp-source` can talk to. The hint is not part of accepting.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from hub.ports import User
from hub.settings import load_settings
from hub.smtp.listening import Listener, SubmissionDoor
from hub.smtp.server import Conversation
from hub.trust.tls import server_context
from hub.wiring import open_house
from hub.wiring.door import listeners, make_desk

SOMEBODY = User(id="banc", login="banc", mailboxes=frozenset({"dossiers"}))


class _KnownFromTheStart(Conversation):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self._tls == "none":
            self.user = SOMEBODY


async def _serve(settings_file: Path, port: int) -> None:
    house = open_house(load_settings(settings_file))
    submitting = house.settings.submission
    assert submitting.certificate is not None

    async def told(_message_id: str) -> None:
        """Nobody carries here."""

    desk = make_desk(house, told)
    rights = house.users.rights

    async def rights_of(user_id: str) -> frozenset[str]:
        return SOMEBODY.mailboxes if user_id == SOMEBODY.id else await rights(user_id)

    house.users.rights = rights_of  # type: ignore[method-assign]
    places = (Listener("127.0.0.1", port, "none"), *listeners(submitting))
    context = server_context(submitting.certificate)
    door = SubmissionDoor(desk, places, "hub.banc.example", context, _KnownFromTheStart)
    await door.open()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("open", flush=True)
    await stop.wait()
    await door.close(timedelta(seconds=5))
    house.database.close()


def main() -> None:
    file, port = sys.argv[1:]
    asyncio.run(_serve(Path(file), int(port)))


if __name__ == "__main__":
    main()
