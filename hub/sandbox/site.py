"""The site of the fictional MECS: settings that point to a running fake operator, and its usagers.

A folder and an operator in, two files out: `hub.yaml` and `usagers.csv`. `hub init` adds what is missing: rules, keys,
database.
"""

from __future__ import annotations

import json
from pathlib import Path

from hub.sandbox.operator import FakeOperator
from hub.sandbox.people import TILLEULS, usagers_csv

MAILBOX = "dossiers"

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
watching: {{poll: 20s}}
spooling: {{sweep_every: 2s, retry_first: 2s}}
"""


def write_site(folder: Path, operator: FakeOperator) -> None:
    """Write the files of the site; what stands under these names is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    leaf = operator.client(TILLEULS)
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
    )
    (folder / "hub.yaml").write_text(text, encoding="utf-8")
    (folder / "usagers.csv").write_bytes(usagers_csv())


def _quoted(value: object) -> str:
    """A YAML string, whatever stands in it (a JSON string is one)."""
    return json.dumps(str(value), ensure_ascii=False)
