"""One tree of errors. Each carries a public text (French, for a user, reveals nothing) and a private one
(English, for the log; ids and reasons only, never names, INS or content). Temporary or permanent is a property
of every error; what is unknown is temporary.
"""

from __future__ import annotations

from datetime import timedelta


class HubError(Exception):
    """Base of all errors that the hub raises on purpose."""

    def __init__(self, private: str, public: str = "Le hub n'a pas pu terminer cette opération.") -> None:
        super().__init__(private)
        self.private = private
        self.public = public


class Temporary(HubError):
    """Try again later: a peer is down, a disk is full. `retry_in` is a wish, the spool decides."""

    def __init__(
        self,
        private: str,
        public: str = "Opération momentanément impossible : le hub réessaiera de lui-même.",
        retry_in: timedelta | None = None,
    ) -> None:
        super().__init__(private, public)
        self.retry_in = retry_in


class Awaited(Temporary):
    """Nothing is wrong with the message: it waits until somebody has put the hub right, however long that takes. An
    alert tells them; no attempt is counted."""


class DiskFailed(Temporary):
    """A disk is full or broken: nothing was written. `code` says how (`disk-enospc`, `disk-eio`)."""

    def __init__(self, private: str, reason: str) -> None:
        super().__init__(private)
        self.code = f"disk-{reason.lower()}"


class Untrusted(Temporary):
    """Who answers at an operator's address cannot be believed: nothing was said to them. `code` says why
    (`peer-revoked`, `peer-revocation-unknown`, `peer-other-pin`…)."""

    def __init__(self, code: str, private: str, public: str) -> None:
        super().__init__(private, public)
        self.code = code


class Permanent(HubError):
    """It will never work as it is: refused by the peer, forbidden by a rule."""


class UncertainDelivery(HubError):
    """The connection broke after the final dot: sent or not, nobody knows (house.md, States)."""


class Damaged(HubError):
    """The bytes cannot be read safely: the reader died, hit a limit, or found no message."""


class Misconfigured(HubError):
    """A setting, route, certificate or key file is wrong. `private` says `file:line path message`."""


class LostLease(Temporary):
    """Another worker carries the message now: stop, write nothing (spool fencing)."""


class StalePlan(Temporary):
    """The records changed since the plan was made: drop it and think again (a new version was filed meanwhile)."""


def place_of(error: BaseException) -> str:
    """`file.py:line` where an exception was raised, for the log: its text may quote what nobody may read there."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace is not None else "?"
