"""What a trial says, in plain French: what happened, what it means, what to do."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase

from hub.ports import Opening
from hub.trust.shown import ShownCertificate

CHECK = "Corrigez le fichier nommé ci-dessus ; hub check dit la même chose pour tous les réglages."
WRONG_FILE = "Un réglage ou un fichier (certificat, clé, mot de passe) ne peut pas être utilisé"
NO_SERVER = {
    "imap": "IMAP : aucun serveur connu, ni dans hub.yaml, ni par le DNS",
    "smtp": "SMTP : aucun serveur connu, ni dans hub.yaml, ni par le DNS",
}
DNS_REMEDY = (
    "Demandez à l'opérateur ses enregistrements SRV de priorité 20 (EX_LPS_0300), ou écrivez ses serveurs dans "
    "hub.yaml (operators : imap, smtp), qui l'emportent. Un DNS qui ne répond pas : vérifiez le réseau, ou dns.servers."
)
DNS = {
    "dns-nxdomain": "ce nom n'existe pas",
    "dns-no-answer": "aucun enregistrement SRV",
    "dns-timeout": "pas de réponse du DNS dans le temps réglé (dns.answer_within)",
    "dns-failed": "le serveur DNS refuse de répondre ou échoue",
    "dns-no-server": "aucun serveur DNS n'est réglé sur cette machine",
    "dns-name": "le domaine de l'adresse ne peut pas être demandé au DNS",
    "dns-no-priority": "aucun enregistrement de la priorité réglée (srv_priority)",
    "dns-not-offered": "l'opérateur déclare que ce service n'est pas offert",
    "dns-target": "aucun hôte que srv_targets permet",
    "dns-garbage": "les enregistrements ne nomment aucun hôte valable",
}
REACHED = {
    Opening.CONNECTED: "Connexion TCP établie",
    Opening.OFFERED: "{protocol} : STARTTLS est offert",
    Opening.BELIEVED: "Le certificat du serveur est accepté (nom ou épingle, révocation selon les réglages)",
    Opening.OPEN: "{protocol} : identification acceptée",
}
STOPPED = {
    Opening.CONNECTED: "Pas de connexion TCP à {place}",
    Opening.OFFERED: "{protocol} : STARTTLS n'est pas offert à {place} : rien n'a été dit de plus",
    Opening.SECURED: "TLS : le serveur {place} est refusé, rien ne lui a été envoyé",
    Opening.BELIEVED: "Le certificat du serveur {place} n'est pas accepté, rien ne lui a été envoyé",
    Opening.OPEN: "{protocol} : le serveur {place} refuse l'identification",
}
REMEDIES = {
    Opening.CONNECTED: "Vérifiez le nom et le port, puis que le pare-feu laisse sortir vers eux (143 et 587), puis "
    "l'état du service chez l'opérateur.",
    Opening.OFFERED: "L'opérateur doit l'offrir (ECO.1.0.1, ECO.1.0.2). S'il dit qu'il l'offre, un équipement du "
    "réseau (pare-feu, antivirus) le retire : faites-le ôter de ce chemin.",
    Opening.SECURED: "Joignez l'opérateur : version ou suite TLS sans rien de commun, ou serveur qui n'est pas le "
    "sien.",
    Opening.BELIEVED: "N'acceptez rien d'autre avant d'avoir joint l'opérateur.",
    Opening.OPEN: "Vérifiez certificate, sasl, smtp_sasl, username et password_file, et que l'opérateur a enregistré "
    "votre certificat client (son nom complet : CN, OU, O) pour cette boîte.",
}
BROKEN_OFF = (
    "C'est le serveur qui a rompu : il refuse sans doute notre certificat client (inconnu de l'opérateur, expiré, "
    "d'une autre branche), ou n'a aucune version ou suite TLS en commun avec le hub. Donnez la ligne ci-dessus à "
    "l'opérateur."
)
NOTHING_SHOWN = "Aucun certificat n'a pu être vu"


def certificate(shown: ShownCertificate) -> tuple[str, ...]:
    """The certificate, a line each."""
    return (
        f"certificat du serveur : CN={shown.common_name or '-'}, OU={shown.unit or '-'}, O={shown.organisation or '-'}",
        f"noms (SAN) : {', '.join(shown.names) or 'aucun'}",
        f"émis par {shown.issuer}, valable du {shown.not_before:%d/%m/%Y} au {shown.not_after:%d/%m/%Y}",
        f"empreinte SHA-256 : {shown.fingerprint}",
    )


def why_refused(shown: ShownCertificate, host: str, at: datetime) -> tuple[str, str]:
    """(why the certificate seen cannot be accepted, what to do)."""
    if not shown.not_before <= at <= shown.not_after:
        return (
            "Ce certificat n'est pas valable à cette date.",
            "Vérifiez l'heure de cette machine, puis prévenez l'opérateur : c'est à lui de le renouveler.",
        )
    if not shown.names:
        return (
            f"Ce certificat ne nomme aucun hôte (pas de SAN) : rien n'y prouve qu'il est celui de {host}.",
            "Demandez à l'opérateur l'empreinte SHA-256 de son certificat par un autre moyen (téléphone). Si elle est "
            f"celle ci-dessus, écrivez dans hub.yaml, chez cet opérateur : pin: {shown.fingerprint}",
        )
    if not any(_fits(host, name) for name in shown.names):
        return (
            f"Ce certificat est d'un autre hôte que {host}.",
            "Vérifiez host, ou server_name, dans hub.yaml avec l'opérateur.",
        )
    return (
        f"L'autorité de ce certificat ({shown.issuer}) n'est pas de celles qui sont réglées, ou l'usage de sa clé ne "
        "convient pas.",
        "Vérifiez ca_file dans hub.yaml (IGC-Santé seulement), et n'acceptez rien d'autre avant d'avoir joint "
        "l'opérateur.",
    )


def _fits(host: str, name: str) -> bool:
    host, name = host.lower(), name.lower()
    return host == name or (name.startswith("*.") and fnmatchcase(host.partition(".")[2], name[2:]))


def size(count: int) -> str:
    """`20 Mo` (10^6 bytes), `512 o`."""
    return f"{count / 1_000_000:.1f} Mo".replace(".", ",").replace(",0", "") if count >= 100_000 else f"{count} o"


# What becomes of the mail of a trial, when it could not be taken away (`round_trip.Returned.left`).
LEFT = {
    "marked": "Le message d'essai reste dans la boîte, marqué comme supprimé (le serveur ne sait pas ôter un seul "
    "message).",
    "there": "Le message d'essai reste dans la boîte : vous pouvez le supprimer. Le hub le note et n'en fait rien.",
}
