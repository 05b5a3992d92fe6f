"""The rules that make alerts: settings, facts and the time flow in, plain sentences flow out. Pure.

Each says what, since when, what it means and what to do, in French for whoever runs the hub; mailboxes by the names of
the settings, never an address. A rule has a limit of the settings and is silent on the near side of it. Silence counts
only while something is due: a site without mail alarms nobody. Times are compared in both directions: a mark that lies
in the future was left by a clock that has been put back, and proves no more than an old one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from hub.alerts.alert import Alert, when
from hub.alerts.causes import cause_of
from hub.alerts.certificates import of_certificates
from hub.alerts.directory import of_directory
from hub.alerts.dns import of_dns
from hub.alerts.facts import Facts
from hub.alerts.mailed import NOT_MAILED
from hub.alerts.members import of_members
from hub.alerts.peers import of_peers
from hub.settings import Mailbox, Settings
from hub.spool.ledger import Reckoned
from hub.spool.lookout import Look

NAMED_MOST = 10  # messages named in one sentence; `hub ledger` names all

CODES = (
    "database-away",
    "database-full",
    "mailbox-never-read",
    "mailbox-silent",
    "messages-not-taken",
    "marks-refused",
    "ledger-differs",
    "ledger-late",
    "carrying-stopped",
    "carrying-late",
    "carrying-long",
    "sendings-silent",
    "peer-refused",
    "revocation-unknown",
    "crl-stale",
    "directory-bad",
    "directory-stale",
    "certificate-expired",
    "certificate-not-yet",
    "certificate-unreadable",
    "certificate-next-unusable",
    "certificate-ends-soon",
    "certificate-other-site",
    "members-bad",
    "members-stale",
    "dns-stale",
    "authority-expired",
    "authority-ends-soon",
    NOT_MAILED,
)


def alerts_of(settings: Settings, facts: Facts, at: datetime) -> tuple[Alert, ...]:
    """The list. The urgent ones first."""
    raised = [
        *(alert for mailbox in settings.mailboxes for alert in _of_mailbox(settings, mailbox, facts.look, at)),
        *_of_carrying(settings, facts.look, at),
        *_of_sendings(settings, facts),
        *of_peers(settings, facts.met, at),
        *of_directory(settings, facts.directory, at),
        *of_certificates(settings, facts.inventory, at),
        *of_members(settings, facts.members, at),
        *of_dns(settings, facts.stale, at),
        *_of_mails(settings, facts),
    ]
    return tuple(sorted(raised, key=lambda alert: not alert.is_urgent))


def database_away(since: datetime, settings: Settings) -> Alert:
    return Alert(
        code="database-away",
        since=since,
        text=f"La base de données ne répond pas depuis le {when(since, settings)} : rien n'est relevé ni traité, rien "
        "n'est perdu (les messages restent chez l'opérateur). Vérifiez database_url et le serveur de base de données.",
    )


def database_full(since: datetime, settings: Settings) -> Alert:
    return Alert(
        code="database-full",
        since=since,
        text=f"La base de données répond mais n'enregistre plus rien depuis le {when(since, settings)} : rien n'est "
        "relevé ni traité, rien n'est perdu (les messages restent chez l'opérateur). Faites de la place sur le disque.",
    )


# --- mailboxes


def _of_mailbox(settings: Settings, mailbox: Mailbox, look: Look, at: datetime) -> Iterator[Alert]:
    silence = _silence(settings, mailbox, look, at)
    if silence is not None:
        yield silence
    told = look.told.get(mailbox.name)
    if told is not None and told.skipped:
        named = ", ".join(f"UID {uid} ({why})" for uid, why in told.skipped[:NAMED_MOST])
        more = f" et {len(told.skipped) - NAMED_MOST} autre(s)" if len(told.skipped) > NAMED_MOST else ""
        yield Alert(
            code="messages-not-taken",
            subject=mailbox.name,
            text=f"{len(told.skipped)} message(s) de la boîte {mailbox.name} n'ont pas pu être relevés : {named}{more}"
            ". Ils sont intacts chez l'opérateur et le hub réessaie ; lisez-les dans la boîte en attendant.",
        )
    unmarked = look.unmarked.get(mailbox.name, 0)
    if told is not None and told.mark_error and unmarked:
        yield Alert(
            code="marks-refused",
            subject=mailbox.name,
            is_urgent=False,
            text=f"{unmarked} message(s) de la boîte {mailbox.name} sont bien reçus mais ne peuvent être ni marqués ni "
            f"déplacés ({told.mark_error}) : les lecteurs de la boîte ne voient pas que le hub les a pris. Vérifiez "
            "mark et move_to dans hub.yaml avec l'opérateur.",
        )
    yield from _of_ledger(settings, mailbox, look, at, is_silent=silence is not None)


def _silence(settings: Settings, mailbox: Mailbox, look: Look, at: datetime) -> Alert | None:
    """Progress is a comparison that came to its end, or a message that was accepted (a first reading takes hours)."""
    name, limit = mailbox.name, settings.silence_most(mailbox)
    cursor, told = look.cursors.get(name), look.told.get(name)
    marks = [cursor.compared_at] if cursor is not None else []
    marks += [look.accepted_at[name]] if name in look.accepted_at else []
    heard = min(marks, key=lambda mark: abs(at - mark), default=None)
    if heard is not None and abs(at - heard) <= limit:
        return None
    if heard is None and told is not None and not told.last_error and abs(at - told.began_at) <= limit:
        return None  # its watcher has just begun
    cause, remedy = cause_of(told.last_error) if told is not None and told.last_error else ("", "")
    if not cause:
        remedy = "vérifiez que « hub serve » tourne, puis lisez son journal"
    stop = f" : {cause}" if cause else ""
    waiting = "Les messages qui y arrivent attendent chez l'opérateur, rien n'est perdu"
    if heard is None:
        text = f"La boîte {name} n'a encore jamais été relevée{stop}. {waiting} : {remedy}."
        return Alert(code="mailbox-never-read", subject=name, text=text, since=told.began_at if told else None)
    text = f"La boîte {name} n'est plus relevée depuis le {when(heard, settings)}{stop}. {waiting} : {remedy}."
    return Alert(code="mailbox-silent", subject=name, text=text, since=heard)


def _of_ledger(settings: Settings, mailbox: Mailbox, look: Look, at: datetime, *, is_silent: bool) -> Iterator[Alert]:
    reckoned, told = look.reckoned.get(mailbox.name), look.told.get(mailbox.name)
    if reckoned is not None and reckoned.differences:
        since = reckoned.differs_since or reckoned.at
        yield Alert(
            code="ledger-differs",
            subject=mailbox.name,
            since=since,
            text=f"Le compte de la boîte {mailbox.name} n'est pas bon depuis le {when(since, settings)} : "
            f"{_difference(reckoned)}. Lancez hub ledger --mailbox {mailbox.name}, puis, pour les relever maintenant, "
            f"hub ledger --mailbox {mailbox.name} --take.",
        )
    if is_silent or told is None:
        return  # the other alert says more; or nobody watches here
    patience = 2 * settings.alerting.ledger_every + settings.silence_most(mailbox)
    last = told.began_at if reckoned is None else max(reckoned.at, told.began_at)
    if abs(at - last) > patience:
        yield Alert(
            code="ledger-late",
            subject=mailbox.name,
            is_urgent=False,
            since=last,
            text=f"La boîte {mailbox.name} est relevée, mais son compte n'a plus été vérifié depuis le "
            f"{when(last, settings)} : le journal de « hub serve » dit pourquoi ; hub ledger le fait à la main.",
        )


def _difference(reckoned: Reckoned) -> str:
    if not reckoned.unknown:
        return f"l'opérateur annonce {reckoned.differences} message(s) de plus qu'il n'en montre"
    return f"{reckoned.differences} message(s) présents chez l'opérateur et inconnus du hub (UID {reckoned.unknown})"


# --- carrying


def _of_carrying(settings: Settings, look: Look, at: datetime) -> Iterator[Alert]:
    limit = settings.alerting.carried_within
    due_for_long = look.due.since is not None and at - look.due.since > limit
    worked_lately = look.carried_at is not None and abs(at - look.carried_at) <= limit
    if due_for_long and not worked_lately:
        last = f" depuis le {when(look.carried_at, settings)}" if look.carried_at else ""
        yield Alert(
            code="carrying-stopped",
            since=look.due.since,
            text=f"{look.due.count} message(s) attendent d'être traités, certains depuis plus {_of_span(limit)}, et "
            f"plus rien n'est traité{last} : vérifiez que « hub serve » (ou « hub worker ») tourne, puis lisez son "
            "journal.",
        )
    elif look.late.count:
        yield Alert(
            code="carrying-late",
            since=look.late.since,
            text=f"{look.late.count} message(s) attendent d'être traités depuis plus {_of_span(limit)}, alors que "
            "d'autres le sont : si leur nombre ne baisse pas, augmentez working.processes.",
        )
    elif look.long.count:
        over = _of_span(settings.alerting.finished_within)
        yield Alert(
            code="carrying-long",
            since=look.long.since,
            text=f"{look.long.count} message(s) reçus depuis plus {over} ne sont pas terminés : un envoi est "
            "sans doute refusé ou l'opérateur injoignable. Le hub réessaie ; hub journal show dit pourquoi.",
        )


# --- sendings


def _of_sendings(settings: Settings, facts: Facts) -> Iterator[Alert]:
    """Nothing is broken: somebody should telephone."""
    silence = facts.silence
    if silence.count and silence.since is not None:
        yield Alert(
            code="sendings-silent",
            is_urgent=False,
            since=silence.since,
            text=f"{silence.count} destinataire(s) n'ont donné aucune nouvelle d'un envoi, le plus ancien depuis le "
            f"{when(silence.since, settings)} : hub sent --waiting les nomme ; il faut leur téléphoner.",
        )


# --- mails about alerts


def _of_mails(settings: Settings, facts: Facts) -> Iterator[Alert]:
    unmailed = facts.unmailed
    if unmailed is None:
        return
    since = f" depuis le {when(unmailed.since, settings)}" if unmailed.since else " : un destinataire est refusé"
    yield Alert(
        code=NOT_MAILED,
        subject=settings.alerting.mail_from or "",
        is_urgent=False,
        since=unmailed.since,
        text=f"Les courriels d'alerte ne partent pas{since} ({unmailed.code}). Vérifiez alerting.mail_to et mail_from "
        "dans hub.yaml, puis le journal de « hub serve » ; tant que ce n'est pas réglé, personne n'est prévenu ainsi.",
    )


# --- words


def _span(span: timedelta) -> str:
    """`10 minutes`, `une heure`, `3 heures`, `2 jours`."""
    seconds = int(span.total_seconds())
    for size, one, many in (
        (86_400, "un jour", "jours"),
        (3_600, "une heure", "heures"),
        (60, "une minute", "minutes"),
    ):
        if seconds >= size and seconds % size == 0:
            return one if seconds == size else f"{seconds // size} {many}"
    return f"{seconds} secondes"


def _of_span(span: timedelta) -> str:
    words = _span(span)
    return f"d'{words}" if words.startswith("u") else f"de {words}"
