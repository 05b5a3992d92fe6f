"""The site of the fictional MECS: settings that point to a running fake operator, its usagers, a secretary's password.

A folder and an operator in, three files out: `hub.yaml`, `usagers.csv` and `secretariat.motdepasse`. `hub init` adds
what is missing (rules, keys, database), `hub users add` the secretary.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from hub.sandbox.operator import FakeOperator
from hub.sandbox.people import SECRETARY_LOGIN, TILLEULS, usagers_csv

MAILBOX = "dossiers"
PASSWORD_FILE = f"{SECRETARY_LOGIN}.motdepasse"

_SETTINGS = """\
# Site de démonstration : établissement, personnes et opérateur fictifs. Ne jamais y mettre de vraies données.
site:
  name: {name}
  finess: "{finess}"
  product_reference: BACASABLE1
operators:
  - name: bac-a-sable
    imap: {{host: localhost, port: {imap_port}, tls: implicit}}
    smtp: {{host: localhost, port: {smtp_port}, tls: implicit}}
    ca_file: {ca_file}
    certificate: {{file: {certificate}, key_file: {key}}}
    sasl: external
mailboxes:
  - name: {mailbox}
    address: {address}
    operator: bac-a-sable
    display_name: {name}
    test: true          # seuls des INS de test peuvent y être rapprochés (RH-42)
    signing:            # ce qui part de cette boîte est signé
      certificate: {{file: {signing}, key_file: {signing_key}}}
      chain_file: {ca_file}
signatures: {{anchors: {ca_file}}}
submission:             # la porte par laquelle le secrétariat envoie, depuis son logiciel de messagerie
  certificate: {{file: {door}, key_file: {door_key}}}
  port: {door_port}
  implicit_port: null
  name: localhost
watching: {{poll: 20s}}
spooling: {{sweep_every: 2s, retry_first: 2s}}
"""


def write_site(folder: Path, operator: FakeOperator, door_port: int) -> None:
    """Write the files of the site; what stands under these names is replaced, but for the password."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, structure = operator.authority, TILLEULS.national_id
    leaf, door = operator.client(TILLEULS), authority.door(TILLEULS.name, structure)
    signing = authority.signing(TILLEULS.address, TILLEULS.name, structure)
    text = _SETTINGS.format(
        name=_quoted(TILLEULS.name),
        finess=TILLEULS.national_id[1:],
        imap_port=operator.imap_port,
        smtp_port=operator.smtp_port,
        ca_file=_quoted(operator.authority.ca_file.resolve()),
        certificate=_quoted(leaf.certificate.resolve()),
        key=_quoted(leaf.key.resolve()),
        mailbox=MAILBOX,
        address=TILLEULS.address,
        signing=_quoted(signing.certificate.resolve()),
        signing_key=_quoted(signing.key.resolve()),
        door=_quoted(door.certificate.resolve()),
        door_key=_quoted(door.key.resolve()),
        door_port=door_port,
    )
    (folder / "hub.yaml").write_text(text, encoding="utf-8")
    password_file = folder / PASSWORD_FILE
    if not password_file.exists():
        password_file.touch(mode=0o600)
        password_file.write_text(f"{secrets.token_urlsafe(12)}\n", encoding="utf-8")
    (folder / "usagers.csv").write_bytes(usagers_csv())


def _quoted(value: object) -> str:
    """A YAML string, whatever stands in it (a JSON string is one)."""
    return json.dumps(str(value), ensure_ascii=False)
