"""How the door in fails. Each error carries a stable `code` (for logs, progress marks and alerts).

`ConnectionLost` means that the connection is closed, whoever closed it: open a new one. `CommandRefused` leaves the
connection usable. `PeerRefused` needs a human (certificate, password, TLS), so the watcher waits its longest delay.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from hub.errors import Permanent, Temporary

# Response codes (RFC 5530; THROTTLED is Yahoo's and others') that speak of the server's state, not of what was asked.
PASSING = ("unavailable", "inuse", "limit", "throttled")
SPOOL_DEADLINE = 120.0  # seconds; SQLite alone may be busy for 30


class ConnectionLost(Temporary):
    """The connection is closed: by the peer, by a deadline of ours, or by us after a protocol surprise."""

    def __init__(self, code: str) -> None:
        super().__init__(f"imap connection lost: {code}")
        self.code = code


class CommandRefused(Temporary):
    """The server answered NO or BAD. `code` is `command-no`, or `command-no-RESPONSECODE` when it gave one."""

    def __init__(self, code: str) -> None:
        super().__init__(f"imap command refused: {code}")
        self.code = code

    @property
    def is_passing(self) -> bool:
        """Nothing is wrong with what was asked: the server asks to be left alone for a while."""
        return self.code.rpartition("-")[2] in PASSING


class MessageGone(Temporary):
    """The message left the folder meanwhile (another client moved or deleted it): no error of anybody."""

    code = "gone"

    def __init__(self) -> None:
        super().__init__("imap message gone")


class MessageTooLarge(Permanent):
    """More bytes than `watching.message_most`."""

    code = "too-large"

    def __init__(self) -> None:
        super().__init__("imap message over watching.message_most")


class PeerRefused(Permanent):
    """TLS could not be had, the certificate is not trusted, or the authentication was refused."""

    def __init__(self, code: str, public: str = "") -> None:
        super().__init__(
            f"imap peer refused: {code}",
            public
            or "La connexion à l'opérateur est refusée (certificat, chiffrement ou identifiants). "
            "Vérifiez la configuration de la boîte avec votre opérateur MSSanté ; le hub réessaie de lui-même.",
        )
        self.code = code


class SpoolSilent(Temporary):
    """The spool did not answer within SPOOL_DEADLINE: what it was asked may be done, or not; it may be asked again."""

    code = "spool-timeout"

    def __init__(self) -> None:
        super().__init__("the spool does not answer")


@contextlib.asynccontextmanager
async def spool_deadline() -> AsyncIterator[None]:
    """Around each question to the spool. A disk that hangs in the kernel is still waited for: no thread may write to
    a blob that was given up."""
    try:
        async with asyncio.timeout(SPOOL_DEADLINE):
            yield
    except TimeoutError:
        raise SpoolSilent from None


# OpenSSL's verify codes (X509_V_ERR_…) that an operator's certificate really meets, in words for the log.
_CERTIFICATE = {
    9: "not-yet-valid",
    10: "expired",
    18: "self-signed",
    19: "unknown-authority",
    20: "unknown-authority",
    21: "unknown-authority",
    23: "revoked",
    24: "wrong-authority",
    26: "wrong-usage",
    62: "other-host",
    64: "other-host",
}


def certificate_code(verify_code: int) -> str:
    """`certificate-expired`, `certificate-other-host`…: why the operator's certificate was refused."""
    return f"certificate-{_CERTIFICATE.get(verify_code, verify_code)}"
