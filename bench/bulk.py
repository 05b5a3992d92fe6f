"""Generates years of a site straight into the tables: usagers, messages done, documents filed, their journal.

`fill(database, count)` writes `count` of each by INSERT … SELECT over a series of numbers, with ids as filings make
them (`hub.ids`: those of an hour begin alike) and digests and identifiers of documents that lie scattered. What a table
of `hub.tables` has and this file does not name gets an empty value of its type. Rows are of a right shape for every
query; sealed columns hold noise that nobody opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from sqlalchemy import Boolean, Column, Float, Integer, LargeBinary, Table
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from hub.database import Database
from hub.ids import HOUR_BITS

EPOCH = 1_600_000_000  # the first of them; one message every three minutes since
PACE = 180  # seconds
FIRST_BIRTH = date(2005, 1, 1)
NAMES, DATES = 65_536, 7_000  # different birth names and birth dates, as in a population of children
SCATTER = 2_654_435_761  # odd: n -> n * SCATTER modulo 2^32 meets no number twice


def id_of(number: int) -> str:
    """The id of the message of this number: 17 bits of its hour, the rest scattered within the hour."""
    hour = (EPOCH + number * PACE) // 3600 % 2**HOUR_BITS
    return f"{hour << 32 - HOUR_BITS | scattered(number) % 2 ** (32 - HOUR_BITS):08x}{number:024x}"


def birth_date_of(number: int) -> str:
    return (FIRST_BIRTH + timedelta(days=number % DATES)).isoformat()


def scattered(number: int) -> int:
    return number * SCATTER % 2**32


def fill(database: Database, count: int) -> None:
    is_sqlite = database.is_sqlite
    words = _Words(is_sqlite)
    with database.engine.connect() as connection:
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA cache_size = -800000")
        for name, rows, values in words.tables(count):
            _insert(connection, words, SQLModel.metadata.tables[name], rows, values)
            connection.commit()
        last = count * 2
        connection.exec_driver_sql(f"UPDATE journal_head SET number = {last}, hash = '{'0' * 64}'")
        connection.commit()
    with database.engine.connect() as connection:
        if is_sqlite:
            connection.exec_driver_sql("COMMIT")
            # No ANALYZE: the hub never runs it on SQLite.
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql("BEGIN")
        else:
            connection.commit()
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")


class _Words:
    """The few expressions that the two engines spell differently. `n` is the number of a row, from 1."""

    def __init__(self, is_sqlite: bool) -> None:
        self.is_sqlite = is_sqlite
        number = "n" if is_sqlite else "n::bigint"
        scatter = f"({number} * {SCATTER}) % 4294967296"
        hour, room = f"(({EPOCH} + {number} * {PACE}) / 3600) % {2**HOUR_BITS}", 2 ** (32 - HOUR_BITS)
        head = f"({hour}) * {room} + ({scatter}) % {room}"
        if is_sqlite:
            self.id = f"printf('%08x%024x', {head}, n)"
            self.digest = f"printf('%08x%024x', {scatter}, n)"
            self.moment = f"datetime({EPOCH} + n * {PACE}, 'unixepoch') || '.000000'"
            self.noise = "zeroblob(100)"
            self.date = f"date('{FIRST_BIRTH}', (n % {DATES}) || ' days')"
            self.name = f"printf('NOM%05d', (n * 48271) % {NAMES})"
            self.record = "printf('BANC-%07d', n)"
            self.ins = "printf('1%012d42', n)"
        else:
            self.id = f"lpad(to_hex({head}), 8, '0') || lpad(to_hex(n), 24, '0')"
            self.digest = f"lpad(to_hex({scatter}), 8, '0') || lpad(to_hex(n), 24, '0')"
            self.moment = f"to_timestamp({EPOCH} + n * {PACE})"
            self.noise = "decode(repeat('00', 100), 'hex')"
            self.date = f"to_char(date '{FIRST_BIRTH}' + (n % {DATES}), 'YYYY-MM-DD')"
            self.name = f"'NOM' || lpad(((n::bigint * 48271) % {NAMES})::text, 5, '0')"
            self.record = "'BANC-' || lpad(n::text, 7, '0')"
            self.ins = "'1' || lpad(n::text, 12, '0') || '42'"

    def series(self, rows: int) -> str:
        if self.is_sqlite:
            return f"WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {rows}) "
        return f"WITH series(n) AS (SELECT generate_series(1, {rows})) "

    def tables(self, count: int) -> list[tuple[str, int, Mapping[str, str]]]:
        message, document, paper = f"({self.id})", f"({self.id})", f"('x' || substr({self.digest}, 2))"
        digest, other = f"({self.digest} || {self.digest})", f"({paper} || {paper})"
        usager = f"('u' || substr({self.digest}, 2))"
        at = {"accepted_at": self.moment, "received_at": self.moment, "set_out_at": self.moment}
        return [
            (
                "usager",
                count,
                {
                    "id": usager,
                    "record_number": self.record,
                    "ins": self.ins,
                    "ins_oid": "'1.2.250.1.213.1.4.10'",
                    "ins_status": "'qualifiee'",
                    "birth_name": self.name,
                    "birth_name_key": self.name,
                    "first_given": "'ALIX'",
                    "given_names": "'ALIX'",
                    "birth_date": self.date,
                    "sex": "'F'",
                    "birth_place": "'69383'",
                    "updated_at": self.moment,
                },
            ),
            ("blob", count, self._blob(digest)),
            ("blob", count, self._blob(other)),
            (
                "message",
                count,
                {
                    "id": message,
                    "state": "'DONE'",
                    "door": "'imap'",
                    "mailbox": "'dossiers'",
                    "recipients": "'dossiers@mecs.example'",
                    "message_id": f"'<' || {self.digest} || '@banc.example>'",
                    "fingerprint": digest,
                    "sha256": digest,
                    "size": "60000",
                    "uidvalidity": "1",
                    "uid": "n",
                    "plan_first": "1",
                    "marked_at": self.moment,
                    "closed_at": self.moment,
                    "kind": "'crd'",
                    "message_class": "'xdm'",
                    "thought": self.noise,
                    **at,
                },
            ),
            (
                "seen",
                count,
                {
                    "mailbox": "'dossiers'",
                    "uidvalidity": "1",
                    "uid": "n",
                    "message": message,
                    "seen_at": self.moment,
                    "marked_at": self.moment,
                },
            ),
            (
                "step",
                count,
                {
                    "message": message,
                    "number": "1",
                    "type": "'filing'",
                    "body": self.noise,
                    "state": "'DONE'",
                    "answer": "'filed'",
                    "settled_at": self.moment,
                },
            ),
            (
                "document",
                count,
                {
                    "id": document,
                    "usager": usager,
                    "message": message,
                    "unique_id": f"'2.25.' || {paper}",
                    "sha256": other,
                    "set_id": f"'2.25.9' || {paper}",
                    "version": "'1'",
                    "live": "true",
                    "kind": "'crd'",
                    "type_code": "'11490-0'",
                    "type_system": "'2.16.840.1.113883.6.1'",
                    "title": self.noise,
                    "form": "'cda'",
                    "media_type": "'text/xml'",
                    "confidentiality": "'N'",
                    "author_organisation": "'1690000001'",
                    "filed_at": self.moment,
                    "filed_by": "'hub'",
                },
            ),
            (
                "work",
                max(100, count // 100),
                {
                    "id": message,
                    "message": message,
                    "about": "'message'",
                    "codes": "'902'",
                    "reasons": self.noise,
                    "opened_at": self.moment,
                    "closed_at": f"CASE WHEN n <= 100 THEN NULL ELSE {self.moment} END",
                },
            ),
            (
                "journal",
                count * 2,
                {
                    "number": "n",
                    "at": "'2026-01-01T10:00:00.000+01:00'",
                    "author": "'hub'",
                    "action": "'accept'",
                    "message": message,
                    "request": "'imap dossiers 1/1'",
                    "answer": "'done: filed'",
                    "previous": digest,
                    "hash": other,
                },
            ),
        ]

    def _blob(self, digest: str) -> dict[str, str]:
        return {"sha256": digest, "size": "60000", "key_id": "'k1'", "created_at": self.moment}


def _insert(connection: Connection, words: _Words, table: Table, rows: int, values: Mapping[str, str]) -> None:
    wanted = {
        column.name: values.get(column.name, _empty(column, words))
        for column in table.columns
        if column.name in values or not column.nullable
    }
    columns, expressions = ", ".join(f'"{name}"' for name in wanted), ", ".join(wanted.values())
    head = f'INSERT INTO "{table.name}" ({columns}) '
    query = f"SELECT {expressions} FROM series"
    statement = head + words.series(rows) + query
    connection.exec_driver_sql(statement if words.is_sqlite else statement.replace("%", "%%"))  # psycopg's own sign


def _empty(column: Column[object], words: _Words) -> str:
    if isinstance(column.type, Boolean):
        return "false"
    if isinstance(column.type, Integer | Float):
        return "0"
    if isinstance(column.type, LargeBinary):
        return words.noise
    return "''"
