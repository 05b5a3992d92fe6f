"""What people were told of the alerts by mail, and the mail that is still to leave: kept across restarts and hosts.

In: the alerts of a moment and what was told before. Out: `News`, a letter about it (French), and the state to keep, as
JSON (`hub.worker.postman` keeps it and sends). A mail is due when an alert begins, comes a step nearer, or ends; all
that is due together stands in one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from hub.alerts.alert import Alert, when
from hub.settings import Settings
from hub.trust.kept import Kept

NOT_MAILED = "alerts-not-mailed"  # the one alert that is never mailed: its mail would fail like the others


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that was told. `text` is what was said."""

    code: str
    subject: str
    step: int
    text: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that is to leave. `unsent`: recipient -> the Message-ID that the mail to that one has for ever."""

    subject: str
    text: str
    written_at: datetime
    unsent: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailed:
    """`refused`: recipients who were refused for ever the last time."""

    told: tuple[Told, ...] = ()
    letter: Letter | None = None
    mailed_at: datetime | None = None
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    begun: tuple[Alert, ...] = ()
    nearer: tuple[Alert, ...] = ()
    ended: tuple[Told, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.begun or self.nearer or self.ended)


def kept_in(settings: Settings) -> Kept:
    """Where it is kept: beside the data, which all hosts of a site share."""
    return Kept(settings.data_dir / "alerts", "mailed.json")


def news_of(mailed: Mailed, alerts: Iterable[Alert], *, is_whole: bool) -> News:
    """`is_whole`: the alerts are all there are; else (the database is away) nothing is known to have ended."""
    before = {(one.code, one.subject): one for one in mailed.told}
    now = {(alert.code, alert.subject): alert for alert in alerts if alert.code != NOT_MAILED}
    return News(
        begun=tuple(alert for key, alert in now.items() if key not in before),
        nearer=tuple(alert for key, alert in now.items() if key in before and alert.step > before[key].step),
        ended=tuple(one for key, one in before.items() if key not in now) if is_whole else (),
    )


def told_after(mailed: Mailed, news: News) -> tuple[Told, ...]:
    """What will have been told when a letter about the news is written."""
    ended = set(news.ended)
    told = {(one.code, one.subject): one for one in mailed.told if one not in ended}
    for alert in (*news.begun, *news.nearer):
        told[(alert.code, alert.subject)] = Told(alert.code, alert.subject, alert.step, alert.text)
    return tuple(told.values())


# --- the letter

_END = (
    "Aucun autre courriel ne partira tant que rien ne change. L'état du hub, sur sa machine : « hub status » ; "
    "pour les certificats : « hub certs ». Ce courriel est automatique : n'y répondez pas."
)


def letter_of(news: News, at: datetime, settings: Settings) -> tuple[str, str]:
    """(subject, text). The subject says how much and how bad, nothing else."""
    fresh = (*news.begun, *news.nearer)
    urgent, soon = [one for one in fresh if one.is_urgent], [one for one in fresh if not one.is_urgent]
    counted = [
        _counted(len(urgent), "alarme", "alarmes"),
        _counted(len(soon), "point à prévoir", "points à prévoir"),
        _counted(len(news.ended), "point réglé", "points réglés"),
    ]
    blocks = [
        f"Bonjour,\n\nVoici ce qui a changé pour le hub MSSanté ({settings.site.name}), le {when(at, settings)}.",
        _block("CE QUI NE VA PAS :", [one.text for one in urgent]),
        _block("À PRÉVOIR :", [one.text for one in soon]),
        _block("C'EST RÉGLÉ, ou cela ne se produit plus :", [one.text for one in news.ended]),
        _END,
    ]
    return f"Hub MSSanté : {', '.join(filter(None, counted))}", "\n\n".join(filter(None, blocks))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}" if count else ""


def _block(title: str, texts: list[str]) -> str:
    return "\n".join([title, *(f"- {text}" for text in texts)]) if texts else ""


# --- kept


def read_mailed(raw: bytes) -> Mailed:
    """What `written` wrote. What cannot be read was never told: telling twice is better than never."""
    try:
        tree = json.loads(raw)
        letter = tree["letter"]
        return Mailed(
            told=tuple(Told(**one) for one in tree["told"]),
            letter=None
            if letter is None
            else Letter(letter["subject"], letter["text"], _moment(letter["written_at"]), dict(letter["unsent"])),
            mailed_at=_moment(tree["mailed_at"]) if tree["mailed_at"] else None,
            refused=int(tree["refused"]),
        )
    except (ValueError, KeyError, TypeError):
        return Mailed()


def written(mailed: Mailed) -> bytes:
    return json.dumps(asdict(mailed), default=lambda moment: moment.isoformat(), ensure_ascii=False).encode()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a naive moment")
    return moment


# --- when mails do not leave


@dataclass(frozen=True, slots=True)
class Unmailed:
    """`since`: when a mail first did not leave, None when recipients were refused."""

    code: str
    since: datetime | None = None


def unmailed_in(kept: Kept) -> Unmailed | None:
    trouble = kept.trouble()
    if trouble.failures:
        return Unmailed(trouble.code, trouble.since)
    copy = kept.read()
    return Unmailed("refused") if copy is not None and read_mailed(copy.raw).refused else None
