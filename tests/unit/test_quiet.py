"""The ears of the suite hear every kind of leak, wherever it is told: else their silence would prove nothing."""

from __future__ import annotations

import ast
import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from hub.message import Identity
from hub.sandbox import people
from tests.conftest import PROJECT_ROOT
from tests.quiet import SECRETS, Secrets, add_people

PASSWORD = "cheval agrafe pile"  # of nobody: told to secrets of its own
KEY = bytes(range(100, 132))
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA"
SUBJECT = "[dossier 4711] Compte rendu de visite"


@pytest.fixture
def secrets() -> Secrets:
    made = Secrets()
    made.add_password(PASSWORD)
    made.add_key(KEY)
    made.add_name("D'ALMEYRAC-OZÉVILLE", "Éloïse", "LEA")
    made.add_mail(b"From: a\r\nSubject: " + SUBJECT.encode() + b"\r\n\r\nSubject: Autre chose\r\n")
    return made


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


TOLD = {
    "private key": ("-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----"),
    "line of a key file": ("k1a2b3c4d:" + encoded("x" * 32), f"key_file:1 - k1:{base64.b64encode(KEY).decode()}"),
    "data key": (KEY.hex(), base64.b64encode(KEY).decode(), base64.urlsafe_b64encode(KEY).decode()),
    "password hash": (HASH, f"({HASH},)"),
    "password": (
        f"login refused: {PASSWORD}",
        quote(f"https://bal:{PASSWORD}@host/", safe=""),
        f"AUTH PLAIN {encoded(chr(0) + 'bal' + chr(0) + PASSWORD)}",
        f"AUTH PLAIN {encoded('a' + chr(0) + 'bal' + chr(0) + PASSWORD)} 235",
        f"said:{encoded(PASSWORD)}",
    ),
    "matricule": (
        people.LINA.identity.ins or "",
        f"usager {people.ZOE.identity.ins} unknown",  # Corsica
        "2 14 03 69 383 901 43",
        "279035121518989^^^&1.2.250.1.213.1.4.10&ISO^NH",
        encoded("usager 2790 279035121518989 "),
    ),
    "name of a test person": (
        "no usager almeyrac",
        "OZEVILLE",
        "Ozéville's record",
        "fiche_eloïse.pdf",
        "%C3%89lo%C3%AFse",
        "LEA was here",
        f"X-{encoded('Mme Ozéville est venue')}",
    ),
    "subject of a mail": (f"mail {SUBJECT!r} cannot be sent", quote(SUBJECT), "about Autre chose"),
}
TOLD["matricule"] = TOLD["matricule"][:-1]  # inside base64 it would be a document: the digest of one may look the same


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TOLD.items() for text in texts])
def test_every_kind_is_found_in_every_form_and_its_line_is_told(secrets: Secrets, kind: str, text: str) -> None:
    found = secrets.leaks_in(f"first line\nmailbox dossiers: {text} and more\n")
    assert kind in {leak.kind for leak in found}
    assert 2 in {leak.line for leak in found if leak.kind == kind} or "%" in text
    assert not any(PASSWORD in leak.kind or "ZEVILLE" in leak.kind for leak in found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mailbox dossiers: imap-timeout, failure 3, next try in 2.0 s",
        "message 5f9d1c0e8f7b4f6d9a51d4c2f04b7c11: later: RCPT refused: 554 5.7.1",
        "-----BEGIN CERTIFICATE-----",
        "279035121518988",  # the wrong key
        "1764131943123456789 ns, 2.25.279035121518989123456, 279035121518989123",
        "lea clea LEAN",  # three letters are a name with a capital and alone only
        "cheval agrafe",
        "a" * 64 + " " + "0123456789abcdef" * 4,
    ],
)
def test_what_a_log_may_say_is_no_leak(secrets: Secrets, text: str) -> None:
    assert secrets.leaks_in(text) == []


def test_the_people_of_the_modules_are_known() -> None:
    add_people([people.USAGERS, people.STRANGER, people.ASE.author, Identity(ins="2" * 15, birth_name="Kerguelen")])
    assert {"marcheterre", "verdugo", "garnault", "kerguelen", "lina"} <= SECRETS.names
    assert SECRETS.phrases[(people.LINA.identity.ins or "")[:13]] == "matricule"


# --- the plugin, in a suite of its own

