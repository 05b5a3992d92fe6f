"""Why a mailbox cannot be read, in plain French, from the code of the last failure (`hub.imap.failures`)."""

from __future__ import annotations

# The first beginning that fits. (beginnings of codes, cause, what to do)
_CAUSES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("peer-revoked",),
        "le certificat de l'opérateur a été révoqué par son autorité",
        "joignez l'opérateur par un autre moyen : il doit le remplacer",
    ),
    (
        ("peer-revocation-unknown",),
        "rien ne prouve que le certificat de l'opérateur n'est pas révoqué (listes et OCSP inaccessibles)",
        "vérifiez que cette machine atteint les sites de l'autorité (pare-feu, fetching.proxy)",
    ),
    (
        ("peer-no-name", "peer-other-name", "peer-other-pin"),
        "le certificat de l'opérateur ne porte pas le nom du serveur, ou n'est pas celui de pin",
        "lisez l'alerte peer-refused (hub status) : elle dit les noms qu'il porte, son empreinte et que faire",
    ),
    (
        ("certificate-expired", "certificate-not-yet", "peer-expired", "peer-not-yet"),
        "le certificat présenté par l'opérateur n'est pas valable à cette date",
        "vérifiez l'heure de cette machine, puis prévenez l'opérateur",
    ),
    (
        ("certificate-", "peer-"),
        "le certificat présenté par l'opérateur n'est pas reconnu",
        "vérifiez ca_file et server_name dans hub.yaml, et n'acceptez rien d'autre avant d'avoir joint l'opérateur",
    ),
    (
        ("login-no", "authenticate-no", "login-bad", "authenticate-bad"),
        "l'opérateur refuse l'identification (mot de passe, certificat client ou compte fermé)",
        "vérifiez password_file ou certificate dans hub.yaml avec l'opérateur",
    ),
    (
        ("login-disabled", "authentication-wanted", "starttls-"),
        "l'opérateur n'offre pas la connexion réglée",
        "vérifiez tls, port et sasl dans hub.yaml avec l'opérateur",
    ),
    (
        ("tls-",),
        "la connexion chiffrée n'aboutit pas (souvent : notre certificat est refusé ou a expiré)",
        "lancez hub check, puis vérifiez le certificat avec l'opérateur",
    ),
    (
        ("select-no", "examine-no"),
        "le dossier à relever ne peut pas être ouvert",
        "vérifiez folder dans hub.yaml, et que la boîte existe encore chez l'opérateur",
    ),
    (
        ("dns-no-priority", "dns-not-offered", "dns-target", "dns-garbage"),
        "le DNS ne nomme aucun serveur de l'opérateur que le hub puisse employer",
        "lancez hub operator test sur cette boîte : il montre ce que dit le DNS ; sinon écrivez les serveurs dans "
        "hub.yaml",
    ),
    (
        ("dns-",),
        "le DNS ne dit pas où est le serveur de l'opérateur",
        "vérifiez le réseau et dns.servers ; sinon écrivez les serveurs de l'opérateur dans hub.yaml (imap, smtp)",
    ),
    (
        ("connect-", "timeout", "reset", "closed", "bye", "greeting-", "timeouterror"),
        "l'opérateur est injoignable ou coupe la connexion",
        "vérifiez le réseau de cette machine, puis l'état du service chez l'opérateur ; le hub réessaie de lui-même",
    ),
    (
        ("misconfigured",),
        "un réglage ou un fichier (certificat, mot de passe) ne peut pas être utilisé",
        "lancez hub check : il nomme le fichier et la ligne",
    ),
    (
        ("disk-", "temporary", "oserror", "enospc"),
        "le hub ne peut pas enregistrer ce qu'il reçoit (disque plein ou base de données indisponible)",
        "vérifiez la place sur le disque et la base de données ; rien n'est marqué tant que rien n'est enregistré",
    ),
)


def cause_of(code: str) -> tuple[str, str]:
    """(cause, what to do) of a failure; an unknown one is quoted by its code."""
    for beginnings, cause, remedy in _CAUSES:
        if code.startswith(beginnings):
            return f"{cause} ({code})", remedy
    return f"code {code}", "lisez le journal de « hub serve »"
