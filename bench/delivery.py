"""`delivery`: mails handed to an operator's Postfix that wants a client certificate, on the line that the hub keeps
open, over a connection for each mail.

Same mails (110 KB), same sender, A B A B; TCP_NODELAY is what asyncio sets. Handshakes are counted in Postfix's log.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.figures import Figure, Options, Result, median_of, ratio_of
from hub.raw import Whole
from hub.settings import Endpoint, Sending
from hub.smtp.client import Route, SmtpSender
from tests.edges.postfix import Postfix, running_postfix
from tests.pki import Authority, Leaf
from tests.ways import way_to

TITLE = "delivery: a kept line to the operator, against a connection for each mail"
SENDER, RECIPIENT = "dossiers@mecs.mssante.example", "ase@departement.mssante.example"
SIZE = 110_000
IN_A_ROW = 300


def run(options: Options) -> Result:
    messages = options.messages or 60
    rounds = options.rounds or 5
    head = b"Subject: banc\r\nMessage-ID: <1@mecs.mssante.example>\r\n\r\n"
    mail = Whole(head + (b"A" * 76 + b"\r\n") * (SIZE // 78))
    with tempfile.TemporaryDirectory(prefix="hub-delivery-") as folder:
        authority = Authority(Path(folder))
        leaf = authority.issue("banc", SENDER)
        domains = (RECIPIENT.partition("@")[2],)
        with running_postfix(authority, domains=domains, transport="discard:") as postfix:
            route = _route(authority, leaf, postfix)
            pairs = [
                (
                    asyncio.run(_rate(route, mail, messages, is_kept=True)),
                    asyncio.run(_rate(route, mail, max(5, messages // 4), is_kept=False)),
                )
                for _ in range(rounds)
            ]
            before = postfix.handshakes()
            asyncio.run(_rate(route, mail, IN_A_ROW, is_kept=True))
            handshakes = postfix.handshakes() - before
    kept, alone = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return Result(
        "delivery",
        TITLE,
        (
            ratio_of("mails a second, over a connection for each", kept, alone, 5.0, "least"),
            median_of("on the kept line", kept, "/s"),
            median_of("a connection for each", alone, "/s"),
            Figure(f"TLS handshakes for {IN_A_ROW} mails in a row", handshakes, "", IN_A_ROW / 100),
        ),
        rounds=tuple(pairs),
    )


def _route(authority: Authority, leaf: Leaf, postfix: Postfix) -> Route:
    endpoint = Endpoint(host="127.0.0.1", port=postfix.implicit_port, tls="implicit")
    return Route(find_way=way_to(endpoint, lambda: authority.client_context(leaf)))


async def _rate(route: Route, mail: Whole, messages: int, is_kept: bool) -> float:
    sender = SmtpSender({"banc": replace(route)}, Sending())
    began = time.perf_counter()
    for _ in range(messages):
        await sender.send("banc", SENDER, RECIPIENT, mail)
        if not is_kept:
            await sender.close()
    spent = time.perf_counter() - began
    await sender.close()
    return messages / spent