CONFTEST = """\
import pytest
from tests.listening import EARS, Listening

def pytest_configure(config):
    config.pluginmanager.register(Listening(EARS), "listening")
"""
HEAD = """\
import asyncio, contextlib, logging, smtplib, sqlite3, subprocess, sys
import pytest, typer, typer.testing
import hub.errors, hub.journal, hub.records.passwords, hub.trust.fetching, hub.trust.keys, hub.web.app
from pathlib import Path
from hub.settings import Fetching
from tests.conftest import PROJECT_ROOT
from tests.quiet import password
PASSWORD = password("cheval agrafe pile")
LEAK = f"somebody said {PASSWORD} aloud"
TELL = f"import sys; sys.stderr.write({LEAK!r})"
"""
PLANTED = {
    "log": "logging.getLogger('hub.any').debug('%s', LEAK)",
    "log of a library": "logging.getLogger('library').warning('%s', LEAK)",
    "traceback": """
    try:
        raise ValueError(LEAK)
    except ValueError:
        logging.getLogger('hub.any').exception('it failed')""",
    "error": "hub.errors.Temporary(LEAK)",
    "error of its own kind": "hub.errors.DiskFailed(LEAK, 'EIO')",
    "stderr": "print(LEAK, file=sys.stderr)",
    "captured": "print(LEAK, file=sys.stderr); capsys.readouterr()",
    "child": "subprocess.run([sys.executable, '-c', TELL], capture_output=True)",
    "child with our stderr": "subprocess.run([sys.executable, '-c', TELL])",
    "child in a loop": """
    async def run():
        child = await asyncio.create_subprocess_exec(sys.executable, '-c', TELL, stderr=asyncio.subprocess.PIPE)
        await child.communicate()
    asyncio.run(run())""",
    "service": """
    with (tmp_path / 'serve.txt').open('ab') as log:
        subprocess.Popen([sys.executable, '-c', TELL], stdout=log, stderr=subprocess.STDOUT).wait()""",
    "name of a file": "(tmp_path / 'data').mkdir(); (tmp_path / 'data' / f'{PASSWORD}.eml').touch()",
    "name of a folder": "(tmp_path / 'data' / PASSWORD).mkdir(parents=True)",
    "log file": "(tmp_path / 'door.log').write_text(LEAK)",
    "journal of another process": """
    with contextlib.closing(sqlite3.connect(tmp_path / 'hub.db')) as database:
        database.execute('create table journal (author, action, request, answer)')
        database.execute('insert into journal values (?, ?, ?, ?)', ('hub', 'mail', LEAK, ''))
        database.commit()""",
    "journal": """
    with contextlib.suppress(AttributeError):
        hub.journal.append(None, AT, 'hub', 'mail', LEAK)""",
    "URL": """
    fetcher = hub.trust.fetching.Fetcher(Fetching())
    with contextlib.suppress(hub.errors.Temporary):
        asyncio.run(fetcher.get(f'http://127.0.0.1:1/?key={PASSWORD}', most=10))""",
    "command": """
    app = typer.Typer()
    app.command()(lambda: typer.echo(LEAK, err=True))
    typer.testing.CliRunner().invoke(app, [])""",
    "password that a test never told": """
    hasher = hub.records.passwords.Passwords()
    hasher.hash('jamais dit par le test')
    logging.getLogger('hub').warning('jamais dit par le test')""",
    "data key": """
    ring = hub.trust.keys.KeyRing.create(tmp_path / 'keys')
    logging.getLogger('hub').warning(hub.trust.keys._read(tmp_path / 'keys')[ring.current_id].hex())""",
    "subject": """
    with contextlib.suppress(smtplib.SMTPServerDisconnected):
        smtplib.SMTP().sendmail('a@b.example', ['c@d.example'], b'Subject: Retour de week-end\\r\\n\\r\\n')
    logging.getLogger('hub').warning('Retour de week-end')""",
}
ALLOWED = {
    "stdout": "print(LEAK)",
    "stdout of a child": "subprocess.run([sys.executable, '-c', f'print({LEAK!r})'], capture_output=True)",
    "a server that is not the hub": "subprocess.run(['sh', '-c', f'echo \"{LEAK}\" >&2'], capture_output=True)",
    "content of a file": "(tmp_path / 'password').write_text(PASSWORD)",
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of a suite in which each test plants one leak, or what may be told."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\nlog_level = WARNING\n")
    tests = [HEAD, "from datetime import UTC, datetime\nAT = datetime.now(UTC)\n"]
    for verdict, planted in (("leak", PLANTED), ("fine", ALLOWED)):
        for name, code in planted.items():
            body = code if code.startswith("\n") else f"\n    {code}"
            tests.append(f"def test_{verdict}_{name.replace(' ', '_')}(tmp_path, capsys):{body}\n")
    (folder / "test_planted.py").write_text("\n\n".join(tests))
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rA",
        "--basetemp",
        str(folder / "t"),
        str(folder),
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=PROJECT_ROOT, timeout=100)
    return done.stdout


@pytest.mark.parametrize("name", PLANTED)
def test_a_leak_fails_its_test(outcome: str, name: str) -> None:
    assert re.search(rf"^(FAILED|ERROR) .*::test_leak_{name.replace(' ', '_')}\b", outcome, re.MULTILINE), outcome


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_no_log_fails_no_test(outcome: str, name: str) -> None:
    told = re.findall(rf"^([A-Z]+) .*::test_fine_{name.replace(' ', '_')}\b", outcome, re.MULTILINE)
    assert told == ["PASSED"], outcome


def test_what_is_told_of_a_leak_is_its_kind_and_place_and_not_itself(outcome: str) -> None:
    assert "password: log, " in outcome
    assert "test_planted.py:" in outcome
    failures = outcome.partition("= PASSES =")[0]
    assert "cheval agrafe pile" not in failures
    assert "jamais dit" not in failures


# --- the passwords of the tests are told


def test_every_password_of_the_tests_is_told() -> None:
    untold = [f"{path.relative_to(PROJECT_ROOT)}:{line}" for path, line in _untold(PROJECT_ROOT / "tests")]
    assert untold == [], "give it to tests.quiet.password"


def _untold(folder: Path) -> Iterator[tuple[Path, int]]:
    """Constants that are named a password and never passed through `password`."""
    for path in sorted(folder.rglob("*.py")):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
                if any("PASSWORD" in name for name in names):
                    yield path, node.lineno
