"""Who holds the roles that may count for a message, looked up on the day of its sending.

What was seen of the message in, the same with the roles of the one usager that it is about out; unchanged when no role
can count. The mind decides (`hub.routing.towards`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from hub import routing
from hub.ports import Records


async def with_roles(
    seen: routing.Seen, rules: routing.Rulebook, records: Records, at: datetime, chosen: str | None = None
) -> routing.Seen:
    """`at` is now, aware; `chosen` whom a human named."""
    usager_id = routing.usager_for_roles(seen, rules, chosen)
    if usager_id is None:
        return seen
    today = at.astimezone(rules.policy.zone).date()
    return replace(seen, held_roles=await records.held_roles(usager_id), today=today)
