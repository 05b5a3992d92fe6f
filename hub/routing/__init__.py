"""The mind's sorting office: what is it, whose is it, what shall be done.

In: what the reader understood (`Seen`) and the site's rules (`Rulebook`). Out: a `Thought`, with every reason. Pure:
no clock, no chance, no I/O; the same input gives the same thought for ever. Nothing raises on what a message holds:
a doubt becomes a hold before a human. Only a wrong configuration raises (Misconfigured, at load).
"""

from __future__ import annotations

from hub.routing import letters
from hub.routing.about import About, about
from hub.routing.asked import asked_of, number_clue
from hub.routing.catalogue import Catalogue, Kind
from hub.routing.decisions import dismissed, receipt_released, released, waits_for_older
from hub.routing.match import identities
from hub.routing.plan import think
from hub.routing.reasons import reason, sentence
from hub.routing.replies import answer_of, answered_ids, asked_by, usager_named
from hub.routing.roles import Roles
from hub.routing.rulebook import Policy, Rulebook, make_rulebook, strangers, with_members
from hub.routing.rules import Route
from hub.routing.submissions import think_submission
from hub.routing.tags import untagged
from hub.routing.tidings import report_keys
from hub.routing.towards import led_to, usager_for_roles
from hub.routing.view import Seen, certain_alone

__all__ = [
    "About",
    "Catalogue",
    "Kind",
    "Policy",
    "Roles",
    "Route",
    "Rulebook",
    "Seen",
    "about",
    "answer_of",
    "answered_ids",
    "asked_by",
    "asked_of",
    "certain_alone",
    "dismissed",
    "identities",
    "led_to",
    "letters",
    "make_rulebook",
    "number_clue",
    "reason",
    "receipt_released",
    "released",
    "report_keys",
    "sentence",
    "strangers",
    "think",
    "think_submission",
    "untagged",
    "usager_for_roles",
    "usager_named",
    "waits_for_older",
    "with_members",
]
