"""Whether this machine's folder and keys are those of the site that the database belongs to.

Several hosts share one database; large blobs lie in files below data_dir, sealed. A host with a folder of its own, or
with other keys, would accept mail that the others can never read: it is refused at its start (Misconfigured, with what
to do), instead of a "missing blob" days later. The marker is made by whoever opens a new site first, in the folder
before the database, so that a crash between the two leaves a marker that the next start uses.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from sqlalchemy import Executable, Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from hub.database import Database
from hub.errors import Damaged, Misconfigured
from hub.ports import Sealer
from hub.spool.sink import sync_folder
from hub.tables import SiteRow

NAME = "site-marker"
_AAD = b"site"
_MARKER = re.compile(r"[0-9a-f]{32}")
_SITE: Table = SiteRow.__table__  # type: ignore[attr-defined]
_READ = select(_SITE.c.marker, _SITE.c.proof)
_INSERT: dict[str, Executable] = {
    "sqlite": sqlite.insert(_SITE).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(_SITE).on_conflict_do_nothing(),
}


def belong(database: Database, sealer: Sealer, folder: Path, *, makes: bool = True) -> None:
    """`folder`: that of the blobs. Raises Misconfigured when it, or the keys, are not those of the database's site. A
    new site gets its marker, unless only a look is wanted (`makes`)."""
    known = database.read_now(lambda c: c.execute(_READ).first())
    if known is None and not makes:
        return
    if known is None:
        marker = _read(folder) or _made(folder)
        row = {"id": 1, "marker": marker, "proof": sealer.seal(marker.encode("ascii"), _AAD)}
        database.write_now(lambda c: _insert_first(c, row))
        known = database.read_now(lambda c: c.execute(_READ).one())
    if _read(folder) != known.marker:
        raise Misconfigured(
            f"data_dir: {folder} is not the folder of this database's site: it must be the same shared folder on every "
            "host (docs/growing.md). If it is the right one, restored without its marker:\n"
            f"  mkdir -p {folder} && echo {known.marker} > {folder / NAME}"
        )
    try:
        sealer.open(known.proof, _AAD)
    except (Misconfigured, Damaged) as error:
        raise Misconfigured(
            "key_file: these are not the keys of this database's site: copy those of the first host (docs/growing.md)"
            f" ({error.private})"
        ) from None


def _insert_first(connection: Connection, row: dict[str, object]) -> None:
    connection.execute(_INSERT[connection.dialect.name], row)


def _read(folder: Path) -> str:
    """ "" when there is none."""
    try:
        text = (folder / NAME).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"data_dir: {folder / NAME} cannot be read: {type(error).__name__}") from None
    if not _MARKER.fullmatch(text):
        raise Misconfigured(f"data_dir: {folder / NAME} is no marker of a site")
    return text


def _made(folder: Path) -> str:
    """A new marker, whole or absent; that of another host, when it was quicker."""
    draft = folder / f"{NAME}.{secrets.token_hex(4)}.new"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(16) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, folder / NAME)  # never over one that is there
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        sync_folder(folder)
    except OSError as error:
        raise Misconfigured(f"data_dir: nothing can be written in {folder}: {error.strerror}") from None
    return _read(folder)
