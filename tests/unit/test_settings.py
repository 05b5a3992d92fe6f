"""Every setting is explained, every explanation is a setting; and what the settings refuse."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from hub import configuration
from hub.domains import NO_MEMBERS
from hub.errors import Misconfigured
from hub.message import Limits
from hub.ports import SentFolder
from hub.settings import Endpoint, Operator, Point, Settings, Web, load_settings
from hub.wiring.rulebook import policy_of, sent_folders
from tests.unit.routing_samples import CONFIG

TEXT = (CONFIG / "hub.yaml").read_text(encoding="utf-8")
EXAMPLE = "#: "


def with_examples() -> str:
    """The file with its examples of lists taken into use, instead of the empty lists."""
    lines = [line for line in TEXT.splitlines() if line not in ("operators: []", "mailboxes: []")]
    return "\n".join(line.removeprefix(EXAMPLE) for line in lines) + "\n"


# Certificates shown as null: the same section as that of an operator, which is shown whole.
NOTHING_SET = {
    "operators.next_certificate",
    "mailboxes.certificate",
    "mailboxes.next_certificate",
    "mailboxes.signing.next",
    "submission.certificate",
}


def names(model: type[BaseModel], before: str = "") -> set[str]:
    """Every setting, by its full name; those of a section in a list under the name of the list."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        found |= names(inner, f"{before}{name}.") if inner else {before + name}
    return found


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((section for one in get_args(annotation) if (section := _section(one))), None)


def written(tree: Any, before: str = "") -> set[str]:
    """Every value of a file, by its full name."""
    if isinstance(tree, dict):
        return set().union(*(written(value, f"{before}.{key}".lstrip(".")) for key, value in tree.items()))
    if isinstance(tree, list) and tree and isinstance(tree[0], dict):
        return set().union(*(written(item, before) for item in tree))
    return {before}


def explained(text: str) -> set[str]:
    """The names of the keys (last part) that have a comment on the line before."""
    found, comment = set(), False
    for line in text.splitlines():
        bare = line.strip().removeprefix("- ").strip()
        if bare.startswith("#"):
            comment = True
        elif bare:
            if comment:
                found.add(bare.partition(":")[0])
            comment = False
    return found


def test_every_setting_is_in_the_file() -> None:
    tree = configuration.plain(configuration.parse_yaml(with_examples(), "hub.yaml"))
    inside = tuple(f"{name}." for name in NOTHING_SET)
    missing = {name for name in names(Settings) - written(tree) if not name.startswith(inside)}
    assert missing == set()


def test_every_line_of_the_file_is_a_setting() -> None:
    tree = configuration.parse_yaml(with_examples(), "hub.yaml")
    settings = configuration.validate(
        Settings, configuration.parse_yaml(with_examples().replace('product_reference: ""', 'product_reference: "A1"'),
                                           "hub.yaml"), "hub.yaml")  # fmt: skip
    assert settings.mailboxes[0].operator == settings.operators[0].name
    unknown = written(configuration.plain(tree)) - names(Settings) - NOTHING_SET
    assert unknown == set()


def test_every_setting_has_its_why() -> None:
    keys = {name.rpartition(".")[2] for name in names(Settings)}
    assert keys - explained(with_examples()) == set()


def test_the_file_shows_every_default() -> None:
    assert configuration.validate(Settings, configuration.parse_yaml(TEXT, "hub.yaml"), "hub.yaml") == Settings()


def test_the_examples_show_every_default_of_their_sections() -> None:
    text = with_examples().replace('product_reference: ""', 'product_reference: "A1"')
    settings = configuration.validate(Settings, configuration.parse_yaml(text, "hub.yaml"), "hub.yaml")
    signing = settings.mailboxes[0].signing
    assert signing is not None
    for shown in (settings.operators[0], settings.mailboxes[0], signing):
        for name, field in type(shown).model_fields.items():
            if not field.is_required() and name not in ("certificate", "signing", "imap", "smtp"):
                assert getattr(shown, name) == field.default, name


def test_the_limits_of_the_reader_are_those_of_the_settings() -> None:
    reading, limits = Settings().reading, Limits()
    for name in Limits.__dataclass_fields__:
        assert getattr(reading, name) == getattr(limits, name), name


# --- what is refused ----------------------------------------------------------------------------------------------


