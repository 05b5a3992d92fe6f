"""Mails about alerts: one for each beginning, step and end, across restarts and failures; signed where that can be.

The sender is a fake here, the files are real; a real operator stands in `tests/trips/test_certificates.py`.
"""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from hub.alerts import Alert, alerts_of
from hub.alerts.mailed import NOT_MAILED, kept_in, unmailed_in
from hub.errors import Permanent, Temporary, UncertainDelivery
from hub.ports import DsnAsked, Outgoing
from hub.settings import Settings
from hub.smime import Signer
from hub.wiring import letterheads
from hub.worker.postman import UNSIGNED, Postman
from tests.signers import Authority
from tests.unit.test_alerts import facts

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ADMIN, OTHER = "informatique@asso.mssante.example", "direction@asso.mssante.example"
ENDPOINT = {"host": "h", "port": 1, "tls": "implicit"}
SIGNER = Authority("ec").signer("bal@asso.mssante.example")
SILENT = Alert(code="mailbox-silent", subject="dossiers", text="La boîte dossiers n'est plus relevée.")
SOON = Alert(code="certificate-ends-soon", subject="operator op", text="Il expire.", is_urgent=False, step=1)


def settings(folder: Path, *to: str) -> Settings:
    tree: dict[str, Any] = {
        "site": {"product_reference": "ESSAI1", "name": "MECS d'essai"},
        "data_dir": folder,
        "operators": [{"name": "op", "imap": ENDPOINT, "smtp": ENDPOINT, "ca_file": "ca.pem", "sasl": "none"}],
        "mailboxes": [{"name": "alertes", "address": "bal@asso.mssante.example", "operator": "op"}],
        "alerting": {"mail_to": to or (ADMIN,), "mail_from": "alertes"},
    }
    return Settings.model_validate(tree)


@dataclass
class Operator:
    """Takes mails, or raises what it was told to, once each."""

    trouble: list[Exception] = field(default_factory=list)
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    tried: int = 0

    async def send(self, mailbox: str, sender: str, recipient: str, mail: Outgoing, ask: DsnAsked | None = None) -> str:
        assert (mailbox, sender, ask) == ("alertes", "", None)
        self.tried += 1
        raw = b"".join([piece async for piece in mail.pieces()])
        if self.trouble:
            raise self.trouble.pop(0)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append((recipient, message))
        return "250 ok"

    @property
    def texts(self) -> list[str]:
        return [text_of(mail) for _, mail in self.taken]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


class Site:
    """A site whose postman may be started anew at any time."""

    def __init__(self, folder: Path, *to: str) -> None:
        self.settings = settings(folder, *to)
        self.operator = Operator()
        self.at = NOW
        self.signer: Signer | Exception | None = None
        self.ids = 0
        self.traced: list[tuple[str, str]] = []
        self.is_database_away = False
        self.restart()

    def restart(self) -> None:
        self.postman = self.postman_of(self.settings)

    def postman_of(self, settings: Settings) -> Postman:
        heads = letterheads(settings)
        return Postman(
            settings, self.operator, heads, self._signer, self._id, lambda: self.at, self._trace, self._is_member
        )

    async def _is_member(self, address: str) -> bool:
        return address.endswith("@asso.mssante.example")

    async def _trace(self, message_id: str, answer: str) -> None:
        self.traced.append((message_id, answer))
        if self.is_database_away:
            raise Temporary("database away")

    def _signer(self, mailbox: str | None, at: datetime) -> Signer | None:
        if isinstance(self.signer, Exception):
            raise self.signer
        return self.signer

    def _id(self, address: str) -> str:
        self.ids += 1
        return f"<{self.ids}@asso.mssante.example>"

    async def tell(self, *alerts: Alert, later: timedelta = timedelta(), is_whole: bool = True) -> int:
        """How many mails the operator has taken after a round, `later` than the last one."""
        self.at += later
        await self.postman.tell(alerts, is_whole=is_whole)
        return len(self.operator.taken)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_an_alert_is_mailed_when_it_begins_comes_nearer_and_ends_and_never_between(site: Site) -> None:
    assert await site.tell() == 0
    assert await site.tell(SOON) == 1
    for _ in range(5):
        assert await site.tell(SOON, later=60 * MINUTE) == 1
    assert await site.tell(replace(SOON, step=2, text="Il expire bientôt."), later=60 * MINUTE) == 2
    assert await site.tell(replace(SOON, step=2), later=60 * MINUTE) == 2
    assert await site.tell(later=60 * MINUTE) == 3
    assert await site.tell(later=60 * MINUTE) == 3
    assert "À PRÉVOIR :\n- Il expire." in site.operator.texts[0]
    assert "- Il expire bientôt." in site.operator.texts[1]
    assert "C'EST RÉGLÉ, ou cela ne se produit plus :\n- Il expire bientôt." in site.operator.texts[2]


async def test_a_restart_tells_nothing_again(site: Site) -> None:
    await site.tell(SILENT, SOON)
    site.restart()
    assert await site.tell(SILENT, SOON, later=60 * MINUTE) == 1
    site.restart()
    assert await site.tell(SOON, later=60 * MINUTE) == 2


async def test_what_begins_together_stands_in_one_mail_the_urgent_first(site: Site) -> None:
    assert await site.tell(SOON, SILENT) == 1
    ((recipient, mail),) = site.operator.taken
    assert recipient == ADMIN
    assert mail["Subject"] == "Hub MSSanté : 1 alarme, 1 point à prévoir"
    assert (mail["To"], mail["Auto-Submitted"], mail["X-MSS-NIL"]) == (ADMIN, "auto-generated", "ESSAI1")
    text = text_of(mail)
    assert text.index("CE QUI NE VA PAS :\n- La boîte dossiers") < text.index("À PRÉVOIR :\n- Il expire.")
    assert "MECS d'essai" in text
    assert "25/11/2026 à 11:00" in text


