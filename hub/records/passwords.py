"""Passwords: argon2id hashes, checked in threads of their own so that no check stops the loop or takes all memory.

A login that nobody has costs as much as one that somebody has: the same check runs against a hash of nothing. A right
password is remembered for some minutes as a keyed digest (the key lives in this process only), since mail programs log
in for each mail they send.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, two passes, one lane. RFC 9106's 64 MiB would make four
# secretaries who log in at once a quarter of a gigabyte.
_PASSES, _KIBIBYTES, _LANES = 2, 19 * 1024, 1
CHECKS_AT_ONCE = 2
REMEMBERED_FOR, REMEMBERED_MOST = 300.0, 1_000  # seconds, passwords
SHORTEST = 12  # characters; ANSSI, authentification multifacteur et mots de passe (2021), R21: 12 for a usual account
LONGEST = 1_024  # bytes; a longer one is an attack on the hash


class Passwords:
    """One for a process."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_KIBIBYTES, parallelism=_LANES)
        self._threads = ThreadPoolExecutor(CHECKS_AT_ONCE, "hub-password")
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._ticks = ticks

    def hash(self, password: str) -> str:
        """Takes some tens of milliseconds."""
        return self._hasher.hash(password)

    async def is_right(self, password: bytes, hashed: str | None, *, may_remember: bool) -> bool:
        """Whether this password made `hashed`; False, after the same work, when there is none. `may_remember`: not for
        somebody who is kept out whatever they say, since a quick answer would tell them that the password is right."""
        digest = hmac.digest(self._key, hashlib.sha256(password).digest() + (hashed or "").encode(), "sha256")
        if may_remember and self._right.get(digest, 0.0) > self._ticks():
            return True
        loop = asyncio.get_running_loop()
        is_right = await loop.run_in_executor(self._threads, self._check, password, hashed)
        if hashed is None or not is_right:
            return False
        if may_remember:
            self._right[digest] = self._ticks() + REMEMBERED_FOR
        while len(self._right) > REMEMBERED_MOST:
            self._right.popitem(last=False)
        return True

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_bytes(16))

    def _check(self, password: bytes, hashed: str | None) -> bool:
        nobodys = self._nobodys  # made at the first check of all, whoever it is for
        try:
            return self._hasher.verify(hashed or nobodys, password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False
