"""What goes out in a command, and what a server's reply means. No connection here.

Private texts keep the reply code and the server's words without addresses and long numbers (an INS may stand in an
address of a usager): they go to the journal (ECO.4.1.2) and the log.
"""

from __future__ import annotations

import re

from email_validator import EmailNotValidError, validate_email

from hub.errors import HubError, Permanent, Temporary

_WORDS_MOST = 160
_ADDRESS = re.compile(r"<?[^\s<>]*@[^\s<>]*>?")
_LONG_NUMBER = re.compile(r"[0-9][0-9AB]{8,}")
# The session was refused, not the message: wrong or missing credentials are repaired, then the message goes.
_CREDENTIALS = frozenset({530, 534, 535, 538})

UNREACHABLE = "L'opérateur de messagerie ne répond pas : le hub réessaiera de lui-même."
INSECURE = (
    "La connexion sécurisée avec l'opérateur de messagerie a échoué : rien n'a été envoyé, le hub réessaiera de "
    "lui-même. Si cela dure, l'administrateur doit vérifier les certificats."
)
REFUSED_NOW = "L'opérateur de messagerie demande d'attendre : le hub réessaiera de lui-même."
SESSION_REFUSED = (
    "L'opérateur de messagerie n'accepte pas la connexion du hub : rien n'a été envoyé, le hub réessaiera de lui-même. "
    "Si cela dure, l'administrateur doit vérifier le certificat et les identifiants."
)
REFUSED = (
    "L'opérateur de messagerie a refusé ce message : il n'a pas été envoyé. Vérifiez l'adresse du destinataire, puis "
    "recommencez ou interrogez l'opérateur."
)
TOO_LARGE = "Ce message est plus grand que ce que l'opérateur de messagerie accepte : il n'a pas été envoyé."
BAD_ADDRESS = "L'adresse du destinataire n'est pas une adresse MSSanté valide : rien n'a été envoyé. Corrigez-la."
UNSURE = (
    "La connexion a été coupée pendant la remise : le message est peut-être parti, peut-être pas. Le hub le "
    "représentera sous le même identifiant."
)


def checked_address(address: str) -> str:
    """The address, when it is a bare ASCII one that may stand in a command. Raises Permanent.

    The library's own address parser would take a mail to `e@v` from `"a\\r\\nRCPT TO:<e@v>@x.fr"` (libs.md §3): only
    what email-validator accepts, without quoted parts, comments or display name, comes this far.
    """
    try:
        if not address.isascii():
            raise EmailNotValidError("not ASCII")
        validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError:
        raise Permanent("recipient or sender is not a plain ASCII address", BAD_ADDRESS) from None
    return address


def words_of(code: int, message: str) -> str:
    """`550 5.1.1 User unknown`: one line, addresses and long numbers out, at most 160 characters."""
    line = " ".join("".join(c if " " <= c <= "~" else " " for c in message).split())
    return f"{code} {_LONG_NUMBER.sub('…', _ADDRESS.sub('<…>', line))}"[:_WORDS_MOST].strip()


def refusal(stage: str, code: int, message: str, *, session: bool = False) -> HubError:
    """The error of a reply that is no success (RH-56): 4xx Temporary, 5xx Permanent.

    `session`: the reply came before any message was spoken of (greeting, EHLO, STARTTLS, AUTH): it says nothing about
    the message, which stays due.
    """
    private = f"{stage} refused: {words_of(code, message)}"
    if session or code in _CREDENTIALS:
        return Temporary(private, SESSION_REFUSED)
    if 500 <= code <= 599:
        return Permanent(private, TOO_LARGE if code in {523, 552} else REFUSED)
    return Temporary(private, REFUSED_NOW)
