"""What must be told of the national directory: a new file that was refused, a copy that is old. Settings, where it
stands and the time flow in, sentences flow out. Pure. Also why it cannot be had or asked, in plain French, from the
code of a failure (`hub.trust.fetching`, `hub.trust.directory`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from hub.alerts.alert import Alert, day
from hub.settings import Settings
from hub.trust.directory import DirectoryStanding

# The first beginning that fits. (beginnings of codes, cause, what to do)
_CAUSES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("bad-shrunk",),
        "il est bien plus court que le précédent, donc sans doute tronqué",
        "s'il est bon malgré tout : hub directory refresh --accept-smaller",
    ),
    (
        ("bad-header",),
        "ses colonnes ne sont plus celles que le hub connaît",
        "signalez-le à qui maintient le hub",
    ),
    (
        ("bad-",),
        "il est abîmé ou n'est pas le fichier attendu",
        "le hub attend le suivant ; s'il vient d'être déposé à la main, déposez-le à nouveau",
    ),
    (
        ("no-file",),
        "le fichier nommé par directory.extraction_file n'existe pas",
        "déposez-le, ou corrigez hub.yaml",
    ),
    (
        ("http-429", "http-403"),
        "l'annuaire demande d'attendre (trop de demandes)",
        "rien : le hub attend de lui-même",
    ),
    (
        ("http-401",),
        "la clé d'accès est refusée",
        "vérifiez directory.api_key_file",
    ),
    (
        ("connect", "timeout", "http-5", "broken"),
        "l'annuaire ne répond pas",
        "vérifiez le réseau de cette machine (fetching.proxy) ; le hub réessaie de lui-même",
    ),
    (
        ("tls",),
        "le certificat du serveur n'est pas reconnu",
        "vérifiez directory.extraction_ca_file et api_ca_file dans hub.yaml",
    ),
    (
        ("disk",),
        "le nouveau fichier ne peut pas être enregistré",
        "faites de la place sur le disque de data_dir (un gigaoctet)",
    ),
    (
        ("http-400", "http-404", "http-422", "outcome", "too-large"),
        "l'annuaire n'accepte pas cette recherche, ou répond trop longuement",
        "cherchez autrement",
    ),
    (
        ("misconfigured",),
        "un réglage ou un fichier (clé, certificats) ne peut pas être utilisé",
        "lancez hub check : il nomme le fichier et la ligne",
    ),
    (
        ("unreadable",),
        "sa copie sur ce site ne peut pas être lue",
        "lancez hub directory refresh ; hub serve le fait aussi de lui-même",
    ),
    (
        ("never-loaded",),
        "il n'a encore jamais été chargé",
        "lancez hub directory refresh",
    ),
)


def directory_cause_of(code: str) -> tuple[str, str]:
    """(cause, what to do) of a failure to have, or to ask, the directory; an unknown one is quoted by its code."""
    for beginnings, cause, remedy in _CAUSES:
        if code.startswith(beginnings):
            return f"{cause} ({code})", remedy
    return f"code {code}", "lisez le journal de « hub serve »"


def of_directory(settings: Settings, standing: DirectoryStanding, at: datetime) -> Iterator[Alert]:
    """Nothing stops: addresses are looked up in the last good copy, or not found (RH-87)."""
    account, trouble = standing.account, standing.trouble
    if not standing.is_set:
        return
    cause, remedy = directory_cause_of(trouble.code) if trouble.code else ("", "")
    kept = f"celui du {day(account.at, settings)} reste en service" if account else "aucun n'est encore en service"
    if trouble.code.startswith("bad-"):
        yield Alert(
            code="directory-bad",
            is_urgent=False,
            since=trouble.since,
            text=f"Le dernier fichier de l'annuaire n'a pas été pris : {cause} ; {kept}. Que faire : {remedy}.",
        )
    if account is None and trouble.code and not trouble.code.startswith("bad-"):
        yield Alert(
            code="directory-stale",
            is_urgent=False,
            since=trouble.since,
            text=f"L'annuaire n'a encore jamais pu être chargé : {cause}. On ne peut pas y chercher d'adresse ; "
            f"rien d'autre n'est touché. Que faire : {remedy}.",
        )
    elif account is not None and abs(at - account.at) > settings.directory.stale_after:
        why = f" : {cause}. Que faire : {remedy}" if cause else " : aucun plus récent n'est publié ou déposé"
        yield Alert(
            code="directory-stale",
            is_urgent=False,
            since=account.at,
            text=f"L'annuaire date du {day(account.at, settings)}{why}. Les recherches se font dans cette copie : une "
            "adresse a pu changer depuis.",
        )
