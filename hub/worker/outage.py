"""A broker that goes away: told once, waited for without end, and never a reason for a thread to die or to hang.

`SteadyConsumer` stands between dramatiq's threads and the consumer of a broker's library. Only `ConnectionFailed`
leaves it, from `__next__`: dramatiq then makes a new consumer every three seconds until the broker is back. Whatever
cannot be settled meanwhile is let go, since a hint that comes back a second time is harmless (docs/states.md).
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import dramatiq
from dramatiq.errors import BrokerConnectionError, ConnectionFailed

from hub.errors import HubError

log = logging.getLogger("hub.worker")

Broken = tuple[type[Exception], ...]  # the errors by which a library says that its broker is away

# What the libraries call what a sysadmin can repair, by the name of the class.
_WORDS = {
    "AuthenticationError": "the user or the password is refused",
    "ProbableAuthenticationError": "the user or the password is refused",
    "ProbableAccessDeniedError": "the virtual host is refused to this user",
    "NoPermissionError": "this user may not do what the hub needs",
}

CLOSE_WITHIN = 5.0  # seconds: to say goodbye to a broker that does not answer


class Outage:
    """Tells the log when something begins to fail and when it works again, not what happens between. Any thread."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._is_on = False

    def began(self, why: str) -> None:
        with self._lock:
            was_on, self._is_on = self._is_on, True
        if not was_on:
            log.warning("%s: away (%s); tried again until it is back", self._what, why)

    def ended(self) -> None:
        if not self._is_on:  # asked at each message: without the lock
            return
        with self._lock:
            was_on, self._is_on = self._is_on, False
        if was_on:
            log.warning("%s: back", self._what)


class SteadyConsumer(dramatiq.Consumer):  # type: ignore[misc]
    """The consumer that `make` makes; `broken` are the errors by which it says that the broker is away."""

    def __init__(self, make: Callable[[], Any], broken: Broken, outage: Outage) -> None:
        self._broken: Broken = (*broken, BrokerConnectionError)
        self._outage = outage
        self._inner = self._tried(make)

    def __next__(self) -> Any:
        message = self._tried(lambda: next(self._inner))
        self._outage.ended()
        return message

    def ack(self, message: Any) -> None:
        """Not tried again: dramatiq's way keeps the worker thread until the broker is back, the end of the process
        included."""
        self._let_go(lambda: self._inner.ack(message))

    def nack(self, message: Any) -> None:
        """Like a done one: what is left to do stands in the spool, and nobody reads dead letters."""
        self.ack(message)

    def requeue(self, messages: Iterable[Any]) -> None:
        self._let_go(lambda: self._inner.requeue(messages))

    def close(self) -> None:
        within(CLOSE_WITHIN, lambda: self._let_go(self._inner.close))

    def _tried(self, deed: Callable[[], Any]) -> Any:
        try:
            return deed()
        except self._broken as error:
            self._outage.began(reason_of(error))
            raise ConnectionFailed("the broker is away") from None

    def _let_go(self, deed: Callable[[], Any]) -> None:
        with contextlib.suppress(*self._broken):  # `__next__` tells it, which alone knows when it is over
            deed()


def within(seconds: float, deed: Callable[[], object]) -> bool:
    """Whether `deed` ended in time; else it is left alone in its thread, which ends with the process."""
    thread = threading.Thread(target=deed, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def reason_of(error: BaseException) -> str:
    """Why, in words of the system where it has some, and without the library's own text, which may quote a URL."""
    met: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if one in met:
            continue
        met.append(one)
        more = (*one.args, getattr(one, "exception", None), one.__cause__, one.__context__)
        waiting += [each for each in more if isinstance(each, BaseException)]
        if type(one).__name__ in _WORDS:
            return _WORDS[type(one).__name__]
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {one.verify_message}"
        if isinstance(one, HubError):
            return one.private
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
    return type(met[-1]).__name__
