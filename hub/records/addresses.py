"""The addresses of the address book: their one form, and why one may not stand there.

An address as somebody typed it in, its form in small letters or a French sentence out. Touches nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from email_validator import EmailNotValidError, validate_email

IsMember = Callable[[str], bool]  # whether an address is of the trust space

USAGERS_DOMAIN = "patient.mssante.fr"  # such an address holds the INS of a person


def normal_form(address: str) -> str:
    return address.strip().casefold()


def fault_of(address: str, is_member: IsMember) -> str | None:
    """Why the address (in its normal form) may not stand in the book; None when it may."""
    try:
        if not address.isascii():
            return "une adresse MSSanté n'a ni accent ni caractère spécial : recopiez-la de l'annuaire"
        validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError:
        return "adresse attendue sous la forme nom@domaine.mssante.fr"
    if address.rpartition("@")[2] == USAGERS_DOMAIN:
        return "l'adresse d'un usager dans Mon espace santé contient son INS : elle n'a pas sa place dans le carnet"
    if not is_member(address):
        return (
            "cette adresse n'est pas dans l'espace de confiance MSSanté (liste des domaines membres) : le hub "
            "n'enverrait rien là. Demandez au correspondant son adresse MSSanté"
        )
    return None
