"""The lines of a submission: what a client may say in MAIL and RCPT, and what it is answered.

Answers go through a mail program to the person who pressed "send": they say in plain French what happened and what to
do, in ASCII since that is all that SMTP takes (RFC 5321 §4.2). They quote nothing that the client said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from hub.errors import Permanent
from hub.smtp.answers import checked_address

# RFC 5321 §4.1.2, without source routes; a blank after the colon is what old Outlooks send.
_PATH = re.compile(r"(?P<verb>FROM|TO): ?<(?P<address>[^<>\x00-\x1f\x7f]*)>(?: (?P<parameters>.*))?", re.IGNORECASE)
_PARAMETER = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[!-<>-~]+))?")
_KNOWN = {"FROM": frozenset({"SIZE", "BODY", "AUTH"}), "TO": frozenset[str]()}  # RFC 1870, 6152, 4954 §5

SYNTAX = "501 5.5.4 Commande mal formee"
UNKNOWN = "502 5.5.1 Commande inconnue"
STRAY = "500 5.5.2 Ligne mal terminee (CR LF attendus), ou trop longue"
ORDER = "503 5.5.1 Commande hors de propos ici"
TLS_FIRST = "530 5.7.0 Connexion chiffree obligatoire : choisissez STARTTLS (ou SSL/TLS, port 465) dans votre logiciel"
TLS_BEFORE_LOGIN = "538 5.7.11 Pas de mot de passe sans connexion chiffree"
TLS_ALONE = "501 5.5.1 Rien ne doit suivre STARTTLS"
LOGIN_FIRST = "530 5.7.0 Identifiant et mot de passe obligatoires : activez l'authentification dans votre logiciel"
LOGIN_TWICE = "503 5.5.1 Deja identifie"
LOGIN_METHOD = "504 5.5.4 Methode inconnue : PLAIN ou LOGIN"
LOGIN_STOPPED = "501 5.7.0 Identification interrompue"
LOGIN_CODING = "501 5.5.2 Identification illisible"
LOGIN_DONE = "235 2.7.0 Bonjour"
# One answer for a wrong login, a wrong password, a closed user and one who must wait: it tells nothing to a guesser.
LOGIN_REFUSED = (
    "535 5.7.8 Identifiant ou mot de passe refuse. Apres plusieurs erreurs, attendez un quart d'heure, ou demandez un "
    "nouveau mot de passe a l'administrateur"
)
OK = "250 2.0.0 OK"
SENDER_OK = "250 2.1.0 OK"
RECIPIENT_OK = "250 2.1.5 OK"
GO_ON = "354 Envoyez le message, puis un point seul sur sa ligne"
BAD_ADDRESS = "553 5.1.3 Adresse impossible (faute de frappe, accent ou blanc ?) : corrigez-la"
BAD_PARAMETER = "555 5.5.4 Option inconnue"
NOT_YOURS = (
    "550 5.7.1 Vous n'avez pas le droit d'envoyer depuis cette adresse : choisissez une de vos boites comme "
    "expediteur, ou demandez ce droit a l'administrateur"
)
FROM_DIFFERS = (
    "550 5.7.1 L'expediteur ecrit dans le message (De) n'est pas celui de l'envoi : un seul expediteur, une de vos "
    "boites. Rien n'a ete envoye"
)
TOO_MANY_RECIPIENTS = "452 4.5.3 Trop de destinataires : envoyez en plusieurs fois"
TOO_LARGE = (
    "552 5.3.4 Message trop grand ({most} Mo au plus) : rien n'a ete envoye. Allegez ou partagez les pieces jointes"
)
SPOILED = "550 5.6.0 Message refuse : fins de ligne irregulieres (CR ou LF isole). Rien n'a ete envoye"
BUDGET = "450 4.7.1 Trop d'envois en peu de temps : reessayez plus tard, ou parlez-en a l'administrateur"
DISK_FULL = (
    "452 4.3.1 Plus de place sur le serveur : rien n'a ete envoye, reessayez plus tard et prevenez l'administrateur"
)
LATER = "451 4.3.0 Le hub ne peut rien accepter en ce moment : rien n'a ete envoye, reessayez dans quelques minutes"
ACCEPTED = "250 2.0.0 Message pris en charge ({id}) : vous serez averti de la suite"
BUSY = "421 4.3.2 Trop de connexions : reessayez dans une minute"
TOO_MANY_FAILURES = "421 4.7.0 Trop d'erreurs : connexion fermee"
TIMEOUT = "421 4.4.2 Trop long silence : connexion fermee"
STOPPING = "421 4.3.2 Le hub s'arrete : reessayez dans quelques minutes"
VERIFY = "252 2.5.0 Envoyez toujours : les destinataires sont verifies apres"
BYE = "221 2.0.0 Au revoir"


class Refused(Exception):
    """A command that is answered with this line; nothing was done."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer[:3])
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Path:
    """The address of a MAIL or RCPT ("" for `<>`), and its parameters by upper-case name."""

    address: str
    parameters: Mapping[str, str]


def read_path(verb: str, argument: str) -> Path:
    """`argument` is what follows MAIL or RCPT; `verb` is FROM or TO. Raises Refused."""
    found = _PATH.fullmatch(argument)
    if found is None or found["verb"].upper() != verb:
        raise Refused(SYNTAX)
    parameters: dict[str, str] = {}
    for word in (found["parameters"] or "").split():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None:
            raise Refused(SYNTAX)
        parameters[parameter["name"].upper()] = parameter["value"] or ""
    if parameters.keys() - _KNOWN[verb]:
        raise Refused(BAD_PARAMETER)
    address = found["address"]
    if address and not (is_address(address) or (verb == "TO" and _stands_for_a_role(address))):
        raise Refused(BAD_ADDRESS)
    return Path(address, parameters)


def declared_size(path: Path) -> int:
    """Of MAIL's SIZE (RFC 1870), 0 without. Raises Refused; also for a BODY that is none."""
    if path.parameters.get("BODY", "7BIT").upper() not in ("7BIT", "8BITMIME"):
        raise Refused(BAD_PARAMETER)
    size = path.parameters.get("SIZE", "0")
    if not (size.isascii() and size.isdigit() and len(size) <= 20):
        raise Refused(SYNTAX)
    return int(size)


@lru_cache(4_096)
def is_address(address: str) -> bool:
    """Whether it can be an address of the trust space: plain ASCII, as the door out will take it."""
    try:
        checked_address(address)
    except Permanent:
        return False
    return True


def _stands_for_a_role(address: str) -> bool:
    """Whether it may: an address under .invalid, which is nobody's (RFC 2606), but for that well written. The door out
    takes none."""
    return address.lower().endswith(".invalid") and is_address(address[: -len("invalid")] + "test")
