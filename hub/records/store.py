"""SqlRecords: the records on the hub's own database (`hub.ports.Records`, and what the pages and commands read).

Reads run in one read transaction each. What writes on behalf of a trip is an effect: a plain function that joins the
transaction of the spool. A lost database raises Temporary (`hub.database`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from hub import journal
from hub.database import Database
from hub.errors import Permanent
from hub.message import Asked, Document, FiledVersion, Filing, HeldRole, Hold, Identity, Subjects, Usager
from hub.ports import Blobs, Clock, Drafts, Effect, Sealer
from hub.records import documents, filing, held_roles_read, subjects, usagers, worklist
from hub.records.documents import FiledDocument
from hub.records.drafts import BlobDrafts, HeldDrafts
from hub.records.sent import SentSide
from hub.records.usagers import Import
from hub.records.usagers_csv import UsagersRead
from hub.records.worklist import WorkItem


class SqlRecords(SentSide):
    """`timezone` is the site's, for the journal."""

    def __init__(
        self, database: Database, blobs: Blobs, sealer: Sealer, clock: Clock, timezone: str = "Europe/Paris"
    ) -> None:
        super().__init__(database, blobs, clock, ZoneInfo(timezone))
        self._sealer = sealer

    # --- for the trip (hub.ports.Records) ---

    async def look_up(
        self,
        identities: Iterable[Identity],
        wanted: Iterable[Document],
        suffices: Callable[[Identity, Usager], bool] | None = None,
    ) -> tuple[tuple[Usager, ...], tuple[FiledVersion, ...]]:
        """In one transaction. Usagers: at most 50 for each different identity, the likeliest first (same INS, same name
        and birth date, same name, same birth date); versions: newest first, at most 1,000."""
        stated, asked = tuple(identities), tuple(wanted)
        if not stated and not asked:
            return (), ()

        def look(connection: Connection) -> tuple[tuple[Usager, ...], tuple[FiledVersion, ...]]:
            return (
                usagers.candidates(connection, stated, suffices) if stated else (),
                documents.versions(connection, asked) if asked else (),
            )

        return await self._database.read(look, brief=True)

    async def subjects(self, asked: Asked) -> Subjects:
        """In one transaction; see `hub.records.subjects`."""
        if not asked.clues:
            return Subjects()
        return await self._database.read(lambda c: subjects.subjects(c, asked), brief=True)

    async def held_roles(self, usager_id: str) -> tuple[HeldRole, ...]:
        """In one transaction; see `hub.records.held_roles_read`."""
        return await self._database.read(lambda c: held_roles_read.held_roles(c, usager_id), brief=True)

    def drafts(self, in_memory: bool = False) -> Drafts:
        return HeldDrafts() if in_memory else BlobDrafts(self._blobs.sink)

    async def filing(self, message_id: str, step: Filing, document: Document, drafts: Drafts | None = None) -> Effect:
        """See `hub.records.filing`."""
        draft = drafts.of(document.sha256) if drafts else None
        blob = await (draft.finish() if draft else self._blobs.put(document.raw))
        return filing.filing(message_id, step, document, self._blobs, blob, self._sealer, self._clock)

    def holding(self, message_id: str, step: Hold) -> Effect:
        return worklist.holding(message_id, step, self._sealer, self._clock())

    def closing(self, message_id: str, by: str, decision: str) -> Effect:
        return worklist.closing(message_id, by, decision, self._clock())

    # --- for people ---

    async def work(self, open_only: bool = True, limit: int = 200) -> tuple[WorkItem, ...]:
        """The work list: open lines oldest first; with the closed ones, newest first."""
        return await self._database.read(lambda c: worklist.work(c, self._sealer, open_only, limit))

    async def decisions(self) -> int:
        """How many lines of the work list are open."""
        return await self._database.read(worklist.count_open)

    async def work_of(self, message_id: str) -> tuple[WorkItem, ...]:
        """All lines of a message, open or closed, oldest first."""
        return await self._database.read(lambda c: worklist.work_of(c, self._sealer, message_id))

    async def documents_of(self, usager_id: str, live_only: bool = False) -> tuple[FiledDocument, ...]:
        """The record of an usager, oldest filing first, all versions and requests for deletion unless `live_only`."""
        return await self._database.read(lambda c: documents.of_usager(c, usager_id, self._sealer, live_only))

    async def documents_of_message(self, message_id: str) -> tuple[FiledDocument, ...]:
        """What a message filed, in order."""
        return await self._database.read(lambda c: documents.of_message(c, message_id, self._sealer))

    async def source_of(self, document: FiledDocument) -> bytes:
        """The bytes as they came. Raises Damaged."""
        return await self._blobs.get(document.sha256)

    async def usagers(self, query: str = "") -> tuple[Usager, ...]:
        """By record number, INS or beginning of a name; at most 50, by name."""
        return await self._database.read(lambda c: usagers.search(c, query))

    async def usager(self, key: str) -> Usager | None:
        """By id or record number."""
        return await self._database.read(lambda c: usagers.usager(c, key))

    async def import_usagers(self, read: UsagersRead, by: str) -> Import:
        """Add or update by record number, all or nothing, journaled; with problems nothing is written."""
        now = self._clock()

        def work(connection: Connection) -> Import:
            result = usagers.store(connection, read, now)
            if not result.problems:
                answer = f"added {result.added}, changed {result.changed}, unchanged {result.unchanged}"
                journal.append(connection, now.astimezone(self._zone), by, "usagers imported", answer=answer)
            return result

        return await self._database.write(work)

    async def settle_territory(self, number: str, territory: str | None, by: str) -> None:
        """The territory of an usager, None for none. Raises Permanent: no such record number."""
        now = self._clock()

        def work(connection: Connection) -> None:
            found = usagers.usager(connection, number)
            if found is None:
                raise Permanent("no such usager", "Aucun usager n'a ce numéro de dossier : vérifiez-le.")
            if found.territory != territory:
                usagers.settle_territory(connection, found.id, territory, now)
                journal.append(connection, now.astimezone(self._zone), by, "territory settled", f"usager {found.id}")

        await self._database.write(work)
