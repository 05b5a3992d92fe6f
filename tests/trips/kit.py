"""The official archives as mails, and what must become of each, worked out from the kit's own `expected.json`.

Shares no code with the reader: what is expected comes from the kit's independent answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from tests.trips.house import HOME, SENDER

USAGERS_HEADER = (
    "numero_dossier;ins;oid;statut_ins;nom_naissance;prenom_naissance;prenoms;date_naissance;sexe;lieu_naissance\n"
)


@dataclass(frozen=True)
class Sent:
    """One archive of the kit as a mail, with the kit's answers on it."""

    name: str
    message_id: str
    raw: bytes
    documents: tuple[dict[str, Any], ...]


def sent_archives(kit: Path) -> list[Sent]:
    expected = json.loads((kit / "xdm/expected.json").read_text("utf-8"))
    return [
        _sent(number, name, (kit / "xdm" / name).read_bytes(), tuple(expected[name]["documents"]))
        for number, name in enumerate(sorted(expected))
    ]


def _sent(number: int, name: str, archive: bytes, documents: tuple[dict[str, Any], ...]) -> Sent:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = f"Hôpital d'essai <{SENDER}>"
    mail["To"] = HOME
    mail["Subject"] = "XDM/1.0/DDM+Document d'essai"
    mail["Message-ID"] = f"<kit-{number}@hopital.mssante.example>"
    mail["Disposition-Notification-To"] = SENDER
    mail["X-MSS-NIL"] = "ESSAI2"
    mail.set_content("Bonjour,\n\nVeuillez trouver ci-joint un document d'essai.\n")
    mail.add_attachment(archive, maintype="application", subtype="zip", filename="IHE_XDM.ZIP")
    return Sent(name, str(mail["Message-ID"]), mail.as_bytes(), documents)


def usagers_of(archives: list[Sent]) -> bytes:
    """Everybody with an INS in the kit, as qualified usagers (production numbers included: a test mailbox must refuse
    them all the same; those whose key is wrong cannot be imported and stay unknown)."""
    lines: dict[str, str] = {}
    for document in (document for archive in archives for document in archive.documents):
        ins, oid = ins_of(document)
        if ins is None or not key_is_right(ins):
            continue
        names = {(n["part"], n["qualifier"]): n["text"] for n in document["cda"]["patientNames"]}
        born = document["cda"]["birthTime"]
        lines[ins] = ";".join(
            [
                f"D{len(lines) + 1}",
                ins,
                oid or "",
                "qualifiee",
                names["family", "BR"],
                names["given", "BR"],
                names["given", None],
                f"{born[6:8]}/{born[4:6]}/{born[:4]}",
                document["cda"]["gender"],
                "",
            ]
        )
    return (USAGERS_HEADER + "".join(f"{line}\n" for line in lines.values())).encode()


def ins_of(document: dict[str, Any]) -> tuple[str | None, str | None]:
    """(INS, OID) of METADATA's patientId, None for an identifier that is no INS."""
    value, _, rest = document["patientId"].partition("^^^&")
    oid = rest.partition("&")[0]
    return (value, oid) if oid.startswith("1.2.250.1.213.1.4.") else (None, None)


def key_is_right(ins: str) -> bool:
    return ins.isdigit() and 97 - int(ins[:13]) % 97 == int(ins[13:])
