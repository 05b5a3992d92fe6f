"""Tries the door out of a mailbox: the submission server, and what it offers to whoever is logged in. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping

from hub.errors import HubError
from hub.smtp.session import look
from hub.trial import words
from hub.trial.going import Going, Trying, find
from hub.trial.steps import Steps

WORTH_TELLING = ("size", "dsn", "auth", "8bitmime", "pipelining", "enhancedstatuscodes", "smtputf8")


async def try_smtp(trying: Trying, steps: Steps) -> Mapping[str, str] | None:
    """What the server offers; None when it cannot be used."""
    way = await find(trying, "smtp", trying.route.find_way, steps)
    if way is None:
        return None
    going, sending = Going(trying, "smtp", way, steps), trying.settings.sending
    try:
        offered = await look(
            trying.route,
            sending.connect_timeout.total_seconds(),
            sending.command_timeout.total_seconds(),
            going.reached,
        )
    except HubError as error:
        await going.stopped(error)
        return None
    told = [f"{name.upper()} {offered[name]}".strip() for name in WORTH_TELLING if name in offered]
    steps.ok("smtp-offers", "SMTP : le serveur annonce", *told)
    _try_size(trying, offered, steps)
    _try_dsn(trying, offered, steps)
    return offered


def _try_size(trying: Trying, offered: Mapping[str, str], steps: Steps) -> None:
    ours, said = trying.settings.message_most(trying.mailbox), offered.get("size", "").strip()
    if not said.isdecimal() or int(said) == 0:
        steps.note(
            "smtp-size", f"Taille : le serveur n'annonce pas de limite, le hub prépare jusqu'à {words.size(ours)}"
        )
    elif int(said) < ours:
        steps.failed(
            "smtp-size",
            f"Taille : le serveur prend {words.size(int(said))} au plus, le hub prépare jusqu'à {words.size(ours)}",
            remedy=f"Écrivez message_most: {said} chez cet opérateur dans hub.yaml : un envoi trop grand est alors "
            "refusé avant de partir, avec un message clair pour son auteur.",
        )
    else:
        steps.ok("smtp-size", f"Taille : le serveur prend {words.size(int(said))}, le hub prépare {words.size(ours)}")


def _try_dsn(trying: Trying, offered: Mapping[str, str], steps: Steps) -> None:
    if "dsn" not in offered:
        steps.note("smtp-dsn", "Avis de remise (DSN) : non offerts, le hub n'en demande pas")
    elif trying.operator.asks_dsn:
        steps.ok("smtp-dsn", "Avis de remise (DSN) : offerts, le hub les demande")
    else:
        steps.note("smtp-dsn", "Avis de remise (DSN) : offerts, mais le hub ne les demande pas (réglage dsn)")