def loaded(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "hub.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        loaded(tmp_path, text)
    return caught.value.private.replace(str(tmp_path) + "/", "")


OPERATOR = """
operators:
  - name: op
    imap: {host: i, port: 143, tls: starttls}
    smtp: {host: s, port: 587, tls: starttls}
    ca_file: ca.pem
    certificate: {file: un.p12}
"""
MAILBOX = "mailboxes:\n  - {name: un, address: a@b.fr, operator: op}\n"
SITE = "site: {product_reference: A1}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("watching:\n  pol: 5m\n", "hub.yaml:2 watching.pol Extra inputs are not permitted"),
        ("watching:\n  poll: 5 minutes\n", "hub.yaml:2 watching.poll Value error, a duration is expected"),
        ("watching:\n  idle_renewal: 11m\n", "IDLE is renewed within 10 minutes"),
        ("watching:\n  piece: 1 mega\n", "hub.yaml:2 watching.piece Value error, a size is expected"),
        ("site:\n  product_reference: 'A 1'\n", "X-MSS-NIL takes letters and digits only"),
        (SITE + MAILBOX, "hub.yaml:3 mailboxes.0.operator no operator is called op"),
        (OPERATOR + MAILBOX, "site.product_reference (X-MSS-NIL, ECO.2.4.3) is needed"),
        (
            SITE + OPERATOR + MAILBOX + MAILBOX.partition("\n")[2],
            "hub.yaml:11 mailboxes.1.name two mailboxes have the same name",
        ),
        (
            SITE + OPERATOR + MAILBOX + MAILBOX.partition("\n")[2].replace("un", "deux"),
            "hub.yaml:11 mailboxes.1 another mailbox reads the same folder of the same address",
        ),
        (
            SITE + OPERATOR + MAILBOX.replace("op}", "op, sasl: plain}"),
            "hub.yaml:10 mailboxes.0 sasl plain needs password_file",
        ),
        (
            SITE + OPERATOR.replace("certificate: {file: un.p12}", "smtp_sasl: login") + MAILBOX,
            "hub.yaml:10 mailboxes.0 sasl external needs a certificate",
        ),
        (
            SITE + OPERATOR.replace("certificate: {file: un.p12}", "smtp_sasl: login") + MAILBOX,
            "hub.yaml:10 mailboxes.0 smtp_sasl login needs password_file",
        ),
        (SITE + OPERATOR + MAILBOX.replace("a@b.fr", "a b.fr"), "hub.yaml:10 mailboxes.0.address"),
        ("site:\n  timezone: Mars/Phobos\n", "hub.yaml:2 site.timezone Value error, no such time zone"),
        ("watching:\n  poll: 0s\n", "hub.yaml:2 watching.poll Value error, a duration over 0 is expected"),
        ("spooling:\n  lease: 0\n", "hub.yaml:2 spooling.lease"),
        ("spooling:\n  sweep_every: 0s\n", "hub.yaml:2 spooling.sweep_every"),
        ("watching:\n  piece: 0\n", "hub.yaml:2 watching.piece"),
        ("deciding:\n  order_grace: -1\n", "hub.yaml:2 deciding.order_grace"),
        (SITE + OPERATOR + MAILBOX.replace("un", "Un Deux"), "mailboxes.0.name"),
        ("deciding:\n  kind_confidence: 2\n", "deciding.kind_confidence"),
        ("directory:\n  every: 23h\n", "hub.yaml:2 directory.every the directory is asked for at most daily"),
        ("directory:\n  extraction_url: ftp://x/\n", "hub.yaml:2 directory.extraction_url"),
        (
            "directory:\n  extraction_url: https://x/\n  extraction_file: y.zip\n",
            "hub.yaml:3 directory.extraction_file extraction_url and extraction_file: one of the two",
        ),
        ("directory:\n  api_url: https://x/\n", "hub.yaml:2 directory.api_url api_url needs api_key_file"),
        (
            "alerting:\n  certificate_notice: 30d\n",
            "2 alerting.certificate_notice it is certificate_notices now",
        ),
        ("alerting:\n  certificate_notices: []\n", "hub.yaml:2 alerting.certificate_notices"),
        ("alerting:\n  certificate_notices: [7d, 30d]\n", "each notice is shorter than the one before it"),
        ("alerting:\n  mail_to: [a@b.fr]\n", "hub.yaml:2 alerting.mail_to mail_from is needed"),
        ("alerting:\n  mail_to: [Monsieur]\n  mail_from: un\n", "hub.yaml:2 alerting.mail_to.0"),
        ("alerting:\n  mail_from: un\n", "hub.yaml:2 alerting.mail_from no mailbox is called un"),
        (
            SITE + OPERATOR + MAILBOX + "alerting: {mail_to: [a@b.fr, c@ailleurs.fr], mail_from: un}\n"
            "deciding: {member_domains: [d.fr]}\n",
            "alerting.mail_to.1 this address is not of the trust space",
        ),
        ("site:\n  siret: '123'\n", "hub.yaml:2 site.siret"),
        (OPERATOR + "    structure: '2123456789'\n", "operators.0.structure"),
        (
            SITE + OPERATOR + MAILBOX.replace("op}", "op, next_certificate: {file: deux.p12}}"),
            "mailboxes.0.next_certificate next_certificate follows a certificate that stands here too",
        ),
        (OPERATOR + "    next_from: 2026-09-01\n", "operators.0.next_from next_from is the day of a next_certificate"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


def test_a_site_writes_only_its_differences(tmp_path: Path) -> None:
    settings = loaded(tmp_path, SITE + OPERATOR + MAILBOX + "watching: {poll: 90s, piece: 64KB}\n")
    assert (settings.watching.poll, settings.watching.piece) == (timedelta(seconds=90), 65536)
    assert settings.watching.connect_timeout == Settings().watching.connect_timeout


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    settings = loaded(tmp_path, OPERATOR)
    assert settings.operators[0].ca_file == tmp_path / "ca.pem"
    assert settings.database_url == f"sqlite:///{tmp_path}/hub.db"
    assert settings.document_types_file == CONFIG / "document_types.yaml"


def test_settings_never_change_once_made() -> None:
    with pytest.raises(ValidationError):
        Settings().__setattr__("log_level", "debug")


@pytest.mark.parametrize(
    "mark", ["\\\\Seen", "\\\\deleted", "\\\\Answered", "\\\\Draft", "Vu par le hub", "Accepté", "a(b", "", "a]b"]
)
def test_a_mark_that_is_no_keyword_is_refused(tmp_path: Path, mark: str) -> None:
    text = SITE + OPERATOR + MAILBOX.replace("operator: op", f'operator: op, mark: "{mark}"')
    assert "mailboxes.0.mark" in refused(tmp_path, text)


@pytest.mark.parametrize("mark", ["$HubAccepted", "Traite", "\\\\Flagged"])
def test_a_keyword_is_a_mark(tmp_path: Path, mark: str) -> None:
    text = SITE + OPERATOR + MAILBOX.replace("operator: op", f'operator: op, mark: "{mark}"')
    assert loaded(tmp_path, text).mailboxes[0].mark == mark.replace("\\\\", "\\")


@pytest.mark.parametrize(
    "url",
    ["hub.exemple.fr", "ftp://hub.exemple.fr", "https://", "https://u:p@hub.exemple.fr", "https://hub.exemple.fr/?a=1"],
)
def test_the_address_of_the_pages_is_one_of_the_web_without_secrets(url: str) -> None:
    with pytest.raises(ValidationError):
        Web(public_url=url)
    assert Web(public_url="https://hub.exemple.fr/pages/").public_url == "https://hub.exemple.fr/pages"
    assert Web().public_url == ""


# --- the folder of sent mails


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("sent_folder: inbox", "hub.yaml:10 mailboxes.0.sent_folder sent_folder holds what is sent"),
        ("folder: Courrier, sent_folder: COURRIER", "mailboxes.0.sent_folder sent_folder holds what is sent"),
        ("after: move, move_to: Sent, sent_folder: Sent", "mailboxes.0.sent_folder sent_folder holds what is sent"),
        ("sent_folder: ''", "mailboxes.0.sent_folder"),
        ('sent_folder: "a\\r\\nb"', "a folder name holds no control character"),
    ],
)
def test_a_folder_where_mail_comes_in_holds_no_sent_mail(tmp_path: Path, more: str, message: str) -> None:
    assert message in refused(tmp_path, SITE + OPERATOR + MAILBOX.replace("op}", f"op, {more}}}"))


