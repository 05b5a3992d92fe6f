"""TLS over memory buffers (`ssl.SSLContext.wrap_bio`): sealed bytes in, clear pieces out, and back.

asyncio's own TLS keeps a buffer of 256 KiB for each connection and hides what was read before the handshake. A hub
that watches two hundred mailboxes wants neither: here a connection at rest keeps OpenSSL's own state only, and the
session sees every clear byte that came before TLS (RH-03). Errors are those of `ssl`; the caller sends what `drain`
gives, alerts included, and closes.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

_SLICE = 32 * 1024  # a memory BIO never gives memory back: it is kept at two TLS records
_READ = 48 * 1024  # a slice, and what was left of the record that it completes


class TlsLayer:
    """One TLS connection, client side. The server's name is checked against its certificate."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.is_established = False
        self.is_over = False  # the peer said goodbye (close_notify)
        self._error: ssl.SSLError | None = None

    def start(self) -> None:
        """Make the first flight ready to `drain`."""
        self._advance_handshake()

    def feed(self, sealed: bytes) -> Iterator[bytes]:
        """The clear pieces inside these bytes, each of several TLS records. Raises ssl.SSLError."""
        view = memoryview(sealed)
        for offset in range(0, len(view), _SLICE):
            self._incoming.write(view[offset : offset + _SLICE])
            if not self.is_established:
                self._advance_handshake()
            while self.is_established and (clear := self._read()):
                yield clear

    def seal(self, clear: bytes) -> None:
        """Make clear bytes ready to `drain`."""
        if clear:
            self._tls.write(clear)

    def drain(self) -> bytes:
        """What must go to the peer now: handshake, alerts, sealed bytes."""
        return self._outgoing.read()

    @property
    def peer_certificate(self) -> bytes:
        """The server's own certificate, DER; only after the handshake."""
        return self._tls.getpeercert(binary_form=True) or b""

    @property
    def version(self) -> str:
        """`TLSv1.2`, `TLSv1.3`."""
        return self._tls.version() or ""

    @property
    def suite(self) -> str:
        """By OpenSSL's name."""
        return (self._tls.cipher() or ("",))[0]

    def _advance_handshake(self) -> None:
        try:
            self._tls.do_handshake()
            self.is_established = True
        except ssl.SSLWantReadError:
            pass

    def _read(self) -> bytes:
        """What there is; empty when more sealed bytes are needed or the peer said goodbye. Servers send records of
        4 KiB: they are read one after the other into the same piece."""
        if self._error is not None:
            raise self._error
        if not (self._incoming.pending or self._tls.pending()):
            return b""  # all was read: to ask once more would cost a buffer and an exception
        room, size = memoryview(bytearray(_READ)), 0
        try:
            while size < _READ and not self.is_over:
                got: int = self._tls.read(_READ, room[size:])  # type: ignore[assignment]  # into a buffer: how many
                self.is_over = not got
                size += got
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._error = error
            if not size:  # else what came before it is given first
                raise
        return bytes(room[:size])
