"""The words by which a connection that could not be had is told."""

from __future__ import annotations

import errno

import pytest

from hub.imap.session import _errno_name

BOTH = "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 111] Connect call failed ('h', 1)"
MIXED = "Multiple exceptions: [Errno 101] Network is unreachable, [Errno 111] Connect call failed ('127.0.0.1', 1)"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "econnrefused"),
        (OSError(BOTH), "econnrefused"),  # a name with two addresses
        (OSError(MIXED), "econnrefused"),
        (OSError("[Errno 99999]"), "oserror"),
        (OSError("no number"), "oserror"),
    ],
)
def test_what_kept_from_connecting_has_the_system_s_name(error: OSError, name: str) -> None:
    assert _errno_name(error) == name
