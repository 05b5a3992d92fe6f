"""The mind's sorting office: what is it, whose is it, what shall be done.

In: what the reader understood (`Seen`) and the site's rules (`Rulebook`). Out: a `Thought`, with every reason. Pure:
no clock, no chance, no I/O; the same input gives the same thought for ever. Nothing raises on what a message holds:
a doubt becomes a hold before a human. Only a wrong configuration raises (Misconfigured, at load).
"""

from __future__ import annotations

from hub.routing.catalogue import Catalogue, Kind
from hub.routing.decisions import dismissed, receipt_released, released, waits_for_older
from hub.routing.match import identities
from hub.routing.plan import think
from hub.routing.reasons import reason, sentence
from hub.routing.rulebook import Policy, Rulebook, make_rulebook
from hub.routing.rules import Route
from hub.routing.view import Seen

__all__ = [
    "Catalogue",
    "Kind",
    "Policy",
    "Route",
    "Rulebook",
    "Seen",
    "dismissed",
    "identities",
    "make_rulebook",
    "reason",
    "receipt_released",
    "released",
    "sentence",
    "think",
    "waits_for_older",
]
