"""Asks the DNS where a service of a domain is (SRV records), and says which answers may be used. The only file that
knows dnspython.

EX_LPS_0300 tells the way of authentication by the SRV *priority*: 10 is the front end of Pro Santé Connect, 20 the one
of certificates. So the priority selects here, where RFC 2782 would only prefer the lowest; within it the order is that
of the weights. DNS is not authenticated: whatever it says, the server must still show a certificate of IGC-Santé with
the host's name. Failures: NotFound, with a code.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Literal

from hub.errors import Temporary

Service = Literal["imap", "submission"]

_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TOLD_MOST = 8  # records named in one text
NOT_OFFERED = ""  # a target "." (RFC 2782): the service is decidedly not there


class NotFound(Temporary):
    """`code`: `dns-nxdomain` (no such name), `dns-no-answer` (no such record), `dns-timeout` (nothing that can be read
    came in time), `dns-failed` (the servers refuse or fail), `dns-no-server` (none is set on this machine), `dns-name`
    (nobody can ask for it), `dns-no-priority`, `dns-not-offered`, `dns-target` (none that `srv_targets` allows),
    `dns-garbage`. `found`: what the answer held all the same."""

    def __init__(self, name: str, code: str, found: Sequence[Record] = ()) -> None:
        told = f" (found: {listed(found)})" if found else ""
        super().__init__(
            f"{name}: {code}{told}",
            "Le hub ne trouve pas les serveurs de l'opérateur par le DNS : rien n'est perdu, il réessaiera de "
            "lui-même. Si cela dure, l'administrateur doit lancer hub operator test.",
        )
        self.code = code
        self.found = tuple(found)


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """One SRV record. `target`: small letters, no final dot, "" for none (`NOT_OFFERED`)."""

    priority: int
    weight: int
    port: int
    target: str

    def __str__(self) -> str:
        return f"{self.priority} {self.weight} {self.port} {self.target or '.'}"


@dataclass(frozen=True, slots=True)
class Answer:
    """`seconds`: how long it may be used (the smallest TTL of the chain)."""

    records: tuple[Record, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records an operator's settings allow. `targets`: patterns with `*`; none: any host."""

    priority: int = 20
    targets: tuple[str, ...] = ()


def srv_name(domain: str, service: Service) -> str:
    return f"_{service}._tcp.{domain.lower().rstrip('.')}"


def listed(records: Sequence[Record]) -> str:
    more = f", and {len(records) - _TOLD_MOST} more" if len(records) > _TOLD_MOST else ""
    return ", ".join(map(str, records[:_TOLD_MOST])) + more


def usable(name: str, records: Sequence[Record], wanted: Wanted) -> tuple[Record, ...]:
    """Those that may be used. Raises NotFound, with what was found instead."""
    offered = [record for record in records if record.target != NOT_OFFERED]
    if not offered:
        raise NotFound(name, "dns-not-offered", records)
    fit = [record for record in offered if record.priority == wanted.priority]
    if not fit:
        raise NotFound(name, "dns-no-priority", records)
    allowed = [record for record in fit if _is_allowed(record.target, wanted.targets)]
    if not allowed:
        raise NotFound(name, "dns-target", fit)
    sound = tuple(record for record in allowed if record.port and _HOST.fullmatch(record.target))
    if not sound:
        raise NotFound(name, "dns-garbage", allowed)
    return sound


def _is_allowed(target: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(target, pattern.lower().rstrip(".")) for pattern in patterns)


def in_order(records: Iterable[Record], random: Callable[[], float]) -> tuple[Record, ...]:
    """Of one priority, in the order in which they are to be tried: by chance, in proportion to their weights (RFC 2782,
    page 3). `random` gives numbers in [0, 1)."""
    rest = sorted(records, key=lambda record: (record.weight, record))  # those of weight 0 first, as the text wants
    ordered: list[Record] = []
    while rest:
        sums = list(accumulate(record.weight for record in rest))
        drawn = int(random() * (sums[-1] + 1))
        ordered.append(rest.pop(bisect_left(sums, drawn)))
    return tuple(ordered)


async def ask(name: str, servers: Sequence[tuple[str, int]], seconds: float) -> Answer:
    """What the DNS says now of `name`. `servers`: (address, port) of each resolver; none: those of this machine (as its
    resolv.conf has them at this moment). `seconds` bound everything. Raises NotFound."""
    # 0.1 s of libraries: only for sites whose operators are found by DNS.
    from dns import asyncresolver, exception, nameserver, rdatatype, resolver
    from dns.rdtypes.IN.SRV import SRV

    try:
        asker = asyncresolver.Resolver(configure=not servers)
        if servers:
            asker.nameservers = [nameserver.Do53Nameserver(address, port) for address, port in servers]
        asker.timeout = max(0.2, seconds / 3)  # of one question: two more can be asked
        answer = await asker.resolve(name, rdatatype.SRV, search=False, lifetime=seconds)
    except resolver.NXDOMAIN:
        raise NotFound(name, "dns-nxdomain") from None
    except resolver.NoAnswer:
        raise NotFound(name, "dns-no-answer") from None
    except exception.Timeout:
        raise NotFound(name, "dns-timeout") from None
    except resolver.NoResolverConfiguration:
        raise NotFound(name, "dns-no-server") from None
    except resolver.NoNameservers:
        raise NotFound(name, "dns-failed") from None
    except exception.DNSException as error:  # a label or name too long, an empty label
        raise NotFound(name, "dns-name" if _is_about_the_name(error) else "dns-failed") from None
    except OSError:
        raise NotFound(name, "dns-failed") from None
    records = sorted(
        Record(one.priority, one.weight, one.port, one.target.to_text(omit_final_dot=True).lower().removeprefix("."))
        for one in answer
        if isinstance(one, SRV)
    )
    return Answer(tuple(records), answer.chaining_result.minimum_ttl)


def _is_about_the_name(error: Exception) -> bool:
    from dns import name

    return isinstance(error, name.LabelTooLong | name.NameTooLong | name.EmptyLabel | name.BadEscape)
