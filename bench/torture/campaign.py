"""One campaign on one site: deliver, wound, flush, restart, let it settle. What it did stands in the history; what came
of it is for `verdict`.

Each round delivers some letters and does one thing: it arms a point and waits until a process died there, kills
something at random, empties the broker, restarts the database or the broker. A round that cannot happen (nothing
passes the point) is tried again later; a point that nobody ever died at fails the verdict. No pause assumes a speed:
what is waited for is looked at, and only silence for long ends it.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from bench.torture.crew import Crew
from bench.torture.ground import AWAY, Ground
from bench.torture.history import History
from bench.torture.points import Point
from bench.torture.post import Letter, letter_of, letters
from bench.torture.postman import Postman
from hub.errors import Temporary
from hub.sandbox.people import LINA
from hub.spool.statements import MESSAGE
from tests.trips.house import Site

KILLED_ROLES = ("worker", "worker", "reader", "serve", "all")
TOGETHER_MOST = 4  # points that lie in wait in one round
ROUND_SECONDS = 90.0  # until a round gives up
MORE_MAIL_EVERY = 4.0  # seconds without a passage: another letter
START_AGAIN_EVERY = 30.0  # seconds that a service may take from its start to its janitor
TRIES = 4  # of one round
LAST_RELEASES = 2  # that nothing kills any more
HUMAN = "Claire Essai (fictive)"


@dataclass(frozen=True)
class Size:
    """How much is done. `kills` at each point, `chances` random kills, and so on."""

    messages: int = 1_000
    kills: int = 1
    chances: int = 20
    flushes: int = 6
    restarts: int = 5


@dataclass(frozen=True)
class Done:
    """What was delivered (acknowledged by the server), and how many died at each point."""

    delivered: tuple[Letter, ...]
    fired: Counter[str]


Round = tuple[str, Callable[[], bool]]


class Campaign:
    def __init__(
        self,
        site: Site,
        ground: Ground,
        crew: Crew,
        history: History,
        size: Size,
        seed: int,
        points: tuple[Point, ...],
    ) -> None:
        self._site = site
        self._ground = ground
        self._crew = crew
        self._history = history
        self._size = size
        self._chance = random.Random(seed)
        self._letters = letters(seed)
        self._extra = (f"{seed}-extra-{number}" for number in itertools.count())
        self._wounds = site.folder / "wounds"
        self._points = points
        self._postman = Postman(site, history)

    def run(self) -> Done:
        self._crew.start()
        for point in self._points:
            if point.is_rare:
                self._arm(point)
        rounds = self._rounds()
        for left in range(len(rounds), 0, -1):
            missing = max(0, self._size.messages - len(self._postman.delivered))
            self._round(rounds[len(rounds) - left], self._chance.randint(0, 2 * missing // left))
        self._deliver(self._size.messages - len(self._postman.delivered))
        self._seek_the_rare()
        for path in (self._wounds / "armed").iterdir():
            path.unlink(missing_ok=True)
        self._history.note("disarmed")
        for _ in range(LAST_RELEASES):
            self._release()
        self._postman.wait_until_settled()
        self._crew.stop()
        fired = Counter(path.name.rsplit(".", 2)[0] for path in (self._wounds / "fired").iterdir())
        return Done(tuple(self._postman.delivered), fired)

    # --- rounds

    def _rounds(self) -> list[Round]:
        size, ground = self._size, self._ground
        rounds: list[Round] = []
        points = [point for point in self._points if not point.is_rare for _ in range(size.kills)]
        self._chance.shuffle(points)
        while points:
            together = self._chance.randint(1, TOGETHER_MOST)
            some = tuple({point.name: point for point in points[:together]}.values())
            rounds.append((" ".join(point.name for point in some), lambda some=some: self._die_at(some)))  # type: ignore[misc]
            points = points[together:]
        for _ in range(size.chances):
            role = self._chance.choice(KILLED_ROLES)
            rounds.append((f"kill {role}", lambda role=role: self._kill(role)))  # type: ignore[misc]
        rounds += [("flush", self._flush)] * size.flushes
        for name, restart in (("database", ground.restart_database), ("broker", ground.restart_broker)):
            if restart is not None:
                rounds += [(name, lambda n=name, r=restart: self._restart(n, r))] * size.restarts  # type: ignore[misc]
        self._chance.shuffle(rounds)
        return rounds

    def _round(self, one: Round, letters_now: int) -> None:
        """The letters before or after: with a full hand or an empty one."""
        name, happen = one
        first = self._chance.randint(0, letters_now)
        self._deliver(first)
        for attempt in range(TRIES):
            if happen():
                break
            self._history.note("round again", name=name, attempt=attempt + 1)
        self._deliver(letters_now - first)

    def _die_at(self, points: tuple[Point, ...]) -> bool:
        """Arm them all, until somebody died at each."""
        before = {point: len(self._fired(point.name)) for point in points}
        for point in points:
            self._arm(point)
        until, provoked = time.monotonic() + ROUND_SECONDS, dict.fromkeys(points, 0.0)
        while waiting := [point for point in points if len(self._fired(point.name)) == before[point]]:
            if time.monotonic() > until:
                for point in waiting:
                    (self._wounds / "armed" / point.name).unlink(missing_ok=True)
                return False
            for point in waiting:
                pause = START_AGAIN_EVERY if point.needs == "start" else MORE_MAIL_EVERY
                if time.monotonic() - provoked[point] >= pause:
                    provoked[point] = time.monotonic()
                    self._provoke(point)
            time.sleep(0.02)
        return True

    def _provoke(self, point: Point) -> None:
        """Make the point be passed."""
        if point.needs == "start":
            self._crew.kill("serve", self._chance)
        elif point.needs == "release":
            self._release()
        else:
            self._send(letter_of(point.needs or "answered", next(self._extra)))

    def _kill(self, role: str) -> bool:
        time.sleep(self._chance.uniform(0, 1.5))  # at any moment
        until, is_asked = time.monotonic() + ROUND_SECONDS, False
        while not self._crew.kill(role, self._chance):  # the one before has not come back yet
            if time.monotonic() > until:
                return False
            if not is_asked and not self._postman.delivered:  # nor ever a mail that a reader was needed for
                self._send(letter_of("answered", next(self._extra)))
                is_asked = True
            time.sleep(self._chance.uniform(0, 0.5))
        return True

    def _flush(self) -> bool:
        try:
            self._ground.flush_broker(self._site)
        except AWAY:
            time.sleep(1)
            return False
        self._history.note("flush")
        return True

    def _restart(self, name: str, restart: Callable[[], None]) -> bool:
        self._history.note("restart", name=name)
        restart()
        self._history.note("restarted", name=name)
        return True

    def _seek_the_rare(self) -> None:
        """What lies in wait and was not passed: a sending goes on after a death, a death is counted."""
        until = time.monotonic() + 3 * ROUND_SECONDS
        for point in (point for point in self._points if point.is_rare):
            while not self._fired(point.name) and time.monotonic() < until:
                self._send(letter_of("answered", next(self._extra)))
                self._crew.kill("worker", self._chance)
                time.sleep(2)

    def _arm(self, point: Point) -> None:
        (self._wounds / "armed" / point.name).touch()

    def _fired(self, name: str) -> list[Path]:
        return list((self._wounds / "fired").glob(f"{name}.*.*"))

    # --- mail and the human

    def _deliver(self, count: int) -> None:
        self._postman.deliver(itertools.islice(self._letters, max(0, count)))

    def _send(self, letter: Letter) -> None:
        self._postman.deliver([letter])

    def _release(self) -> None:
        """A human files a message about a child whom the hub did not know; when the command is killed, the human
        looks again."""
        message_id = next(self._held_unknown(), None)
        if message_id is None:
            self._send(letter_of("unknown", next(self._extra)))
            return
        code = self._crew.run("release", message_id, "--usager", LINA.id, "--by", HUMAN)
        self._history.note("release", message=message_id, code=code)

    def _held_unknown(self) -> Iterator[str]:
        unknown = {letter.message_id for letter in self._postman.delivered if letter.sort == "unknown"}
        asked = select(MESSAGE.c.id, MESSAGE.c.message_id).where(MESSAGE.c.state == "HELD")
        with contextlib.suppress(Temporary), self._site.opened() as house:
            for row in house.database.read_now(lambda connection: connection.execute(asked).all()):
                if row.message_id in unknown:
                    yield row.id
