"""What a trial looks at before any connection: the settings of the operator, and the certificate that we show it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from hub.errors import Misconfigured
from hub.trial import words
from hub.trial.going import Trying
from hub.trial.steps import Steps
from hub.trust.certificates import Certificates, certificate_facts
from hub.trust.succession import chosen, of_mailbox


def try_settings(trying: Trying, steps: Steps) -> None:
    """They were read and agree with each other, or nothing would run."""
    operator, box = trying.operator, trying.mailbox
    known = f", connu comme {operator.known_as}" if operator.known_as else ""
    steps.ok(
        "settings",
        f"Réglages lus : opérateur {operator.name}{known}",
        f"ouverture : {box.sasl or operator.opens_by} ; envoi : {operator.sends_by}",
        f"avis de remise demandés : {'oui' if operator.asks_dsn else 'non'} ; copies rangées par l'opérateur : "
        f"{'oui' if operator.keeps_sent_copies else 'non'}",
    )


def try_own_certificate(trying: Trying, steps: Steps) -> None:
    found = of_mailbox(trying.settings, trying.mailbox)
    if found is None:
        steps.note("client-certificate", "Certificat client : aucun n'est réglé, le hub n'en présente pas")
        return
    steps.begin()
    at, zone = trying.clock(), ZoneInfo(trying.settings.site.timezone)
    try:
        facts = certificate_facts(chosen(found, at, zone, Certificates()))
    except Misconfigured as error:
        steps.failed("client-certificate", words.WRONG_FILE, *error.private.splitlines(), remedy=words.CHECK)
        return
    shown = f"Certificat client présenté : CN={facts.common_name or '-'}, OU={facts.unit or '-'}"
    span = f"valable du {facts.not_before:%d/%m/%Y} au {facts.not_after:%d/%m/%Y}"
    if not facts.not_before <= at <= facts.not_after:
        remedy = "L'opérateur le refusera : vérifiez l'heure de cette machine, ou demandez un nouveau certificat."
        steps.failed("client-certificate", shown, span, remedy=remedy)
    elif facts.not_after - at < trying.settings.alerting.certificate_notices[0]:
        steps.note("client-certificate", shown, span, remedy="Il expire bientôt : demandez le suivant dès maintenant.")
    else:
        steps.ok("client-certificate", shown, span)
