"""The rules of the alerts, each on both sides of its limit; and what the log is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.alerts import CODES, Alert, AlertLog, Facts, Stale, alerts_of, database_away, when
from hub.alerts.causes import cause_of
from hub.alerts.directory import directory_cause_of
from hub.imap.failures import CommandRefused, ConnectionLost, MessageTooLarge, PeerRefused, certificate_code
from hub.records import Silence
from hub.settings import Settings
from hub.spool.ledger import Reckoned
from hub.spool.lookout import Crowd, Cursor, Look, Told
from hub.trust.certificates import CertificateFacts
from hub.trust.directory import Account, DirectoryStanding
from hub.trust.inventory import Item, State
from hub.trust.kept import Trouble

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
BOX, FINESS = "dossiers", "690000001"
SECOND = timedelta(seconds=1)
ENDPOINT = {"host": "localhost", "port": 993, "tls": "implicit"}


def settings(**more: Any) -> Settings:
    """One mailbox; the limits are the defaults."""
    operator = {"name": "operateur", "imap": ENDPOINT, "smtp": ENDPOINT, "ca_file": "ca.pem", "sasl": "none"}
    box = {"name": BOX, "address": "bal@mecs.mssante.example", "operator": "operateur", **more.pop("box", {})}
    site = {"product_reference": "ESSAI1", "finess": FINESS}
    return Settings.model_validate({"site": site, "operators": [operator], "mailboxes": [box], **more})


def told(**changes: Any) -> Told:
    return replace(Told(mailbox=BOX, began_at=NOW - timedelta(days=1), told_at=NOW, uidvalidity=7), **changes)


def reckoned(**changes: Any) -> Reckoned:
    counts: dict[str, Any] = dict.fromkeys(
        ("delivered", "refused", "noted", "waiting", "held", "in_error", "fresh", "skipped"), 0
    )
    whole = Reckoned(
        mailbox=BOX, at=NOW, uidvalidity=7, uidnext=4, announced=3, filed=3, gone=0, differences=0, unknown="", **counts
    )
    return replace(whole, **changes)


def facts(
    *,
    compared: timedelta | None = timedelta(0),
    accepted: timedelta | None = None,
    watcher: Told | None = None,
    account: Reckoned | None = None,
    certificates: tuple[Item, ...] = (),
    unmarked: int = 0,
    silence: Silence = Silence(),
    directory: DirectoryStanding = DirectoryStanding(is_set=False),
    stale: tuple[Stale, ...] = (),
    **look: Any,
) -> Facts:
    """Facts of a hub where all is well, but for what is said. `compared` and `accepted`: how long ago."""
    cursor = Cursor(mailbox=BOX, uidvalidity=7, last_uid=3, compared_at=NOW - (compared or timedelta(0)))
    well = Look(
        due=Crowd(),
        late=Crowd(),
        long=Crowd(),
        carried_at=NOW,
        journal=9,
        cursors={} if compared is None else {BOX: cursor},
        accepted_at={} if accepted is None else {BOX: NOW - accepted},
        unmarked={BOX: unmarked} if unmarked else {},
        told={} if watcher is None else {BOX: watcher},
        reckoned={} if account is None else {BOX: account},
    )
    return Facts(
        look=replace(well, **look),
        decisions=0,
        inventory=certificates,
        silence=silence,
        directory=directory,
        stale=stale,
    )


def codes(known: Facts, chosen: Settings | None = None, at: datetime = NOW) -> list[str]:
    raised = alerts_of(chosen or settings(), known, at)
    assert {alert.code for alert in raised} <= set(CODES)
    return [alert.code for alert in raised]


def text(known: Facts, chosen: Settings | None = None) -> str:
    (alert,) = alerts_of(chosen or settings(), known, NOW)
    return alert.text


# --- mailboxes


def test_a_hub_where_all_is_well_and_a_site_without_mail_alarm_nobody() -> None:
    assert codes(facts()) == []
    assert codes(facts(watcher=told(), account=reckoned())) == []
    long_ago = NOW - timedelta(days=30)
    assert codes(facts(watcher=told(), account=reckoned(), carried_at=long_ago)) == []
    assert codes(facts(watcher=told(), account=reckoned(), carried_at=None)) == []


@pytest.mark.parametrize(
    ("silence", "raised"), [(timedelta(minutes=20), []), (timedelta(minutes=20) + SECOND, ["mailbox-silent"])]
)
def test_a_mailbox_may_be_silent_until_its_limit(silence: timedelta, raised: list[str]) -> None:
    assert codes(facts(compared=silence)) == raised


def test_a_mailbox_may_have_a_limit_of_its_own() -> None:
    chosen = settings(box={"silence_most": "2h"})
    assert codes(facts(compared=timedelta(hours=2)), chosen) == []
    assert codes(facts(compared=timedelta(hours=2) + SECOND), chosen) == ["mailbox-silent"]


def test_a_mark_in_the_future_proves_no_more_than_an_old_one() -> None:
    """A clock that was a year ahead left it; nothing has been read since."""
    assert codes(facts(compared=timedelta(days=-365))) == ["mailbox-silent"]


def test_a_first_reading_that_takes_hours_is_no_silence_while_messages_come() -> None:
    known = facts(compared=None, accepted=timedelta(minutes=1), watcher=told(began_at=NOW - timedelta(hours=1)))
    assert codes(known) == []
    known = facts(compared=None, accepted=timedelta(minutes=21), watcher=told(began_at=NOW - timedelta(hours=1)))
    assert codes(known) == ["mailbox-silent"]


def test_a_mailbox_that_was_never_read_is_told_at_once_unless_its_watcher_has_just_begun() -> None:
    assert codes(facts(compared=None)) == ["mailbox-never-read"]
    assert codes(facts(compared=None, watcher=told(began_at=NOW - timedelta(minutes=20)))) == []
    assert codes(facts(compared=None, watcher=told(began_at=NOW - timedelta(minutes=20) - SECOND))) == [
        "mailbox-never-read"
    ]
    failing = told(began_at=NOW, failures=1, last_error="login-no-authenticationfailed")
    assert codes(facts(compared=None, watcher=failing)) == ["mailbox-never-read"]


def test_a_silence_says_since_when_why_what_it_means_and_what_to_do() -> None:
    failing = told(failures=4, last_error="login-no-authenticationfailed")
    said = text(facts(compared=timedelta(hours=3), watcher=failing, account=reckoned()))
    assert said == (
        "La boîte dossiers n'est plus relevée depuis le 25/11/2026 à 08:00 : l'opérateur refuse l'identification (mot "
        "de passe, certificat client ou compte fermé) (login-no-authenticationfailed). Les messages qui y arrivent "
        "attendent chez l'opérateur, rien n'est perdu : vérifiez password_file ou certificate dans hub.yaml avec "
        "l'opérateur."
    )
    assert "vérifiez que « hub serve » tourne" in text(facts(compared=timedelta(hours=3)))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PeerRefused(certificate_code(10)).code, "n'est pas valable à cette date"),
        (PeerRefused(certificate_code(62)).code, "n'est pas reconnu"),
        (PeerRefused("authenticate-no").code, "refuse l'identification"),
        (PeerRefused("starttls-missing").code, "n'offre pas la connexion réglée"),
        (PeerRefused("tls-unknown-ca").code, "la connexion chiffrée n'aboutit pas"),
        (ConnectionLost("connect-econnrefused").code, "injoignable"),
        (ConnectionLost("timeout").code, "injoignable"),
        (CommandRefused("select-no-nonexistent").code, "ne peut pas être ouvert"),
        ("misconfigured@tls.py:12", "ne peut pas être utilisé"),
        ("temporary@database.py:99", "disque plein ou base de données"),
        ("something-new", "code something-new"),
    ],
)
def test_each_failure_has_its_cause_in_french(error: str, said: str) -> None:
    cause, remedy = cause_of(error)
    assert said in cause
    assert error in cause
    assert remedy


def test_messages_left_in_the_mailbox_are_named_with_their_reason() -> None:
    known = facts(watcher=told(skipped=((12, MessageTooLarge.code), (15, "fetch-no"))), account=reckoned())
    assert codes(known) == ["messages-not-taken"]
    assert "UID 12 (too-large), UID 15 (fetch-no). Ils sont intacts" in text(known)
    many = facts(watcher=told(skipped=tuple((uid, "fetch-no") for uid in range(1, 14))), account=reckoned())
    assert "UID 10 (fetch-no) et 3 autre(s)" in text(many)


def test_marks_that_are_refused_are_told_without_urgency() -> None:
    refused = told(mark_error="store-no-permanent-flag")
    known = facts(watcher=refused, account=reckoned(), unmarked=2)
    assert codes(known) == ["marks-refused"]
    assert [alert.is_urgent for alert in alerts_of(settings(), known, NOW)] == [False]
    assert codes(facts(watcher=refused, account=reckoned())) == []  # none waits
    assert codes(facts(watcher=told(), account=reckoned(), unmarked=2)) == []  # they are being marked


# --- the ledger


def test_a_difference_of_the_ledger_is_urgent_and_names_its_uids() -> None:
    known = facts(
        watcher=told(), account=reckoned(differences=2, unknown="4,9", differs_since=NOW - timedelta(hours=2))
    )
    (alert,) = alerts_of(settings(), known, NOW)
    assert (alert.code, alert.is_urgent, alert.subject) == ("ledger-differs", True, BOX)
    assert alert.since == NOW - timedelta(hours=2)
    assert "depuis le 25/11/2026 à 09:00 : 2 message(s)" in alert.text
    assert "(UID 4,9)" in alert.text
    assert "hub ledger --mailbox dossiers --take" in alert.text
    hidden = facts(watcher=told(), account=reckoned(differences=1))
    assert "annonce 1 message(s) de plus qu'il n'en montre" in text(hidden)


def test_an_account_that_is_no_longer_made_is_told() -> None:
    most = timedelta(hours=2, minutes=20)
    watcher = told(began_at=NOW - timedelta(days=1))
    assert codes(facts(watcher=watcher, account=reckoned(at=NOW - most))) == []
    assert codes(facts(watcher=watcher, account=reckoned(at=NOW - most - SECOND))) == ["ledger-late"]
    assert codes(facts(watcher=told(began_at=NOW - most))) == []
    assert codes(facts(watcher=told(began_at=NOW - most - SECOND))) == ["ledger-late"]
    # Nobody watches, or the mailbox is silent: another alert says more.
    assert codes(facts(account=reckoned(at=NOW - most - SECOND))) == []
    silent = facts(watcher=watcher, account=reckoned(at=NOW - most - SECOND), compared=timedelta(hours=3))
    assert codes(silent) == ["mailbox-silent"]


# --- carrying


def test_silence_of_the_workers_counts_only_while_something_is_due() -> None:
    ten = timedelta(minutes=10)
    assert codes(facts(due=Crowd(1, NOW - ten), carried_at=NOW - timedelta(hours=5))) == []
    stopped = facts(due=Crowd(2, NOW - ten - SECOND), carried_at=NOW - timedelta(hours=5))
    assert codes(stopped) == ["carrying-stopped"]
    assert "plus rien n'est traité depuis le 25/11/2026 à 06:00" in text(stopped)
    assert codes(facts(due=Crowd(2, NOW - ten - SECOND), carried_at=None)) == ["carrying-stopped"]
    assert codes(facts(due=Crowd(2, NOW - ten - SECOND), carried_at=NOW - ten - SECOND)) == ["carrying-stopped"]
    assert codes(facts(due=Crowd(2, NOW - ten - SECOND), carried_at=NOW - ten)) == []  # in a worker's hands


def test_a_queue_that_workers_cannot_follow_is_told_as_such() -> None:
    known = facts(due=Crowd(9, NOW - timedelta(hours=1)), late=Crowd(4, NOW - timedelta(hours=1)))
    assert codes(known) == ["carrying-late"]
    assert text(known).startswith("4 message(s) attendent d'être traités depuis plus de 10 minutes")


def test_a_message_that_is_tried_for_long_is_told_once_nothing_worse_is() -> None:
    long = Crowd(1, NOW - timedelta(hours=2))
    assert codes(facts(long=long)) == ["carrying-long"]
    assert text(facts(long=long)).startswith("1 message(s) reçus depuis plus d'une heure ne sont pas terminés")
    assert codes(facts(long=long, late=Crowd(1, NOW - timedelta(hours=2)))) == ["carrying-late"]


# --- certificates (complaints.md, row 18)


def shown(ends: timedelta, *, begins: timedelta = timedelta(days=-300), unit: str = "", **more: Any) -> Item:
    certificate = CertificateFacts(common_name="bal", unit=unit, not_before=NOW + begins, not_after=NOW + ends)
    state = State.ENDED if ends <= timedelta(0) else State.NOT_YET if begins > timedelta(0) else State.IN_USE
    known: dict[str, Any] = {"what": "client", "holder": "operator operateur", "file": Path("tls/bal.pem")}
    return Item(**known | {"state": state, "facts": certificate, "expected": (f"1{FINESS}",)} | more)


@pytest.mark.parametrize(
    ("certificate", "raised", "is_urgent"),
    [
        (shown(timedelta(days=90) + SECOND), [], False),
        (shown(timedelta(days=90)), ["certificate-ends-soon"], False),
        (shown(timedelta(days=1)), ["certificate-ends-soon"], False),
        (shown(SECOND), ["certificate-ends-soon"], False),
        (shown(timedelta(0)), ["certificate-expired"], True),
        (shown(-SECOND), ["certificate-expired"], True),
        (shown(timedelta(days=300), begins=SECOND), ["certificate-not-yet"], True),
        (shown(timedelta(days=300), begins=timedelta(0)), [], False),
        (shown(timedelta(days=300), unit="1690000002"), ["certificate-other-site"], False),
        (shown(timedelta(days=300), unit="1690000001"), [], False),
    ],
)
def test_certificates_are_told_before_and_when_they_end(certificate: Item, raised: list[str], is_urgent: bool) -> None:
    known = facts(certificates=(certificate,))
    assert codes(known) == raised
    assert [alert.is_urgent for alert in alerts_of(settings(), known, NOW)] == [is_urgent] * len(raised)


# --- operators found by DNS


def test_a_dns_that_fails_is_told_once_it_lasts_and_stops_nothing() -> None:
    def known(since: datetime) -> Facts:
        return facts(stale=(Stale("mecs.mssante.example", "imap", since, "dns-nxdomain", (BOX,)),))

    day = timedelta(days=1)
    assert codes(known(NOW - day)) == []
    assert codes(known(NOW - day - SECOND)) == ["dns-stale"]
    alert = alerts_of(settings(), known(NOW - 2 * day), NOW)[0]
    assert not alert.is_urgent
    assert "rien ne s'arrête" in alert.text
    assert f"hub operator test {BOX}" in alert.text


# --- time


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "25/10/2026 à 02:30"),  # the first 2:30 of that night
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "25/10/2026 à 02:30"),  # and the second, after the change
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "29/03/2026 à 01:59"),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "29/03/2026 à 03:00"),
    ],
)
def test_moments_are_told_in_local_time(at: datetime, said: str) -> None:
    assert when(at, settings()) == said


@pytest.mark.parametrize("night", [datetime(2026, 10, 25, 1, 5, tzinfo=UTC), datetime(2026, 3, 29, 1, 5, tzinfo=UTC)])
def test_the_hour_that_the_clocks_change_is_neither_a_silence_nor_a_delay(night: datetime) -> None:
    ten_before = night - timedelta(minutes=10)
    cursors = {BOX: Cursor(mailbox=BOX, uidvalidity=7, last_uid=3, compared_at=ten_before)}
    known = facts(due=Crowd(1, ten_before), carried_at=ten_before, cursors=cursors)
    assert codes(known, at=night) == []
    assert codes(known, at=night + timedelta(minutes=10) + SECOND) == ["mailbox-silent", "carrying-stopped"]


# --- the list and the log


def test_the_urgent_ones_come_first() -> None:
    known = facts(compared=timedelta(hours=1), certificates=(shown(timedelta(days=2)),))
    assert codes(known) == ["mailbox-silent", "certificate-ends-soon"]


def test_no_text_names_an_address() -> None:
    known = facts(compared=timedelta(hours=1), watcher=told(skipped=((1, "x"),)), account=reckoned(differences=1))
    assert not [alert for alert in alerts_of(settings(), known, NOW) if "@" in alert.text]
    assert "database_url" in database_away(NOW, settings()).text


def test_the_log_is_told_when_an_alert_begins_and_ends_and_once_a_day() -> None:
    log = AlertLog(timedelta(days=1))
    alert = Alert(code="mailbox-silent", subject=BOX, text="La boîte…")
    other = Alert(code="certificate-ends-soon", subject="operator x", text="bientôt", is_urgent=False)
    said = [
        [line.text for line in log.lines(raised, at)]
        for at, raised in (
            (NOW, [alert]),
            (NOW + timedelta(minutes=1), [replace(alert, text="autre texte")]),
            (NOW + timedelta(hours=23), [alert, other]),
            (NOW + timedelta(days=1), [alert, other]),
            (NOW + timedelta(days=1, minutes=1), [other]),
            (NOW + timedelta(days=1, minutes=2), [other]),
            (NOW + timedelta(days=1, minutes=3), [alert, other]),
        )
    ]
    assert said == [
        ["alert mailbox-silent (dossiers) begins: La boîte…"],
        [],
        ["alert certificate-ends-soon (operator x) begins: bientôt"],
        ["alert mailbox-silent (dossiers) lasts: La boîte…"],
        ["alert mailbox-silent (dossiers) ends"],
        [],
        ["alert mailbox-silent (dossiers) begins: La boîte…"],
    ]
    nearer = replace(other, step=2)
    assert [line.text for line in log.lines([alert, nearer], NOW + timedelta(days=1, minutes=4))] == [
        "alert certificate-ends-soon (operator x) comes nearer: bientôt"
    ]
    assert log.lines([alert, nearer], NOW + timedelta(days=1, minutes=5)) == ()
    assert [line.is_urgent for line in AlertLog(timedelta(days=1)).lines([alert, other], NOW)] == [True, False]


# --- sendings


def test_recipients_without_news_are_told_without_names_and_break_nothing() -> None:
    known = facts(silence=Silence(3, NOW - timedelta(hours=50)))
    (alert,) = alerts_of(settings(), known, NOW)
    assert (alert.code, alert.is_urgent, alert.since) == ("sendings-silent", False, NOW - timedelta(hours=50))
    assert alert.text == (
        "3 destinataire(s) n'ont donné aucune nouvelle d'un envoi, le plus ancien depuis le 23/11/2026 à 09:00 : "
        "hub sent --waiting les nomme ; il faut leur téléphoner."
    )
    assert codes(facts()) == []


# --- the directory


def standing(*, age: timedelta | None = timedelta(0), code: str = "") -> DirectoryStanding:
    """`age`: of the extraction; None: nothing was ever imported."""
    account = None if age is None else Account(name="x", at=NOW - age, lines=1, entries=1, gone=0)
    trouble = Trouble(1, code, NOW - timedelta(days=1), NOW + timedelta(hours=1)) if code else Trouble()
    return DirectoryStanding(True, account, trouble, NOW)


WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("directory", "raised"),
    [
        (standing(), []),
        (standing(code="timeout"), []),
        (standing(age=WEEK), []),
        (standing(age=WEEK + SECOND), ["directory-stale"]),
        (standing(age=-WEEK - SECOND), ["directory-stale"]),
        (standing(age=WEEK + SECOND, code="tls"), ["directory-stale"]),
        (standing(age=None), []),
        (standing(age=None, code="connect"), ["directory-stale"]),
        (standing(code="bad-shrunk"), ["directory-bad"]),
        (standing(age=None, code="bad-zip"), ["directory-bad"]),
        (standing(age=WEEK + SECOND, code="bad-header"), ["directory-bad", "directory-stale"]),
        (DirectoryStanding(is_set=False, trouble=Trouble(1, "tls", NOW, NOW)), []),
    ],
)
def test_a_directory_that_is_old_or_was_refused_is_told_and_is_not_urgent(
    directory: DirectoryStanding, raised: list[str]
) -> None:
    known = facts(directory=directory)
    assert codes(known) == raised
    assert not any(alert.is_urgent for alert in alerts_of(settings(), known, NOW))


def test_the_alerts_of_the_directory_say_what_is_used_and_what_to_do() -> None:
    assert "celui du 25/11/2026 reste en service" in text(facts(directory=standing(code="bad-shrunk")))
    assert "--accept-smaller" in text(facts(directory=standing(code="bad-shrunk")))
    stale = text(facts(directory=standing(age=timedelta(days=10), code="tls")))
    assert "date du 15/11/2026" in stale
    assert "extraction_ca_file" in stale


@pytest.mark.parametrize(
    "code",
    [
        *("bad-zip", "bad-size", "bad-header", "bad-lines", "bad-shrunk", "bad-unreadable", "no-file", "disk-enospc"),
        *("http-401", "http-403", "http-429", "http-503", "http-400", "connect", "timeout", "tls", "broken", "outcome"),
        *("never-loaded", "unreadable", "misconfigured", "too-large"),
    ],
)
def test_each_failure_of_the_directory_has_a_cause_and_something_to_do(code: str) -> None:
    cause, remedy = directory_cause_of(code)
    assert not cause.startswith("code ")
    assert remedy != cause_of("?")[1]
