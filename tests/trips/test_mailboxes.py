"""Several mailboxes in one site, each with its own operator, certificate and credentials: three that work (one by
STARTTLS both ways with an old PKCS#12 file and `after: move`), the others down in every manner. None slows another.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.letters import letters
from hub.message import Receipt
from hub.sandbox.people import HOSPITAL, usagers_csv
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.postfix import Postfix, running_postfix
from tests.pki import Authority
from tests.quiet import password
from tests.trips.house import DOMAIN, Site, wait_for

WORKING = ("certificat", "ancien-p12", "motdepasse")
DOWN = ("inconnu", "faux-mot-de-passe", "eteint", "autre-autorite")
PASSWORD = password("motdepasse-fictif-p12")


def address(name: str) -> str:
    return f"{name}@mecs.{DOMAIN}"


@pytest.fixture(scope="module")
def dovecots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dovecot, Dovecot]]:
    """One that asks for certificates, one of another authority that asks for passwords."""
    folder = tmp_path_factory.mktemp("pki")
    with (
        running_dovecot(Authority(folder / "a")) as by_certificate,
        running_dovecot(Authority(folder / "b"), "password") as by_password,
    ):
        yield by_certificate, by_password


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, dovecots: tuple[Dovecot, Dovecot]) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("mailboxes")
    known = ("", "mecs.", "ch-trois-rivieres.")
    with running_postfix(
        dovecots[0].authority,
        domains=[f"{name}{DOMAIN}" for name in known],
        transport=f"lmtp:inet:[127.0.0.1]:{dovecots[0].lmtp_port}",
    ) as postfix:
        site = Site(folder, dovecots[0], postfix)
        (folder / "hub.yaml").write_text(_settings(folder, *dovecots, postfix))
        (folder / "usagers.csv").write_bytes(usagers_csv())
        subprocess.run([sys.executable, "-m", "hub", "init", str(folder)], check=True, capture_output=True)
        assert site.command("usagers", "import", str(folder / "usagers.csv")).returncode == 0
        for dovecot, name, raw in zip((*dovecots[:1] * 2, dovecots[1]), WORKING, letters(3), strict=True):
            dovecot.deliver(address(name), raw)
        checked = site.command("check")
        assert checked.returncode == 0, checked.stdout
        site.start()
        try:
            yield site
        finally:
            site.stop()


def _settings(folder: Path, by_certificate: Dovecot, by_password: Dovecot, postfix: Postfix) -> str:
    authority, other = by_certificate.authority, by_password.authority
    both = folder / "autorites.pem"
    both.write_bytes(authority.ca_file.read_bytes() + other.ca_file.read_bytes())
    (folder / "juste").write_text(Dovecot.PASSWORD + "\n")
    (folder / "faux").write_text("faux\n")
    (folder / "p12").write_text(PASSWORD)
    leaf, own = by_certificate.leaf(address("certificat")), by_certificate.leaf(address("motdepasse"))
    _old_pkcs12(by_certificate, folder / "ancien.p12")
    certificate = f"{{file: {leaf.certificate}, key_file: {leaf.key}}}"
    old = f"{{file: {folder / 'ancien.p12'}, password_file: p12}}"
    mine = f"{{file: {own.certificate}, key_file: {own.key}}}"
    smtp, starttls = (postfix.implicit_port, "implicit"), (postfix.starttls_port, "starttls")
    operators = [
        ("certificat", (by_certificate.imaps_port, "implicit"), smtp, authority.ca_file, "external", certificate),
        ("ancien-p12", (by_certificate.imap_port, "starttls"), starttls, authority.ca_file, "external", old),
        ("motdepasse", (by_password.imap_port, "starttls"), smtp, both, "login", mine),
        ("inconnu", (by_certificate.imaps_port, "implicit"), smtp, authority.ca_file, "plain", None),
        ("faux-mot-de-passe", (by_password.imaps_port, "implicit"), smtp, other.ca_file, "plain", None),
        ("eteint", (1, "implicit"), (1, "implicit"), authority.ca_file, "plain", None),
        ("autre-autorite", (by_certificate.imaps_port, "implicit"), smtp, other.ca_file, "external", certificate),
    ]
    lines = ["site: {product_reference: ESSAI1}", "operators:"]
    for name, imap, out, ca_file, sasl, shown in operators:
        lines += [
            f"  - name: {name}",
            f"    imap: {{host: localhost, port: {imap[0]}, tls: {imap[1]}}}",
            f"    smtp: {{host: localhost, port: {out[0]}, tls: {out[1]}}}",
            f"    ca_file: {ca_file}",
            f"    sasl: {sasl}",
            *([f"    certificate: {shown}"] if shown else []),
        ]
    lines.append("mailboxes:")
    for name, *_, sasl, _shown in operators:
        password = f", password_file: {'faux' if name.startswith('faux') else 'juste'}" if sasl != "external" else ""
        after = ", after: move" if name == "ancien-p12" else ""
        lines.append(f"  - {{name: {name}, address: {address(name)}, operator: {name}, test: true{password}{after}}}")
    lines += [
        "watching: {poll: 2s, backoff_first: 1s, backoff_most: 2s}",
        "spooling: {sweep_every: 1s, retry_first: 1s}",
        "log_level: warning",
    ]
    return "\n".join(lines) + "\n"


def _old_pkcs12(dovecot: Dovecot, file: Path) -> None:
    """As the IGC-Santé still delivers them: RC2-40 and 3DES."""
    leaf = dovecot.leaf(address("ancien-p12"))
    words = ["-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1", "-legacy"]
    into = ["-out", str(file), "-passout", f"pass:{PASSWORD}"]
    made = ["openssl", "pkcs12", "-export", "-in", str(leaf.certificate), "-inkey", str(leaf.key), *into, *words]
    subprocess.run(made, check=True, capture_output=True)


def test_what_works_is_carried_while_the_others_are_down(site: Site) -> None:
    site.wait_until_settled(len(WORKING))
    with site.opened() as house:
        carried = asyncio.run(house.spool.messages())
        steps = [asyncio.run(house.spool.steps(message.id)) for message in carried]
    assert {(message.envelope.mailbox, message.state) for message in carried} == {(name, "DONE") for name in WORKING}
    assert [step.state for one in steps for step in one if isinstance(step.step, Receipt)] == ["DONE"] * 3
    assert len(site.mails_to(HOSPITAL.address, at_least=3, seconds=10)) == 3


def test_after_move_the_mail_is_in_its_folder_and_nowhere_else(site: Site) -> None:
    site.wait_until_settled(len(WORKING))

    def moved() -> bool:
        with site.dovecot.other_client(address("ancien-p12")) as client:
            here = client.select("INBOX", readonly=True)[1]
            there = client.select("Traites", readonly=True)
            return (here, there) == ([b"0"], ("OK", [b"1"]))

    wait_for(moved, 10, site.log)


def test_the_log_and_the_status_name_each_mailbox_that_is_down(site: Site) -> None:
    site.wait_until_settled(len(WORKING))
    status = site.command("status")
    assert status.returncode == 1
    log = site.log()
    for name in DOWN:
        assert f"ALARME : La boîte {name} n'a encore jamais été relevée" in status.stdout
        assert f"mailbox {name}: " in log
    for name in WORKING:
        assert f"La boîte {name}" not in status.stdout
        assert f"mailbox {name}: " not in log


def test_a_mailbox_that_is_repaired_is_read_without_a_restart(site: Site) -> None:
    (site.folder / "faux").write_text(Dovecot.PASSWORD)
    wait_for(lambda: "La boîte faux-mot-de-passe" not in site.command("status").stdout, 15, site.log)
