"""The fake operator as a service of its own, for integrators and training: fixed ports, certificates that stay.

`run` listens until `stop` is set. Its folder holds the certificates (`certificats/`), the mails (`boites/`) and a site
ready for `hub serve` (`site/`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hub.sandbox.authority import Authority
from hub.sandbox.operator import HOST, FakeOperator
from hub.sandbox.people import SECRETARY_LOGIN, TILLEULS
from hub.sandbox.scenario import samples
from hub.sandbox.site import MAILBOX, PASSWORD_FILE, write_site

Ports = tuple[int, int, int, int]  # IMAP, IMAP with STARTTLS, SMTP, SMTP with STARTTLS; 0: any free one
PORTS: Ports = (10993, 10143, 10465, 10587)  # 993, 143, 465 and 587, out of root's reach
ANY_PORTS: Ports = (0, 0, 0, 0)
DOOR_PORT = 11587  # of the hub on the site, where secretaries submit


def free_port() -> int:
    """One that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def run(
    folder: Path, say: Callable[[str], None], stop: asyncio.Event, *, with_samples: bool, ports: Ports = PORTS
) -> None:
    """`say` is given the lines for the person who started it."""
    operator = FakeOperator(folder, Authority(folder / "certificats"))
    await operator.start(ports=ports)
    try:
        write_site(folder / "site", operator, free_port() if ports == ANY_PORTS else DOOR_PORT)
        if with_samples:
            for sample in samples(datetime.now(UTC).astimezone()):
                await operator.deliver(TILLEULS.address, sample.raw)
        for line in description(operator):
            say(line)
        await stop.wait()
    finally:
        await operator.stop()


def description(operator: FakeOperator) -> list[str]:
    """What an integrator needs, in French."""
    lines = [
        "Opérateur MSSanté fictif : tout y est inventé, aucune vraie donnée ne doit y entrer.",
        f"  IMAP  {HOST} : {operator.imap_port} (TLS), {operator.imap_starttls_port} (STARTTLS)",
        f"  SMTP  {HOST} : {operator.smtp_port} (TLS), {operator.smtp_starttls_port} (STARTTLS)",
        f"  Autorité à reconnaître : {operator.authority.ca_file}",
        f"  Mot de passe (PLAIN, LOGIN ; inutile avec EXTERNAL) : dans {operator.password_file}",
        "  Boîtes aux lettres, avec le certificat client exigé :",
    ]
    for structure in operator.structures:
        lines.append(f"    {structure.address}  ({structure.name})")
        lines.append(f"      {operator.client(structure).certificate}")
    site = operator.folder / "site"
    lines.append(f"  Un site prêt à servir : hub init {site} ; hub usagers import {site / 'usagers.csv'} --site {site}")
    lines.append(f"                          hub serve --site {site}")
    lines.append(
        "  Pour y envoyer depuis un logiciel de messagerie (port et certificat : section submission du hub.yaml) :"
    )
    secret = site / PASSWORD_FILE
    lines.append(f"    hub users add {SECRETARY_LOGIN} --mailbox {MAILBOX} --password-file {secret} --site {site}")
    return lines
