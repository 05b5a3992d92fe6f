"""How the mails of one mailbox leave: where to, with which certificate, under which credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from hub.ports import FindWay

Sasl = Literal["external", "plain", "login", "none"]


@dataclass(frozen=True, kw_only=True)
class Route:
    """`find_way` is asked at each new connection, and may raise Misconfigured. So may `make_password`, called in a
    thread, which takes the place of `password`: a file that is missing stops the mails of its mailbox, no other's.

    Routes of the same `line` with the same credentials share one connection; set it to what makes two routes the same
    towards the operator (its name and the certificate's file). Without `line` a route shares with none: credentials of
    one mailbox never serve another (RH-01). `asks_dsn` False: the operator offers DSN and stumbles over it (RH-54).
    """

    find_way: FindWay
    sasl: Sasl = "none"
    username: str = ""
    password: str = field(default="", repr=False)
    make_password: Callable[[], str] | None = None
    line: str = ""
    asks_dsn: bool = True

    def shares_with(self) -> tuple[object, ...] | None:
        """Equal for routes that may use one connection, None for a route that may not share."""
        if not self.line:
            return None
        secret = (self.username, self.password) if self.sasl in {"plain", "login"} else ()
        return (self.line, self.sasl, *secret)
