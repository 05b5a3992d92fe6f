"""What a sysadmin must be told before it hurts: certificates that expire (RH-12), mailboxes that nobody compares any
more, messages that nobody carries (complaints.md, rows 1 and 18).

Settings and what the database says flow in, plain sentences flow out. Progress is measured at the far end: not whether
a process lives, but when a mailbox was last compared with the spool to the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hub.errors import Misconfigured
from hub.settings import Secret, Settings
from hub.trust.tls import certificate_facts

EXPIRES_SOON = timedelta(days=30)
CARRIED_LATE = timedelta(minutes=10)  # a message is carried in seconds, once it is due
UNDER_WAY_LONG = timedelta(hours=1)  # what is tried again and again


@dataclass(frozen=True, slots=True)
class Alarm:
    """One sentence. `is_urgent`: something does not work now; else something will not work soon."""

    text: str
    is_urgent: bool


def of_certificates(settings: Settings, at: datetime) -> Iterator[Alarm]:
    """Our own certificates; one that cannot be read is told by `hub check`, not here."""
    shown = [*(operator.certificate for operator in settings.operators)]
    shown += [mailbox.certificate for mailbox in settings.mailboxes]
    for certificate in dict.fromkeys(secret for secret in shown if secret is not None):
        try:
            yield from _of_certificate(certificate, settings.site.finess, at)
        except Misconfigured:
            continue


def _of_certificate(certificate: Secret, finess: str, at: datetime) -> Iterator[Alarm]:
    facts, file = certificate_facts(certificate), certificate.file
    ends = facts.not_after.astimezone().strftime("%d/%m/%Y")
    if facts.not_after <= at:
        yield Alarm(f"{file}:1 - ce certificat a expiré le {ends} : les opérateurs le refusent. Remplacez-le.", True)
    elif facts.not_before > at:
        begins = facts.not_before.astimezone().strftime("%d/%m/%Y")
        yield Alarm(f"{file}:1 - ce certificat n'est valable qu'à partir du {begins}.", True)
    elif facts.not_after - at <= EXPIRES_SOON:
        days = (facts.not_after - at).days
        yield Alarm(f"{file}:1 - ce certificat expire le {ends} (dans {days} jour(s)) : faites-le renouveler.", False)
    if finess and facts.unit.startswith("1") and facts.unit[1:] != finess:
        yield Alarm(
            f"{file}:1 - ce certificat est celui de la structure {facts.unit}, le FINESS du site est {finess}.", False
        )


def of_mailboxes(settings: Settings, compared: Mapping[str, datetime], at: datetime) -> Iterator[Alarm]:
    """`compared`: mailbox -> when it was last compared to the end (absent: never)."""
    patience = 3 * settings.watching.poll + settings.watching.backoff_most
    for mailbox in settings.mailboxes:
        last = compared.get(mailbox.name)
        if last is None:
            yield Alarm(
                f"La boîte {mailbox.name} n'a encore jamais été relevée : « hub serve » tourne-t-il ? "
                "Si oui, son journal dit pourquoi.",
                True,
            )
        elif at - last > patience:
            yield Alarm(
                f"La boîte {mailbox.name} n'est plus relevée depuis le {when(last, settings)} : vérifiez que "
                "« hub serve » tourne, puis lisez son journal (opérateur injoignable, certificat, mot de passe).",
                True,
            )


def of_carrying(late: int, long: int) -> Iterator[Alarm]:
    """`late`: messages due for longer than `CARRIED_LATE` that no worker has taken; `long`: under way for longer than
    `UNDER_WAY_LONG`."""
    if late:
        yield Alarm(
            f"{late} message(s) attendent d'être traités depuis plus de {CARRIED_LATE.seconds // 60} minutes : "
            "vérifiez que « hub serve » tourne, puis lisez son journal.",
            True,
        )
    elif long:
        yield Alarm(
            f"{long} message(s) reçus depuis plus d'une heure ne sont pas terminés : un envoi est sans doute refusé ou "
            "l'opérateur injoignable. Le hub réessaie ; hub journal show dit pourquoi.",
            True,
        )


def when(at: datetime, settings: Settings) -> str:
    """The site's local time, to the minute."""
    return at.astimezone(ZoneInfo(settings.site.timezone)).strftime("%d/%m/%Y à %H:%M")
