"""Users: who may log in, from which mailboxes each may send, and how long wrong passwords make them wait.

A login and a password flow in, a `User` flows out, or None: for an unknown login, a wrong password, a closed user and
one that waits after too many failures alike, and after the same work (`hub.records.passwords`). The wait doubles with
each further failure up to its limit; a right password during the wait does not end it. Whoever changes a user is
journaled, without the password. A lost database raises Temporary; a change that cannot be, Permanent.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import Row, bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection

from hub import journal
from hub.database import Database
from hub.errors import Permanent
from hub.ports import Clock, User
from hub.records.passwords import SHORTEST, Passwords
from hub.tables import UserRightRow, UserRow

_USER = UserRow.__table__  # type: ignore[attr-defined]
_RIGHT = UserRightRow.__table__  # type: ignore[attr-defined]

Role = Literal["secretary", "officer", "sysadmin"]
ROLES: tuple[Role, ...] = ("secretary", "officer", "sysadmin")
LOGIN_MOST = 64
FREE_FAILURES = 5  # wrong passwords that cost no wait: a mail program may try a stale one some times by itself
WAIT_FIRST, WAIT_MOST = timedelta(seconds=30), timedelta(minutes=15)
_DOUBLINGS = 10

_BY_LOGIN = select(_USER).where(_USER.c.login == bindparam("called"))
_BY_ID = select(_USER.c.closed_at).where(_USER.c.id == bindparam("wanted"))
_ALL = select(_USER).order_by(_USER.c.login)
_RIGHTS = select(_RIGHT.c.mailbox).where(_RIGHT.c.user == bindparam("wanted")).order_by(_RIGHT.c.mailbox)
_ADD = insert(_USER)
_GRANT = insert(_RIGHT)
_REVOKE = delete(_RIGHT).where(_RIGHT.c.user == bindparam("wanted"), _RIGHT.c.mailbox == bindparam("box"))
_FAILED = (
    update(_USER)
    .where(_USER.c.id == bindparam("wanted"))
    .values(failures=_USER.c.failures + 1)
    .returning(_USER.c.failures)
)
_WAIT = update(_USER).where(_USER.c.id == bindparam("wanted")).values(locked_until=bindparam("until"))
_FORGIVE = update(_USER).where(_USER.c.id == bindparam("wanted")).values(failures=0, locked_until=None)
_CLOSE = update(_USER).where(_USER.c.id == bindparam("wanted")).values(closed_at=bindparam("at"))
_REOPEN = update(_USER).where(_USER.c.id == bindparam("wanted")).values(closed_at=None, failures=0, locked_until=None)
_SET_PASSWORD = (
    update(_USER)
    .where(_USER.c.id == bindparam("wanted"))
    .values(password=bindparam("hashed"), password_at=bindparam("at"), failures=0, locked_until=None)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSummary:
    """One user as `hub users list` shows it."""

    id: str
    login: str
    role: str
    mailboxes: tuple[str, ...]
    has_password: bool
    failures: int
    locked_until: datetime | None
    is_closed: bool
    created_at: datetime


class SqlUsers:
    """`hub.ports.Users`, and what the commands do. `timezone` is the site's, for the journal."""

    def __init__(
        self, database: Database, clock: Clock, timezone: str = "Europe/Paris", passwords: Passwords | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._zone = ZoneInfo(timezone)
        self._passwords = passwords or Passwords()

    # --- for the doors (hub.ports.Users)

    async def admit(self, login: str, password: bytes) -> User | None:
        called = login_key(login)
        row = await self._database.read(lambda c: c.execute(_BY_LOGIN, {"called": called}).first(), brief=True)
        is_kept_out = row is None or row.closed_at is not None or self._waits(row)
        hashed = row.password if row else None
        is_right = await self._passwords.is_right(password, hashed, may_remember=not is_kept_out)
        if not is_right:  # nobody's failure is written down too, to no row: it takes the same time
            await self._database.write(lambda c: self._failed(c, row.id if row else "", called))
        if not is_right or is_kept_out or row is None:
            return None
        if row.failures:
            await self._database.write(lambda c: c.execute(_FORGIVE, {"wanted": row.id}))
        return User(id=row.id, login=row.login, mailboxes=await self.rights(row.id))

    async def rights(self, user_id: str) -> frozenset[str]:
        def look(connection: Connection) -> frozenset[str]:
            row = connection.execute(_BY_ID, {"wanted": user_id}).first()
            if row is None or row.closed_at is not None:
                return frozenset()
            return frozenset(connection.execute(_RIGHTS, {"wanted": user_id}).scalars())

        return await self._database.read(look, brief=True)

    def _waits(self, row: Row[tuple[object, ...]]) -> bool:
        """A wait longer than any wait is was written by a clock that has been put back since."""
        now = self._clock()
        return row.locked_until is not None and now < row.locked_until <= now + WAIT_MOST

    def _failed(self, connection: Connection, user_id: str, login: str) -> None:
        failures = connection.execute(_FAILED, {"wanted": user_id}).scalar()
        if failures is None or failures <= FREE_FAILURES:
            return
        now = self._clock()
        until = now + min(WAIT_MOST, WAIT_FIRST * 2 ** min(_DOUBLINGS, failures - FREE_FAILURES - 1))
        connection.execute(_WAIT, {"wanted": user_id, "until": until})
        self._note(connection, now, "hub", "user waits", login, f"{failures} failures")

    # --- for the commands

    async def all(self) -> tuple[UserSummary, ...]:
        return await self._database.read(lambda c: tuple(_summary(c, row) for row in c.execute(_ALL).all()))

    async def add(self, login: str, role: Role, password: str, mailboxes: tuple[str, ...], by: str) -> None:
        """Raises Permanent: the login is taken or odd, the password too weak."""
        called = checked_login(login)
        hashed = self._passwords.hash(checked_password(password, called))
        now = self._clock()
        row = {
            "id": secrets.token_hex(16),
            "login": called,
            "role": role,
            "password": hashed,
            "password_at": now,
            "failures": 0,
            "created_at": now,
        }

        def work(connection: Connection) -> None:
            if connection.execute(_BY_LOGIN, {"called": called}).first() is not None:
                raise Permanent(f"user {called}: there already", f"L'utilisateur {called} existe déjà.")
            connection.execute(_ADD, row)
            self._note(connection, now, by, "user added", called, f"role {role}")
            for mailbox in mailboxes:
                self._grant(connection, now, str(row["id"]), called, mailbox, by)

        await self._database.write(work)

    async def grant(self, login: str, mailbox: str, by: str) -> None:
        now = self._clock()
        await self._change(login, lambda c, row: self._grant(c, now, row.id, row.login, mailbox, by))

    async def revoke(self, login: str, mailbox: str, by: str) -> None:
        def work(connection: Connection, row: Row[tuple[object, ...]]) -> None:
            if connection.execute(_REVOKE, {"wanted": row.id, "box": mailbox}).rowcount:
                self._note(connection, self._clock(), by, "right revoked", row.login, mailbox)

        await self._change(login, work)

    async def close_user(self, login: str, by: str) -> None:
        """From now on they can do nothing; what they sent stays."""

        def work(connection: Connection, row: Row[tuple[object, ...]]) -> None:
            now = self._clock()
            connection.execute(_CLOSE, {"wanted": row.id, "at": now})
            self._note(connection, now, by, "user closed", row.login)

        await self._change(login, work)

    async def reopen(self, login: str, by: str) -> None:
        """Undo `close_user`, and end a wait."""

        def work(connection: Connection, row: Row[tuple[object, ...]]) -> None:
            connection.execute(_REOPEN, {"wanted": row.id})
            self._note(connection, self._clock(), by, "user reopened", row.login)

        await self._change(login, work)

    async def set_password(self, login: str, password: str, by: str) -> None:
        """A wait ends with it."""
        hashed = self._passwords.hash(checked_password(password, login_key(login)))

        def work(connection: Connection, row: Row[tuple[object, ...]]) -> None:
            now = self._clock()
            connection.execute(_SET_PASSWORD, {"wanted": row.id, "hashed": hashed, "at": now})
            self._note(connection, now, by, "password set", row.login)

        await self._change(login, work)

    async def _change(self, login: str, work: Callable[[Connection, Row[tuple[object, ...]]], None]) -> None:
        called = login_key(login)

        def change(connection: Connection) -> None:
            row = connection.execute(_BY_LOGIN, {"called": called}).first()
            if row is None:
                raise Permanent("no such user", f"Aucun utilisateur ne s'appelle {called} : voyez « hub users list ».")
            work(connection, row)

        await self._database.write(change)

    def _grant(self, connection: Connection, now: datetime, user_id: str, login: str, mailbox: str, by: str) -> None:
        if mailbox in set(connection.execute(_RIGHTS, {"wanted": user_id}).scalars()):
            return
        connection.execute(_GRANT, {"user": user_id, "mailbox": mailbox, "granted_at": now})
        self._note(connection, now, by, "right granted", login, mailbox)

    def _note(
        self, connection: Connection, now: datetime, by: str, action: str, request: str, answer: str = ""
    ) -> None:
        journal.append(connection, now.astimezone(self._zone), by, action, request, answer)


def login_key(login: str) -> str:
    """Logins are compared without case; what is too long to be one is cut, and then nobody's."""
    return login.strip().casefold()[: LOGIN_MOST + 1]


def checked_login(login: str) -> str:
    """A mail address or a word of letters, digits, dots, hyphens, underlines. Raises Permanent."""
    called = login_key(login)
    if "@" in called:
        try:
            validate_email(called, check_deliverability=False, allow_smtputf8=False, test_environment=True)
        except EmailNotValidError:
            called = ""
    elif not (called.isascii() and called.replace(".", "").replace("-", "").replace("_", "").isalnum()):
        called = ""
    if not called or len(called) > LOGIN_MOST:
        raise Permanent(
            "a login is a mail address or a word of letters, digits, . - _",
            "Un identifiant est une adresse, ou un mot fait de lettres sans accent, de chiffres, de points, de tirets "
            f"({LOGIN_MOST} caractères au plus).",
        )
    return called


def checked_password(password: str, login: str) -> str:
    """Raises Permanent when it is too short, or the login itself."""
    if len(password) < SHORTEST or password.casefold() == login or len(set(password)) < 4:
        raise Permanent(
            "the password is too weak",
            f"Mot de passe trop faible : {SHORTEST} caractères au moins, et pas l'identifiant. Plusieurs mots sans "
            "rapport entre eux conviennent bien.",
        )
    return password


def _summary(connection: Connection, row: Row[tuple[object, ...]]) -> UserSummary:
    return UserSummary(
        id=row.id,
        login=row.login,
        role=row.role,
        mailboxes=tuple(connection.execute(_RIGHTS, {"wanted": row.id}).scalars()),
        has_password=row.password is not None,
        failures=row.failures,
        locked_until=row.locked_until,
        is_closed=row.closed_at is not None,
        created_at=row.created_at,
    )