def test_nor_does_one_that_another_mailbox_reads_at_the_same_address(tmp_path: Path) -> None:
    other = "  - {name: deux, address: A@b.fr, operator: op, folder: Envois}\n"
    text = SITE + OPERATOR + MAILBOX.replace("op}", "op, sent_folder: envois}") + other
    assert "hub.yaml:10 mailboxes.0.sent_folder" in refused(tmp_path, text)
    assert loaded(tmp_path, text.replace("A@b.fr", "c@b.fr")).mailboxes[0].sent_folder == "envois"


def test_what_is_filed_where_follows_the_settings(tmp_path: Path) -> None:
    text = SITE + OPERATOR + MAILBOX
    assert sent_folders(loaded(tmp_path, text)) == {}
    named = text.replace("op}", "op, sent_folder: Envois}")
    assert sent_folders(loaded(tmp_path, named)) == {"un": SentFolder("Envois")}
    assert policy_of(loaded(tmp_path, named), NO_MEMBERS).copied == {"un"}
    kept = text.replace("ca_file: ca.pem", "ca_file: ca.pem\n    sent_copies: true")
    assert sent_folders(loaded(tmp_path, kept)) == {"un": SentFolder("auto", is_kept_by_operator=True)}
    assert policy_of(loaded(tmp_path, kept), NO_MEMBERS).copied == frozenset()


@pytest.mark.parametrize("pin", ["AB:" * 31 + "ab", "ab" * 32])
def test_a_pin_is_a_fingerprint_in_either_writing(pin: str) -> None:
    endpoint = Endpoint(host="localhost", port=143, tls="starttls")
    written = {"name": "operateur", "imap": endpoint, "smtp": endpoint}
    assert Operator.model_validate({**written, "pin": pin}).pins == {"ab" * 32}
    assert Operator.model_validate({**written, "pin": [pin, "cd" * 32]}).pins == {"ab" * 32, "cd" * 32}
    assert Operator.model_validate(written).pins == frozenset()
    for wrong in (pin[1:], pin + "a", "", ["zz" * 32]):
        with pytest.raises(ValidationError, match="SHA-256 fingerprint"):
            Operator.model_validate({**written, "pin": wrong})


@pytest.mark.parametrize("url", ["https://a.example/a.crl", "ldap://a.example", "http://a b", "file:///etc/passwd"])
def test_a_point_is_asked_by_http(url: str) -> None:
    with pytest.raises(ValidationError):
        Point(authority="AC", crl=url)
