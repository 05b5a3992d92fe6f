"""A small DNS server on loopback (UDP, and TCP on the same port) that answers as a test says: with records, errors or
nonsense, late, cut short, or not at all. The answers are built by dnspython, wire format and all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from tests.edges.ports import free_port


@dataclass(frozen=True)
class Said:
    """`records`: SRV (and CNAME) lines `NAME TTL TYPE DATA`. `garbage`: these bytes instead of an answer (after the id
    of the question). `is_cut`: over UDP only the header comes, with the bit that says so."""

    records: tuple[str, ...] = ()
    rcode: int = dns.rcode.NOERROR
    wait: float = 0.0
    is_cut: bool = False
    garbage: bytes | None = None
    is_silent: bool = False


Script = Callable[[str], Said]


def srv(name: str, *data: str, ttl: int = 3600) -> Said:
    """Records `PRIORITY WEIGHT PORT TARGET` of one name."""
    return Said(tuple(f"{name}. {ttl} SRV {one}" for one in data))


class Names:
    """`asked` is every name asked for so far; `script` may be replaced at any time."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[str] = []
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def answer(self, question: bytes, *, is_udp: bool) -> bytes | None:
        query = dns.message.from_wire(question)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        self.asked.append(name)
        said = self.script(name)
        await asyncio.sleep(said.wait)
        if said.is_silent:
            return None
        if said.garbage is not None:
            return question[:2] + said.garbage
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.Rcode(said.rcode))
        if said.is_cut and is_udp:
            reply.flags |= dns.flags.TC
            return reply.to_wire()
        for line in said.records:
            owner, ttl, kind, data = line.split(" ", 3)
            reply.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, data))
        return reply.to_wire()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self._names = names
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.ensure_future(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = await self._names.answer(data, is_udp=True)
        if reply is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def running_names(script: Script, *, has_tcp: bool = True) -> AsyncIterator[Names]:
    names = Names(script)
    names.port = free_port()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Udp(names), local_addr=("127.0.0.1", names.port)
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            size = int.from_bytes(await reader.readexactly(2))
            reply = await names.answer(await reader.readexactly(size), is_udp=False)
            if reply is not None:
                writer.write(len(reply).to_bytes(2) + reply)
                await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", names.port) if has_tcp else None
    try:
        yield names
    finally:
        transport.close()
        if listener is not None:
            listener.close()
