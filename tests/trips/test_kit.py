"""Every official archive, mailed through a real Postfix to a real Dovecot, read by the real `hub serve`."""

from __future__ import annotations

import asyncio
import email
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.message import Receipt
from hub.spool import MessageSummary, StepSummary
from tests.trips.house import HOME, SENDER, Site, running_site
from tests.trips.kit import Sent, ins_of, key_is_right, sent_archives, usagers_of

Carried = dict[str, tuple[MessageSummary, tuple[StepSummary, ...]]]


@pytest.fixture(scope="module")
def archives(testkit: Path) -> list[Sent]:
    return sent_archives(testkit)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, archives: list[Sent]) -> Iterator[Site]:
    """After the service has carried every archive."""
    with running_site(tmp_path_factory.mktemp("kit"), usagers_of(archives)) as site:
        context = site.dovecot.authority.client_context(site.dovecot.leaf(SENDER))
        with smtplib.SMTP_SSL("localhost", site.postfix.implicit_port, context=context) as smtp:
            for number, sent in enumerate(archives):
                if any(document["action"] != "none" for document in sent.documents):
                    site.mails_to(HOME, at_least=number)  # Postfix may deliver in another order what waits together
                smtp.sendmail(SENDER, [HOME], sent.raw)
        site.start()
        site.wait_until_settled(len(archives))
        yield site


@pytest.fixture(scope="module")
def carried(site: Site) -> Carried:
    with site.opened() as house:

        async def all_of_them() -> Carried:
            messages = await house.spool.messages(limit=1000)
            return {m.message_id or m.id: (m, await house.spool.steps(m.id)) for m in messages}

        return asyncio.run(all_of_them())


def expected_code(sent: Sent) -> int:
    """0 when it must be filed, else the official code, by the kit's own answers: a test mailbox takes test INS only,
    and an identity without INS is 903."""
    ins, oid = ins_of(sent.documents[0])
    if ins is None:
        return 903
    return 0 if oid == "1.2.250.1.213.1.4.10" and key_is_right(ins) else 904


def test_every_archive_is_filed_or_held_with_the_right_code(archives: list[Sent], carried: Carried) -> None:
    assert len(carried) == len(archives)
    for sent in archives:
        message, steps = carried[sent.message_id]
        code = expected_code(sent)
        receipts = [step.step.code for step in steps if isinstance(step.step, Receipt)]
        assert (sent.name, message.state, receipts) == (sent.name, "HELD" if code else "DONE", [code])


def test_every_document_is_in_the_record_once_and_as_the_kit_says(
    archives: list[Sent], carried: Carried, site: Site
) -> None:
    filed = [sent for sent in archives if not expected_code(sent)]
    wanted = {(d["uniqueId"], d["typeCode"]["code"]) for sent in filed for d in sent.documents if d["action"] != "D"}
    with site.opened() as house:
        documents = [
            document
            for usager in asyncio.run(house.records.usagers())
            for document in asyncio.run(house.records.documents_of(usager.id))
        ]
    assert {(d.unique_id, d.type_code) for d in documents if d.message} >= wanted
    once = [(d.unique_id, d.sha256) for d in documents]
    assert len(once) == len(set(once))


def test_the_deletion_leaves_nothing_of_its_set_to_read(archives: list[Sent], site: Site) -> None:
    deleted = {d["uniqueId"] for sent in archives for d in sent.documents if d["action"] == "D"}
    with site.opened() as house:
        live = [
            document.unique_id
            for usager in asyncio.run(house.records.usagers())
            for document in asyncio.run(house.records.documents_of(usager.id, live_only=True))
        ]
    assert deleted
    assert not deleted & set(live)


def test_one_receipt_for_each_arrives_in_a_second_real_mailbox(archives: list[Sent], site: Site) -> None:
    answered: dict[str, str] = {}
    for raw in site.mails_to(SENDER, at_least=len(archives)):
        mail = email.message_from_bytes(raw)
        assert mail.get_content_type() == "multipart/report"
        assert mail["X-MSS-NIL"] == "ESSAI1"
        fields = next(part for part in mail.walk() if part["Original-Message-ID"])
        original = str(fields["Original-Message-ID"])
        assert original not in answered
        answered[original] = str(fields["Disposition"])
    for sent in archives:
        error = "/error" if expected_code(sent) else ""
        assert answered[sent.message_id] == f"automatic-action/MDN-sent-automatically; processed{error}"
    assert len(answered) == len(archives)


def test_the_mailbox_still_holds_every_mail_marked_and_unread(archives: list[Sent], site: Site) -> None:
    with site.dovecot.other_client(HOME) as client:
        client.select("INBOX", readonly=True)
        assert len(client.search(None, "UNKEYWORD", "$HubAccepted")[1][0].split()) == 0
        assert len(client.search(None, "UNSEEN")[1][0].split()) == len(archives)


def test_the_log_names_nobody(archives: list[Sent], site: Site) -> None:
    words = {n["text"] for s in archives for d in s.documents for n in d["cda"]["patientNames"] if len(n["text"]) > 4}
    numbers = {ins for sent in archives for d in sent.documents if (ins := ins_of(d)[0])}
    log = site.log()
    assert not [word for word in words | numbers if word in log]


def test_the_journal_is_whole(site: Site) -> None:
    verdict = site.command("journal", "verify")
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
