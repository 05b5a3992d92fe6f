"""Serves the application until SIGTERM or SIGINT. Raises Misconfigured when `web.host` and `web.port` cannot be had."""

from __future__ import annotations

import logging
import os
import signal
import socket

import uvicorn

from hub.errors import Misconfigured
from hub.web.app import make_app
from hub.wiring import House

log = logging.getLogger("hub.web")

STOP_WITHIN = 10  # seconds for what is being answered
AT_ONCE_MOST = 64  # connections: monitors are few, the rest is an attack


def serve(house: House) -> None:
    settings = house.settings.web
    listening = _listening(settings.host, settings.port)
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(house),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            limit_concurrency=AT_ONCE_MOST,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=STOP_WITHIN,
        )
    )
    # At its end uvicorn gives the signal that stopped it to whoever listened before: a stop that was asked for is no
    # failure, so nobody dies of it.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    log.info("serving http://%s:%s/health", settings.host, settings.port)
    with listening:
        server.run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(found[4][:2], family=found[0])
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such host"
        raise Misconfigured(f"web: cannot listen on {host} port {port}: {why}") from None
