"""`python -m hub.sandbox [FOLDER]`: the fake operator in a process of its own, until Ctrl-C (also: `hub sandbox`)."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from hub.sandbox.service import ANY_PORTS, PORTS, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hub.sandbox", description="Opérateur MSSanté fictif.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("bac-a-sable"), help="dossier de travail")
    parser.add_argument("--samples", action="store_true", help="déposer les messages de la démonstration")
    parser.add_argument("--any-port", action="store_true", help="prendre des ports libres au lieu des ports fixes")
    options = parser.parse_args()
    asyncio.run(serve(options.folder, with_samples=options.samples, any_port=options.any_port))


async def serve(folder: Path, *, with_samples: bool, any_port: bool) -> None:
    """Until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    ports = ANY_PORTS if any_port else PORTS
    await run(folder, lambda line: print(line, flush=True), stop, with_samples=with_samples, ports=ports)


if __name__ == "__main__":
    main()
