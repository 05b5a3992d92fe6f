"""The page of certificates: what expires, and when, for people. Plain HTML, no script, nothing from elsewhere.

In: the inventory of a moment. Out: the page, and its style sheet. Every text is escaped; a state is a word and a mark
besides its colour. The bare page reads well without its style.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from html import escape

from hub.alerts import Alert, of_certificates, when
from hub.alerts.inventory_words import MOODS, Mood, Row, row_of
from hub.settings import Settings
from hub.trust.inventory import Item

STYLE_PATH = "/certificates.css"
_MARKS: dict[Mood, str] = {"bad": "✖", "soon": "▲", "good": "✔", "idle": "–"}
_HEADINGS = ("Verdict", "À qui", "Quoi", "État", "Début", "Fin", "Jours restants", "Fichier et détails")

STYLE = """\
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 90rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
.wide { overflow-x: auto; }
th, td { border-bottom: 1px solid #8888; padding: .5rem .6rem; text-align: left; vertical-align: top; }
thead th { white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.mood { border-radius: .3rem; display: inline-block; font-weight: 600; padding: .1rem .5rem; white-space: nowrap; }
.bad { background: #9b1c1c; color: #fff; } .soon { background: #ffd866; color: #2a2000; }
.good { background: #1b6b3a; color: #fff; } .idle { background: #555; color: #fff; }
.remark { font-weight: 600; margin: 0 0 .3rem; } code { overflow-wrap: anywhere; }
dt { font-weight: 600; } dd { margin: 0 0 .3rem; }
summary { cursor: pointer; } ul.alerts { padding-left: 1.2rem; } li { margin: .4rem 0; }
"""


def page(items: Iterable[Item], settings: Settings, at: datetime) -> str:
    known = tuple(items)
    rows = [row_of(item, settings, at) for item in known]
    alerts = sorted(of_certificates(settings, known, at), key=lambda alert: not alert.is_urgent)
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="fr">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            "<title>Certificats - hub MSSanté</title>\n",
            f'<link rel="stylesheet" href="{STYLE_PATH}">\n</head>\n<body>\n<main>\n',
            f"<h1>Certificats du hub MSSanté : {escape(settings.site.name)}</h1>\n",
            f"<p>État du {escape(when(at, settings))}. Rechargez la page pour un état plus récent.</p>\n",
            *_told(alerts),
            *_table(rows),
            "</main>\n</body>\n</html>\n",
        )
    )


def _told(alerts: list[Alert]) -> Iterator[str]:
    yield "<h2>Ce qu'il faut faire</h2>\n"
    if not alerts:
        yield "<p>Rien : aucun certificat n'expire bientôt sans successeur.</p>\n"
        return
    yield '<ul class="alerts">\n'
    for alert in alerts:
        yield f"<li>{_mood('bad' if alert.is_urgent else 'soon')} {escape(alert.text)}</li>\n"
    yield "</ul>\n"


def _table(rows: list[Row]) -> Iterator[str]:
    yield '<h2 id="all">Tout ce qui expire ou doit être gardé</h2>\n'
    yield '<div class="wide" role="region" aria-labelledby="all" tabindex="0">\n<table>\n<thead><tr>'
    yield from (f'<th scope="col">{escape(heading)}</th>' for heading in _HEADINGS)
    yield "</tr></thead>\n<tbody>\n"
    for row in rows:
        cells = "".join(f"<td>{escape(text)}</td>" for text in (row.what, row.state, row.begins, row.ends))
        yield (
            f'<tr><td>{_mood(row.mood)}</td><th scope="row">{escape(row.holder)}</th>{cells}'
            f'<td class="number">{escape(row.left)}</td><td>{"".join(_of_file(row))}</td></tr>\n'
        )
    yield "</tbody>\n</table>\n</div>\n"


def _of_file(row: Row) -> Iterator[str]:
    if row.remark:
        yield f'<p class="remark">{escape(row.remark)}</p>'
    if not row.details:
        yield f"<code>{escape(row.file)}</code>"
        return
    yield f"<details><summary><code>{escape(row.file)}</code></summary><dl>"
    yield from (f"<dt>{escape(what)}</dt><dd><code>{escape(value)}</code></dd>" for what, value in row.details)
    yield "</dl></details>"


def _mood(mood: Mood) -> str:
    return f'<span class="mood {mood}"><span aria-hidden="true">{_MARKS[mood]} </span>{escape(MOODS[mood])}</span>'
