"""How long a watcher waits after a failure, and the code by which the failure is known.

Full jitter, doubling. A connection that ended well enough to compare the folder starts again from the shortest delay;
one that hit a cap does not, however often it compared: a server that floods would else be read at full speed for ever.
"""

from __future__ import annotations

from hub import settings
from hub.errors import Misconfigured, Permanent, place_of


class Backoff:
    """Counts the connections in a row that a cap ended."""

    def __init__(self, watching: settings.Watching) -> None:
        self._watching = watching
        self._floods = 0

    def delay(self, error: Exception, failures: int, lived: float, chance: float) -> float:
        """Seconds until the next connection. `failures` since the last whole comparison, this one included; `lived`:
        how long the connection that failed did, in seconds; `chance`: a random number in [0, 1)."""
        if not code_of(error).endswith("-cap"):
            self._floods = 0
        elif lived < self._watching.backoff_most.total_seconds():
            self._floods += 1
        else:
            self._floods = 1
        return retry_delay(error, max(failures, self._floods), self._watching, chance)


def retry_delay(error: Exception, failures: int, watching: settings.Watching, chance: float) -> float:
    """Seconds until the next connection: full jitter, doubling from `backoff_first` to `backoff_most`; `chance` is a
    random number in [0, 1). When only a human can help, near the longest: hammering would lock the mailbox."""
    first, most = watching.backoff_first.total_seconds(), watching.backoff_most.total_seconds()
    if isinstance(error, (Permanent, Misconfigured)):
        return most / 2 + chance * most / 2
    return chance * min(most, first * 2.0 ** min(failures - 1, 30))


def code_of(error: Exception) -> str:
    """A code without content: ours, or the error's type and the line that raised it."""
    if code := getattr(error, "code", ""):
        return str(code)
    line = f"@{place_of(error)}" if error.__traceback__ is not None else ""
    return f"{type(error).__name__.lower()}{line}"
