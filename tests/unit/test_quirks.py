"""What is known of single operators: the shipped table, and how the settings of a site take it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.errors import Misconfigured
from hub.ports import SentFolder
from hub.quirks import load_known
from hub.settings import Operator, Settings, load_settings
from hub.wiring import letterheads
from hub.wiring.rulebook import sent_folders
from hub.wiring.writing import writing_of
from tests.unit.routing_samples import CONFIG

TABLE = """\
version: 2026-01-01
operators:
  singulier:
    title: "Opérateur singulier"
    imap_host: {value: imap.singulier.example, confidence: B, source: essai}
    smtp_host: {value: smtp.singulier.example, confidence: B, source: essai}
    sasl: {value: plain, confidence: A, source: essai}
    smtp_sasl: {value: login, confidence: A, source: essai}
    dsn: {value: false, confidence: A, source: essai}
    sent_copies: {value: true, confidence: A, source: essai}
    sent_folder: {value: SENT, confidence: A, source: essai}
    excluded_folders: {value: [Tous], confidence: A, source: essai}
    message_most: {value: 10485760, confidence: B, source: essai}
"""
SITE = """\
site: {product_reference: A1}
operators_file: operateurs.yaml
operators:
  - name: op
    known_as: singulier
    ca_file: ca.pem
mailboxes:
  - {name: un, address: a@b.example, operator: op, password_file: mot}
"""


def loaded(folder: Path, site: str = SITE, table: str = TABLE) -> Settings:
    (folder / "operateurs.yaml").write_text(table, encoding="utf-8")
    (folder / "hub.yaml").write_text(site, encoding="utf-8")
    return load_settings(folder / "hub.yaml")


def refused(folder: Path, site: str = SITE, table: str = TABLE) -> str:
    with pytest.raises(Misconfigured) as caught:
        loaded(folder, site, table)
    return caught.value.private


def test_every_fact_of_the_shipped_table_has_its_source_and_what_is_unsure_is_none() -> None:
    known = load_known(CONFIG / "operators.yaml").operators
    assert known["mailiz"].dsn is not None
    assert known["mailiz"].dsn.value is False
    assert "MSS-95" in known["mailiz"].dsn.source
    for operator in known.values():
        taken = dict(operator.facts()).keys()
        assert not taken & {"sasl", "smtp_sasl", "message_most"}  # in no text that could be read
        assert all(Operator(name="un", ca_file=Path("ca.pem")).lacks(name) for name in taken)


def test_what_is_known_fills_what_the_site_leaves_open(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    operator = settings.operators[0]
    assert (operator.opens_by, operator.sends_by) == ("plain", "login")
    assert (operator.asks_dsn, operator.keeps_sent_copies) == (False, True)
    assert operator.imap is not None
    assert operator.smtp is not None
    assert (operator.imap.host, operator.imap.port, operator.imap.tls) == ("imap.singulier.example", 143, "starttls")
    assert (operator.smtp.host, operator.smtp.port, operator.smtp.tls) == ("smtp.singulier.example", 587, "starttls")
    assert sent_folders(settings) == {"un": SentFolder("SENT", is_kept_by_operator=True)}
    assert settings.message_most(settings.mailboxes[0]) == 10 * 1024**2


def test_what_the_site_writes_wins(tmp_path: Path) -> None:
    more = (
        "imap: {host: h.example, port: 993, tls: implicit}\n    dsn: true\n    sent_copies: false\n    sasl: login\n"
        "    message_most: 15MB\n    excluded_folders: []\n    sent_folder: Envois\n    ca_file: ca.pem"
    )
    settings = loaded(tmp_path, SITE.replace("ca_file: ca.pem", more).replace("mot}", "mot, sent_folder: auto}"))
    operator = settings.operators[0]
    assert operator.imap is not None
    assert (operator.imap.host, operator.opens_by, operator.asks_dsn) == ("h.example", "login", True)
    assert (operator.keeps_sent_copies, operator.excluded_folders) == (False, ())
    assert sent_folders(settings) == {"un": SentFolder("Envois")}
    assert settings.message_most(settings.mailboxes[0]) == 15 * 1024**2


def test_the_smaller_limit_is_used_when_a_mail_is_composed(tmp_path: Path) -> None:
    for general, most in (("8MB", 8), ("20MB", 10)):
        settings = loaded(tmp_path, f"{SITE}sending: {{message_most: {general}}}\n")
        assert settings.message_most(settings.mailboxes[0]) == most * 1024**2
        writing = writing_of(settings, letterheads(settings))("un")
        assert writing is not None
        assert writing.size_most == most * 1024**2


def test_without_known_as_the_general_rules_hold(tmp_path: Path) -> None:
    plain = SITE.replace("    known_as: singulier\n", "    certificate: {file: c.pem}\n")
    settings = loaded(tmp_path, plain, table="wrong: [")  # never read then
    operator = settings.operators[0]
    assert (operator.opens_by, operator.sends_by, operator.asks_dsn) == ("external", "none", True)
    assert (operator.keeps_sent_copies, operator.imap, operator.smtp) == (False, None, None)
    assert settings.message_most(settings.mailboxes[0]) == settings.sending.message_most


@pytest.mark.parametrize(
    ("site", "table", "message"),
    [
        (SITE.replace("singulier", "autre"), TABLE, "hub.yaml:5 operators.0.known_as nothing is known of autre"),
        (SITE.replace(", password_file: mot", ""), TABLE, "hub.yaml:8 mailboxes.0 sasl plain needs password_file"),
        (
            SITE.replace("known_as", "smtp_sasl: external\n    known_as"),
            TABLE,
            "hub.yaml:9 mailboxes.0 smtp_sasl external needs a certificate",
        ),
        (SITE.replace("mot}", "mot, folder: tous}"), TABLE, "hub.yaml:8 mailboxes.0.folder this folder is one of"),
        (SITE, TABLE.replace("value: login", "value: kerberos"), "operateurs.yaml:8 operators.singulier.smtp_sasl"),
        (SITE, TABLE.replace("confidence: B, source: essai}\n    smtp_h", "confidence: C, source: essai}\n    smtp_h"),
         "operateurs.yaml:5 operators.singulier.imap_host.confidence"),
        (SITE, TABLE.replace("    dsn:", "    esmtp:"), "operateurs.yaml:9 operators.singulier.esmtp Extra inputs"),
        (SITE, TABLE.replace(", source: essai}\n    sent_copies", "}\n    sent_copies"),
         "operateurs.yaml:9 operators.singulier.dsn.source Field required"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, site: str, table: str, message: str) -> None:
    assert message in refused(tmp_path, site, table)
