"""The metrics of one moment, for Prometheus. Labels are names of the settings, states and codes; never an address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.alerts import CODES, Facts
from hub.settings import Settings
from hub.spool.lookout import Look
from hub.web.moments import Moment


def exposition(settings: Settings, moment: Moment) -> bytes:
    """The text of `/metrics` (Prometheus text format 0.0.4: any Prometheus reads it)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MomentCollector(settings, moment))
    return generate_latest(registry)


class MomentCollector(Collector):
    def __init__(self, settings: Settings, moment: Moment) -> None:
        self._settings = settings
        self._moment = moment

    def collect(self) -> Iterator[Metric]:
        moment = self._moment
        yield _one("hub_database_up", "1 when the database answers.", 0 if moment.facts is None else 1)
        raised = Counter(alert.code for alert in moment.alerts)
        yield _labelled("hub_alerts", "Alerts that last, by code.", "code", {code: raised[code] for code in CODES})
        urgent = sum(alert.is_urgent for alert in moment.alerts)
        yield _one("hub_alerts_urgent", "Alerts that last and say that something does not work now.", urgent)
        if moment.facts is not None:
            yield from _of_messages(moment.facts, moment.at)
            yield from _of_mailboxes(self._settings, moment.facts.look, moment.at)
            yield from _of_ledgers(self._settings, moment.facts.look, moment.at)
            yield _of_certificates(moment.facts, moment.at)


def _of_messages(facts: Facts, at: datetime) -> Iterator[Metric]:
    look = facts.look
    yield _labelled("hub_messages", "Messages by state.", "state", facts.counts)
    done = CounterMetricFamily("hub_messages_done", "Messages carried to their end.")
    done.add_metric([], facts.counts.get("DONE", 0))
    yield done
    yield _one("hub_messages_due", "Messages that a worker should carry now.", look.due.count)
    oldest = _age(look.due.since, at) if look.due.since is not None else 0.0
    yield _one("hub_messages_due_oldest_seconds", "How long the oldest of them has been due.", oldest)
    yield _one("hub_messages_late", "Messages due for longer than alerting.carried_within.", look.late.count)
    yield _one("hub_messages_unfinished", "Messages under way longer than alerting.finished_within.", look.long.count)
    if look.carried_at is not None:
        yield _one("hub_carried_age_seconds", "Since the last deed of any worker.", _age(look.carried_at, at))
    yield _one("hub_decisions_open", "Decisions that wait for a human.", facts.decisions)
    yield _one("hub_sent_silent", "Recipients of whom nothing was heard for too long.", facts.silence.count)
    yield _labelled(
        "hub_sent_recipients", "Recipients of the last weeks, by the rung they stand on.", "rung", facts.sent
    )
    yield _one("hub_journal_entries", "Entries of the journal.", look.journal)


def _of_mailboxes(settings: Settings, look: Look, at: datetime) -> Iterator[Metric]:
    names = [mailbox.name for mailbox in settings.mailboxes]
    cursors = {name: look.cursors[name] for name in names if name in look.cursors}
    told = {name: look.told[name] for name in names if name in look.told}
    yield _labelled(
        "hub_mailbox_compared_age_seconds",
        "Since the mailbox was last compared with the spool to the end.",
        "mailbox",
        {name: _age(cursor.compared_at, at) for name, cursor in cursors.items()},
    )
    yield _labelled(
        "hub_mailbox_cursor_uid",
        "UID up to which everything is in the spool or gone.",
        "mailbox",
        {name: cursor.last_uid for name, cursor in cursors.items()},
    )
    yield _labelled(
        "hub_mailbox_failures",
        "Connections lost since the last whole comparison.",
        "mailbox",
        {name: one.failures for name, one in told.items()},
    )
    yield _labelled(
        "hub_mailbox_not_taken",
        "Messages left in the mailbox for a reason.",
        "mailbox",
        {name: len(one.skipped) for name, one in told.items()},
    )
    yield _labelled(
        "hub_mailbox_unmarked",
        "Accepted messages whose mark in the mailbox is not verified.",
        "mailbox",
        {name: look.unmarked.get(name, 0) for name in names},
    )


def _of_ledgers(settings: Settings, look: Look, at: datetime) -> Iterator[Metric]:
    kept = {box.name: look.reckoned[box.name] for box in settings.mailboxes if box.name in look.reckoned}
    yield _labelled(
        "hub_ledger_age_seconds",
        "Since the mailbox was last counted against its operator.",
        "mailbox",
        {name: _age(one.at, at) for name, one in kept.items()},
    )
    yield _labelled(
        "hub_ledger_announced",
        "Messages that the operator announced then.",
        "mailbox",
        {name: one.announced for name, one in kept.items()},
    )
    yield _labelled(
        "hub_ledger_differences",
        "Messages that the operator announced and the hub does not know.",
        "mailbox",
        {name: one.differences for name, one in kept.items()},
    )


def _of_certificates(facts: Facts, at: datetime) -> Metric:
    """One a holder and place; of several authorities of one holder the one that ends first."""
    family = GaugeMetricFamily(
        "hub_certificate_days_left",
        "Days until what the hub shows, signs with or trusts ends (negative: it has ended).",
        labels=["holder", "place"],
    )
    left: dict[tuple[str, str], float] = {}
    for item in facts.inventory:
        if item.ends is not None:
            place = "authority" if item.what == "authority" else "next" if item.is_next else "current"
            key, days = (item.holder, place), (item.ends - at).total_seconds() / 86_400
            left[key] = min(days, left.get(key, days))
    for labels, days in left.items():
        family.add_metric(labels, days)
    return family


def _one(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _labelled(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for labelled, value in values.items():
        family.add_metric([labelled], value)
    return family


def _age(moment: datetime, at: datetime) -> float:
    return (at - moment).total_seconds()
