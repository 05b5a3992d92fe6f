"""TLS over memory: many records come out as one piece, and a broken record takes nothing with it that came before."""

from __future__ import annotations

import contextlib
import ssl

import pytest
import trustme

from hub.imap.tls import TlsLayer


def _server_and_layer() -> tuple[ssl.SSLObject, ssl.MemoryBIO, TlsLayer]:
    """A server, what it sends, and the hub's side, established."""
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = theirs.wrap_bio(incoming, outgoing, server_side=True)
    layer = TlsLayer(ours, "localhost")
    layer.start()
    for _ in range(4):
        incoming.write(layer.drain())
        with contextlib.suppress(ssl.SSLWantReadError):
            server.do_handshake()
        assert not list(layer.feed(outgoing.read()))
    assert layer.is_established
    return server, outgoing, layer


def test_many_records_come_out_as_few_pieces() -> None:
    server, outgoing, layer = _server_and_layer()
    clear = bytes(range(256)) * 1024
    for start in range(0, len(clear), 4096):
        server.write(clear[start : start + 4096])
    sealed = outgoing.read()
    pieces = [*layer.feed(sealed[:70_001]), *layer.feed(sealed[70_001:])]
    assert b"".join(pieces) == clear
    assert len(pieces) < 12


def test_what_came_before_a_broken_record_is_given_first() -> None:
    server, outgoing, layer = _server_and_layer()
    server.write(b"* BYE\r\n")
    pieces = layer.feed(outgoing.read() + b"no record of TLS at all")
    assert next(pieces) == b"* BYE\r\n"
    with pytest.raises(ssl.SSLError):
        next(pieces)


def test_a_goodbye_ends_it_after_what_came_before() -> None:
    server, outgoing, layer = _server_and_layer()
    server.write(b"* BYE\r\n")
    with pytest.raises(ssl.SSLError):  # it waits for our answer
        server.unwrap()
    assert list(layer.feed(outgoing.read())) == [b"* BYE\r\n"]
    assert layer.is_over
