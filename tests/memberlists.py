"""Lists of member domains (liste blanche) in the form of the real one, made up: fictional names, signed at will."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from tests.signers import Holder

GENERATED_AT = datetime(2026, 6, 14, 14, 54, 10, tzinfo=UTC)
OPERATOR = "CN=mss.operateur-exemple.fr,OU=318751275100020,O=OPÉRATEUR EXEMPLE,ST=Rhône (69),C=FR"
OTHER = "CN=relais.autre-exemple.fr,OU=312345678900011,O=AUTRE EXEMPLE,ST=Paris (75),C=FR"
Entry = str | tuple[str, str] | tuple[str, str, str]  # name, operator, description


def a_list(
    *entries: Entry, generated_at: datetime = GENERATED_AT, cut: bool = False, more: str = "", before: str = ""
) -> bytes:
    """`more` stands after the list, `before` before the root; `cut`: without the end of the root, as some are."""
    told = "".join(map(_entry, entries))
    date = generated_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{before}'
        '<ListeBlancheMSSante xmlns="https://listeblanche.mssante.fr/schema">\n'
        f"    <DateDeGeneration>{date}</DateDeGeneration>\n    <ListeDomaines>\n{told}    </ListeDomaines>\n"
    )
    return (text if cut else f"{text}{more}</ListeBlancheMSSante>\n").encode()


def _entry(entry: Entry) -> str:
    name, operator, description = (*((entry,) if isinstance(entry, str) else entry), OPERATOR, "")[:3]
    if isinstance(entry, tuple) and len(entry) == 2:
        name, operator, description = entry[0], entry[1], ""
    return (
        f"        <Domaine>\n            <Nom>{escape(name)}</Nom>\n"
        f"            <Description>{escape(description or f'Domaine MSSanté de {name}')}</Description>\n"
        f"            <DNCertificatOperateur>{escape(operator)}</DNCertificatOperateur>\n"
        "            <ResponsableContact>00\u00a000\u00a000 00 00, contact@operateur.invalid</ResponsableContact>\n"
        "            <SupportContact>00 00\u00a000 00 00, contact@operateur.invalid</SupportContact>\n"
        "            <DateMAJ>2026-06-13T14:54:10Z</DateMAJ>\n        </Domaine>\n"
    )


def many(count: int) -> Iterable[Entry]:
    """Names of all lengths, some with a label more; a third stands twice, with two operators."""
    words = ("hopital", "clinique", "ehpad", "labo", "mecs", "centre", "residence", "saint-paul", "les-tilleuls", "ch")
    made = 0
    while made < count:
        number = made
        word = f"{words[number % 10]}-{words[number // 10 % 10]}.{words[number // 100 % 10]}-{number}"
        name = f"{word if number % 4 else word.replace('.', '-')}.mssante.fr"
        yield (name, OPERATOR)
        made += 1
        if number % 3 == 0 and made < count:
            yield (name, OTHER)
            made += 1


def signed(raw: bytes, holder: Holder, *, digest: str = "SHA256", method: str = "", **signing: Any) -> bytes:
    """Enveloped, after the list, with the certificate of `holder` and those above it."""
    chosen = method or ("RSA_SHA256" if holder.kind == "rsa" else "ECDSA_SHA256")
    signer = XMLSigner(signature_algorithm=SignatureMethod[chosen], digest_algorithm=DigestAlgorithm[digest])
    root = signer.sign(
        etree.fromstring(raw), key=holder.key_pem, cert=(holder.certificate_pem + holder.above_pem).decode(), **signing
    )
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