async def test_an_alert_that_comes_and_goes_makes_no_flood(site: Site) -> None:
    for round_ in range(60):
        await site.tell(*([SILENT] if round_ % 2 else []), later=MINUTE)
    assert len(site.operator.taken) <= 60 * MINUTE / site.settings.alerting.mail_rest


async def test_a_mail_that_cannot_leave_waits_keeps_its_identity_and_is_an_alert_that_is_never_mailed(
    site: Site,
) -> None:
    site.operator.trouble = [Temporary("connection lost"), Temporary("connection lost")]
    assert await site.tell(SILENT) == 0
    assert await site.tell(SILENT, later=timedelta(seconds=30)) == 0
    assert site.operator.tried == 1  # it waits
    unmailed = unmailed_in(kept_in(site.settings))
    assert unmailed is not None
    (alert,) = [
        one for one in alerts_of(site.settings, replace(facts(), unmailed=unmailed), site.at) if one.code == NOT_MAILED
    ]
    assert "depuis le 25/11/2026 à 11:00 (temporary)" in alert.text
    site.restart()
    assert await site.tell(SILENT, alert, later=5 * MINUTE) == 0
    assert await site.tell(SILENT, alert, later=5 * MINUTE) == 1
    assert site.operator.taken[0][1]["Message-ID"] == "<1@asso.mssante.example>"
    assert unmailed_in(kept_in(site.settings)) is None
    assert await site.tell(SILENT, later=60 * MINUTE) == 1


async def test_an_uncertain_mail_is_not_sent_twice(site: Site) -> None:
    site.operator.trouble = [UncertainDelivery("cut after the dot")]
    assert await site.tell(SILENT) == 0
    assert await site.tell(SILENT, later=60 * MINUTE) == 0
    assert site.operator.tried == 1


async def test_a_recipient_who_is_refused_costs_the_others_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, ADMIN, OTHER)
    site.operator.trouble = [Permanent("550 5.1.1")]
    assert await site.tell(SILENT) == 1
    assert site.operator.taken[0][0] == OTHER
    unmailed = unmailed_in(kept_in(site.settings))
    assert unmailed is not None
    assert unmailed.code == "refused"
    assert await site.tell(later=60 * MINUTE) == 3  # told that it ended: both again
    assert unmailed_in(kept_in(site.settings)) is None


async def test_between_two_recipients_a_failure_repeats_only_the_second(tmp_path: Path) -> None:
    site = Site(tmp_path, ADMIN, OTHER)
    await site.tell(SILENT)
    site.operator.taken.clear()

    class Once(Operator):
        async def send(self, *words: Any, **more: Any) -> str:
            if self.tried == 1 and not self.trouble:
                self.tried += 1
                raise Temporary("lost")
            return await super().send(*words, **more)

    site.operator = Once()
    site.restart()
    assert await site.tell(later=60 * MINUTE) == 1
    assert await site.tell(later=60 * MINUTE) == 2
    assert [recipient for recipient, _ in site.operator.taken] == [ADMIN, OTHER]


async def test_what_is_not_known_has_not_ended(site: Site) -> None:
    away = Alert(code="database-away", text="La base ne répond pas.")
    await site.tell(SILENT)
    assert await site.tell(away, later=60 * MINUTE, is_whole=False) == 2
    assert await site.tell(SILENT, later=60 * MINUTE) == 3
    assert site.operator.texts[2].count("- ") == 1
    assert "La base ne répond pas." in site.operator.texts[2]


async def test_it_is_signed_as_its_mailbox_signs_and_goes_unsigned_when_that_cannot_be(site: Site) -> None:
    site.signer = SIGNER
    await site.tell(SILENT)
    assert site.operator.taken[0][1].get_content_type() == "multipart/signed"
    site.signer = Temporary("the signing certificate has ended")
    await site.tell(later=60 * MINUTE)
    assert site.operator.taken[1][1].get_content_type() == "text/plain"
    assert UNSIGNED.strip() in site.operator.texts[1]


async def test_a_state_that_cannot_be_read_is_told_anew_and_nobody_means_no_file(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.tell(SILENT)
    kept_in(site.settings).path.write_bytes(b"{")
    assert await site.tell(SILENT, later=60 * MINUTE) == 2
    silent = site.settings.model_copy(update={"alerting": site.settings.alerting.model_copy(update={"mail_to": ()})})
    silent = silent.model_copy(update={"data_dir": tmp_path / "other"})
    await site.postman_of(silent).tell([SILENT], is_whole=True)
    assert not (tmp_path / "other").exists()


async def test_each_mail_is_traced_and_a_database_that_is_away_silences_nobody(site: Site) -> None:
    await site.tell(SILENT)
    site.is_database_away = True
    assert await site.tell(later=60 * MINUTE) == 2
    assert site.traced == [("<1@asso.mssante.example>", "250 ok"), ("<2@asso.mssante.example>", "250 ok")]


async def test_nothing_leaves_the_trust_space(tmp_path: Path) -> None:
    site = Site(tmp_path, "quelqu.un@ailleurs.example", ADMIN)
    assert await site.tell(SILENT) == 1
    assert site.operator.taken[0][0] == ADMIN
    assert unmailed_in(kept_in(site.settings)) is not None
