"""A loopback port for a private server, below those that the kernel hands out: no outgoing connection of another test
can take it before the server starts, or while it is stopped for a moment."""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 10_000, 32_000  # Linux hands out 32,768 and above
_CHANCE = random.SystemRandom()  # tests that run side by side must not draw the same ones


def free_port() -> int:
    while True:
        port = _CHANCE.randrange(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
