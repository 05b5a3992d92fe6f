"""What the records owe to the story, said once: the real ones (tests/edges/test_records.py) and the fake
(tests/unit/test_fake_records.py) pass it both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from hub.errors import Permanent, StalePlan
from hub.message import (
    Author,
    Coded,
    Document,
    DocumentForm,
    Done,
    FiledVersion,
    Filing,
    Hold,
    Identity,
    Match,
    Outcome,
    Reason,
    Usager,
)
from hub.ports import Effect
from hub.records import FiledDocument, WorkItem


class Clock:
    """A second passes at each look, so that what came first is known."""

    def __init__(self) -> None:
        self._now = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


def a_usager(number: int, **traits: str | None) -> Usager:
    given: dict[str, Any] = {
        "birth_name": f"Nom{chr(97 + number % 26)}",
        "first_given": "Léa",
        "birth_date": "2012-05-31",
    }
    identity = Identity(**{**given, "sex": "F", **traits})
    return Usager(id=f"u{number}", identity=identity, ins_status="qualifiee", record_number=f"D-{number}")


LEA = a_usager(
    1, birth_name="Dubreuil-Sanchez", used_name="Œuvrard", first_given="Léa", birth_date="2012-05-31", ins="2" * 15
)
TOM = a_usager(2, birth_name="Dubreuil-Sanchez", first_given="Tom", birth_date="2014-01-02", ins="1" * 15)
ANA = a_usager(3, birth_name="Kerguelen", first_given="Ana", birth_date="2012-05-31", ins="4" * 15)
USAGERS = (LEA, TOM, ANA)


class AnyRecords(Protocol):
    """What both kinds offer to the tests."""

    async def filing(self, message_id: str, step: Filing, document: Document) -> Effect: ...
    def holding(self, message_id: str, step: Hold) -> Effect: ...
    def closing(self, message_id: str, by: str, decision: str) -> Effect: ...
    async def look_up(
        self,
        identities: tuple[Identity, ...],
        documents: tuple[Document, ...],
        suffices: Callable[[Identity, Usager], bool] | None = None,
    ) -> tuple[tuple[Usager, ...], tuple[FiledVersion, ...]]: ...
    async def documents_of(self, usager_id: str, live_only: bool = False) -> tuple[FiledDocument, ...]: ...
    async def documents_of_message(self, message_id: str) -> tuple[FiledDocument, ...]: ...
    async def source_of(self, document: FiledDocument) -> bytes: ...
    async def work(self, open_only: bool = True, limit: int = 200) -> tuple[WorkItem, ...]: ...
    async def work_of(self, message_id: str) -> tuple[WorkItem, ...]: ...
    async def usager(self, key: str) -> Usager | None: ...


async def candidates_of(records: AnyRecords, identities: tuple[Identity, ...]) -> tuple[Usager, ...]:
    return (await records.look_up(identities, ()))[0]


async def versions_of(records: AnyRecords, documents: tuple[Document, ...]) -> tuple[FiledVersion, ...]:
    return (await records.look_up((), documents))[1]


class Room:
    """Records with their three usagers, and what a test does to them in the place of the spool."""

    def __init__(
        self,
        records: AnyRecords,
        run: Callable[[Effect], Awaitable[Outcome]],
        new_message: Callable[[], str],
        add: Callable[[list[Usager]], None],
    ) -> None:
        self.records = records
        self.run = run
        self.new_message = new_message
        self.add = add

    async def file(self, document: Document, message: str | None = None, **step: Any) -> Outcome:
        given = {"document": 0, "unique_id": document.unique_id, "usager_id": "u1", "kind": "bilan", **step}
        return await self.run(await self.records.filing(message or self.new_message(), Filing(**given), document))

    async def filed(self, usager: str = "u1") -> tuple[FiledDocument, ...]:
        return await self.records.documents_of(usager)


def a_document(unique_id: str = "1.2.3", text: str = "une note", **given: Any) -> Document:
    raw = text.encode()
    fields: dict[str, Any] = {
        "form": DocumentForm.CDA,
        "media_type": "text/xml",
        "title": "Bilan éducatif",
        "type_code": Coded("34842-5", "2.16.840.1.113883.6.1"),
        "confidentiality": (Coded("N"), Coded("MASQUE_PS")),
        "authors": (Author(name="Dr X", person_id="801", organisation_id="1120"), Author(person_id="802")),
        "created_at": "2026-08-31T10:00:00Z",
        **given,
    }
    return Document(unique_id=unique_id, sha256=hashlib.sha256(raw).hexdigest(), size=len(raw), raw=raw, **fields)


def a_version(number: int, **given: Any) -> Document:
    return a_document(f"1.2.{number}", f"version {number}", set_id="9.9", version=str(number), **given)


UNSURE = Hold(
    reasons=(Reason("homonym", "Deux usagers portent ce nom."), Reason("no-ins", "Sans INS.")),
    match=Match(outcome="proposed", code=903),
)


class RecordsContract:
    # --- the contract: candidates ---

    @pytest.mark.parametrize(
        ("identity", "found"),
        [
            (Identity(ins="4" * 15), ["u3"]),
            (Identity(birth_name="dubreuil-sanchez"), ["u1", "u2"]),
            (Identity(birth_name="OEUVRARD"), ["u1"]),
            (Identity(birth_name="Martin", used_name="Kerguelén"), ["u3"]),
            (Identity(birth_date="2014-01-02"), ["u2"]),
            (Identity(birth_name="Dubreuil-Sanchez", birth_date="2012-05-31", ins="1" * 15), ["u2", "u1", "u3"]),
            (Identity(birth_name="Martin", birth_date="1999-01-01", ins="5" * 15), []),
            (Identity(first_given="Léa", sex="F"), []),
        ],
    )
    async def test_candidates_share_an_ins_a_name_or_a_birth_date(
        self, room: Room, identity: Identity, found: list[str]
    ) -> None:
        candidates = await candidates_of(room.records, (identity, identity))
        assert [usager.id for usager in candidates] == found

    async def test_a_candidate_comes_with_all_that_is_known(self, room: Room) -> None:
        assert await candidates_of(room.records, (Identity(ins="2" * 15),)) == (LEA,)
        assert await room.records.usager("D-1") == await room.records.usager("u1") == LEA
        assert await room.records.usager("D-9") is None

    async def test_candidates_are_bounded_and_the_likeliest_stay(self, room: Room) -> None:
        homonyms = [
            a_usager(100 + n, birth_name="Martin", birth_date="2010-01-01", first_given="Zoé") for n in range(120)
        ]
        room.add([*homonyms, a_usager(99, birth_name="Martin", first_given="Éli", birth_date="2010-10-10")])
        wanted = Identity(birth_name="Martin", first_given="Eli", birth_date="2012-05-31", ins="4" * 15)
        candidates = await candidates_of(room.records, (wanted,))
        assert len(candidates) == 50
        assert [usager.id for usager in candidates[:2]] == ["u3", "u99"]

    # --- the contract: filing and versions ---

    async def test_a_document_is_filed_with_all_that_describes_it(self, room: Room) -> None:
        message = room.new_message()
        assert await room.file(a_document(), message, by="hub") == Done("filed")
        (filed,) = await room.records.documents_of_message(message)
        assert (filed.usager_id, filed.unique_id, filed.title, filed.kind) == ("u1", "1.2.3", "Bilan éducatif", "bilan")
        assert (filed.live, filed.deleted, filed.supersedes) == (True, False, None)
        assert (filed.type_code, filed.confidentiality) == ("34842-5", ("N", "MASQUE_PS"))
        assert (filed.author_organisation_id, filed.author_ids) == ("1120", ("801", "802"))
        assert await room.records.source_of(filed) == b"une note"

    async def test_the_same_document_is_filed_once_whoever_sends_it_again(self, room: Room) -> None:
        await room.file(a_document())
        assert await room.file(a_document()) == Done("already filed")
        assert await room.file(a_document(), usager_id="u2") == Done("filed")
        assert len(await room.filed("u1")) == len(await room.filed("u2")) == 1

    async def test_what_is_filed_is_found_by_its_ids_its_set_what_it_replaces_and_its_digest(self, room: Room) -> None:
        await room.file(a_version(1))
        wanted = [
            a_document("1.2.1", "autre"),
            a_document("x", "autre", set_id="9.9"),
            a_document("x", "autre", replaces=("0.0", "1.2.1")),
            a_document("x", "version 1"),
        ]
        for document in wanted:
            (version,) = await versions_of(room.records, (document,))
            assert (version.usager_id, version.unique_id, version.set_id, version.version) == (
                "u1",
                "1.2.1",
                "9.9",
                "1",
            )
            assert (version.live, version.deleted, version.author_organisation_id) == (True, False, "1120")
        assert await versions_of(room.records, (a_document("x", "autre", set_id="8.8"),)) == ()
        assert await versions_of(room.records, ()) == ()

    async def test_one_look_finds_usagers_and_versions_each_only_when_asked(self, room: Room) -> None:
        await room.file(a_version(1))
        for identities in ((LEA.identity, TOM.identity), ()):
            for documents in ((a_document("1.2.1", "autre"),), ()):
                found = await room.records.look_up(identities, documents)
                assert (len(found[0]) > 0, len(found[1])) == (len(identities) > 0, len(documents))

    async def test_where_the_holder_of_the_ins_suffices_nobody_else_is_looked_for(self, room: Room) -> None:
        namesake = a_usager(4, birth_name="Kerguelen", first_given="Yann", birth_date="2012-05-31", ins=None)
        room.add([namesake])
        asked: list[tuple[str | None, str]] = []

        def suffices(identity: Identity, usager: Usager) -> bool:
            asked.append((identity.ins, usager.id))
            return len(asked) == 1

        (found, _) = await room.records.look_up((ANA.identity,), (), suffices)
        assert [one.id for one in found] == [ANA.id]
        (found, _) = await room.records.look_up((ANA.identity,), (), suffices)
        assert {one.id for one in found} > {ANA.id, namesake.id}
        assert asked == [(ANA.identity.ins, ANA.id)] * 2

    async def test_two_holders_of_an_ins_never_suffice(self, room: Room) -> None:
        room.add([a_usager(5, birth_name="Kerguelen", first_given="Ana", birth_date="2012-05-31", ins="4" * 15)])
        (found, _) = await room.records.look_up((ANA.identity,), (), lambda *_: True)
        assert len([one for one in found if one.identity.ins == ANA.identity.ins]) == 2
        unknown = replace(ANA.identity, ins=None)
        (found, _) = await room.records.look_up((unknown,), (), lambda *_: True)
        assert len(found) > 1

    async def test_a_replacement_leaves_one_live_version_and_the_whole_chain(self, room: Room) -> None:
        await room.file(a_version(1))
        (one,) = await room.filed()
        assert await room.file(a_version(2), action="replace", supersedes=one.id) == Done("filed")
        old, new = await room.filed()
        assert (old.id, old.live, old.deleted) == (one.id, False, False)
        assert (new.live, new.supersedes) == (True, one.id)
        assert await room.records.documents_of("u1", live_only=True) == (new,)
        assert await room.file(a_version(2), action="replace", supersedes=one.id) == Done("already filed")

    async def test_a_plan_older_than_the_live_version_is_stale(self, room: Room) -> None:
        await room.file(a_version(1))
        (one,) = await room.filed()
        await room.file(a_version(2), action="replace", supersedes=one.id)
        with pytest.raises(StalePlan):
            await room.file(a_version(3), action="replace", supersedes=one.id)
        with pytest.raises(StalePlan):
            await room.file(a_version(3))
        with pytest.raises(StalePlan):
            await room.file(a_document("1.2.2", "mêmes ids, autres octets"))
        with pytest.raises(StalePlan):
            await room.file(a_version(3), action="replace", supersedes="0" * 32)
        assert len(await room.filed()) == 2

    async def test_a_replacement_of_something_unknown_is_stale_once_it_is_known(self, room: Room) -> None:
        later = a_document("1.2.9", "remplace", replaces=("1.2.1",))
        await room.file(a_version(1))
        with pytest.raises(StalePlan):
            await room.file(later, action="replace")
        assert await room.file(later, action="replace", usager_id="u2") == Done("filed")

    async def test_an_older_version_that_comes_late_is_kept_and_never_live(self, room: Room) -> None:
        await room.file(a_version(2))
        (two,) = await room.filed()
        assert await room.file(a_version(1), historic=True, supersedes=two.id) == Done("filed")
        _, one = await room.filed()
        assert (one.live, one.deleted, one.supersedes) == (False, False, None)
        assert await room.records.documents_of("u1", live_only=True) == (two,)

    async def test_a_deletion_leaves_nothing_to_read_and_everything_kept(self, room: Room) -> None:
        await room.file(a_version(1))
        (one,) = await room.filed()
        asked = room.new_message()
        request = a_version(1, authors=(Author(person_id="803", organisation_id="1120"),))  # the same bytes, marked D
        assert await room.file(request, asked, action="delete", supersedes=one.id) == Done("filed")
        gone, deletion = await room.filed()
        assert (gone.live, gone.deleted) == (False, True)
        assert (deletion.live, deletion.deleted, deletion.is_deletion, deletion.supersedes) == (
            False,
            True,
            True,
            one.id,
        )
        assert (deletion.message, deletion.author_ids) == (asked, ("803",))
        assert await room.records.documents_of("u1", live_only=True) == ()
        assert await room.records.source_of(deletion) == b"version 1"
        assert [version.document_id for version in await versions_of(room.records, (request,))] == [one.id]
        assert await room.file(request, asked, action="delete", supersedes=one.id) == Done("already filed")
        assert await room.file(a_version(1)) == Done("already filed")
        assert len(await room.filed()) == 2

    async def test_a_new_version_after_a_deletion_may_be_filed(self, room: Room) -> None:
        await room.file(a_version(1))
        (one,) = await room.filed()
        await room.file(a_version(1), action="delete", supersedes=one.id)
        assert await room.file(a_version(2)) == Done("filed")

    async def test_a_deletion_of_a_version_no_longer_live_is_stale(self, room: Room) -> None:
        await room.file(a_version(1))
        (one,) = await room.filed()
        await room.file(a_version(2), action="replace", supersedes=one.id)
        with pytest.raises(StalePlan):
            await room.file(a_document("d", "supprimer"), action="delete", supersedes=one.id)

    async def test_what_no_plan_can_mend_is_permanent(self, room: Room) -> None:
        with pytest.raises(Permanent):
            await room.file(a_version(1), action="delete")
        await room.file(a_version(1), usager_id="u2")
        (other,) = await room.filed("u2")
        with pytest.raises(Permanent):
            await room.file(a_version(2), action="replace", supersedes=other.id)
        await room.file(a_document("7.1", "a", set_id="7"))
        await room.file(a_document("8.1", "b", set_id="8"))
        (seven, _) = await room.filed()
        with pytest.raises(Permanent):
            await room.file(a_document("8.1", "c", set_id="7"), action="replace", supersedes=seven.id)

    async def test_another_document_than_the_planned_one_makes_the_plan_stale(self, room: Room) -> None:
        with pytest.raises(StalePlan):
            await room.file(a_document("1.2.3"), unique_id="4.5.6")

    async def test_ids_beyond_measure_are_filed_and_found(self, room: Room) -> None:
        document = a_document("9" * 5_000, set_id="delete:" + "8" * 5_000, title="T" * 5_000)
        assert await room.file(document) == Done("filed")
        assert await room.file(document) == Done("already filed")
        (version,) = await versions_of(room.records, (document,))
        assert (version.unique_id, version.set_id) == (
            document.unique_id,
            document.set_id,
        )  # as the document spells them
        (version,) = await versions_of(room.records, (a_document("x", "y", set_id=document.set_id),))
        assert version.set_id == document.set_id
        assert await versions_of(room.records, (a_document("9" * 5_001, "z"),)) == ()

    # --- the contract: the work list ---

    async def test_a_hold_opens_one_line_for_each_message_and_subject(self, room: Room) -> None:
        message = room.new_message()
        assert await room.run(room.records.holding(message, UNSURE)) == Done("held")
        assert await room.run(room.records.holding(message, replace(UNSURE, reasons=()))) == Done("already held")
        assert await room.run(room.records.holding(message, Hold(about="receipt"))) == Done("held")
        first, second = await room.records.work()
        assert (first.message, first.about, first.codes, first.hold) == (
            message,
            "message",
            ("homonym", "no-ins", "903"),
            UNSURE,
        )
        assert (first.closed_at, second.about, second.codes) == (None, "receipt", ())

    async def test_closing_closes_every_open_line_of_the_message_and_no_other(self, room: Room) -> None:
        message, other = room.new_message(), room.new_message()
        for one in (message, other):
            await room.run(room.records.holding(one, UNSURE))
        await room.run(room.records.holding(message, Hold(about="receipt")))
        assert await room.run(room.records.closing(message, "m.dupuis", "filed")) == Done("closed")
        assert [line.message for line in await room.records.work()] == [other]
        closed = await room.records.work_of(message)
        assert [(line.closed_by, line.decision) for line in closed] == [("m.dupuis", "filed")] * 2
        assert all(line.closed_at is not None for line in closed)
        assert len(await room.records.work(open_only=False)) == 3
        assert len(await room.records.work(open_only=False, limit=2)) == 2

    async def test_a_message_held_again_after_a_decision_has_a_new_line(self, room: Room) -> None:
        message = room.new_message()
        await room.run(room.records.holding(message, UNSURE))
        await room.run(room.records.closing(message, "m.dupuis", "dismissed"))
        assert await room.run(room.records.holding(message, UNSURE)) == Done("held")
        assert [line.closed_at is None for line in await room.records.work_of(message)] == [False, True]
