"""Keeps the lists of revoked certificates fresh, in the background of `hub serve`: whoever connects finds them there.

In: the vetting of this process. Out: files in data_dir/trust, which every process of the site uses. Several hosts may
do this for one site: each list is fetched by one of them. Failures are told in the log; the next turn is the retry.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from hub.errors import HubError
from hub.wiring import now
from hub.wiring.vetting import Vetting

log = logging.getLogger("hub.trust")

TURN = 60.0  # seconds; a turn in which nothing is due reads a few small files


async def keep_lists(vetting: Vetting, stop: asyncio.Event, turn: float = TURN) -> None:
    """Until `stop`."""
    while not stop.is_set():
        try:
            await vetting.keep(now())
        except HubError as error:
            log.warning("lists of revoked certificates: %s", error.private)
        except OSError as error:
            log.warning("lists of revoked certificates: %s", error.strerror or type(error).__name__)
        except Exception as error:  # our fault: the next turn is the retry, the watchers must not suffer
            log.error("lists of revoked certificates: %s", type(error).__name__)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), turn)
