"""Real mail programs at the submission door, and the shapes that mail programs make: kept byte for byte."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.edges.doors import ASE, PASSWORD, SECRETARIAT, OpenDoor, door, mail
from tests.edges.test_submission import run, send
from tests.edges.test_submission_faults import sql_bench, sqlite_template

__all__ = ["door", "sql_bench", "sqlite_template"]

PDF = b"%PDF-1.4\n% fictif\n" + bytes(range(256)) * 40


async def done(folder: Path, *words: str, said: bytes = b"", **environment: str) -> str:
    """What the program printed; it must succeed."""
    if shutil.which(words[0]) is None:
        missing(f"{words[0]} is not installed (scripts/setup.sh packages)")

    def work() -> subprocess.CompletedProcess[bytes]:
        env = os.environ | {"HOME": str(folder)} | environment
        return subprocess.run(words, input=said, capture_output=True, timeout=60, env=env)

    finished = await asyncio.to_thread(work)
    told = (finished.stdout + finished.stderr).decode(errors="replace")
    assert finished.returncode == 0, told
    return told


async def the_one(door: OpenDoor) -> tuple[Any, bytes]:
    (row,), (raw,) = await door.messages(), await door.raws()
    assert (row.mailbox, row.sender, row.recipients, row.submitted_by) == ("secretariat", SECRETARIAT, ASE, "camille")
    return row, raw


@pytest.mark.parametrize("tls", ["--tls", "--tls-on-connect"])
async def test_swaks(door: OpenDoor, tmp_path: Path, tls: str) -> None:
    (tmp_path / "fiche.pdf").write_bytes(PDF)
    port = door.starttls_port if tls == "--tls" else door.implicit_port
    told = await done(
        tmp_path,
        *("swaks", "--server", f"localhost:{port}", tls, "--tls-verify", "--tls-ca-path", str(door.authority.ca_file)),
        *("--auth", "PLAIN", "--auth-user", "camille", "--auth-password", PASSWORD),
        *("--from", SECRETARIAT, "--to", ASE, "--header", "Subject: [dossier 1234] essai"),
        *("--attach", f"@{tmp_path}/fiche.pdf"),
    )
    assert "Message pris en charge" in told
    _, raw = await the_one(door)
    assert b"Subject: [dossier 1234] essai\r\n" in raw


async def test_swaks_without_tls_gets_nowhere(door: OpenDoor, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="did not advertise authentication"):
        await done(
            tmp_path,
            *("swaks", "--server", f"localhost:{door.starttls_port}", "--auth", "PLAIN"),
            *("--auth-user", "camille", "--auth-password", PASSWORD, "--from", SECRETARIAT, "--to", ASE),
        )
    assert await door.messages() == []


async def test_curl(door: OpenDoor, tmp_path: Path) -> None:
    await done(
        tmp_path,
        *("curl", "--silent", "--show-error", "--url", f"smtps://localhost:{door.implicit_port}"),
        *("--cacert", str(door.authority.ca_file), "--user", f"camille:{PASSWORD}", "--mail-from", SECRETARIAT),
        *("--mail-rcpt", ASE, "--upload-file", "-"),
        said=mail(),
    )
    assert (await the_one(door))[1] == mail()


async def test_s_nail(door: OpenDoor, tmp_path: Path) -> None:
    (tmp_path / "fiche.pdf").write_bytes(PDF)
    user, password = "camille", PASSWORD.replace(" ", "%20")
    (tmp_path / "mailrc").write_text(
        f"set v15-compat\nset from={SECRETARIAT}\nset sendwait\nset tls-ca-no-defaults\n"
        f"set tls-ca-file={door.authority.ca_file}\nset tls-verify=strict\n"
        f"set smtp-auth=plain\nset mta=submissions://{user}:{password}@localhost:{door.implicit_port}\n"
    )
    await done(
        tmp_path,
        *("s-nail", "-n", "-s", "[dossier 1234] essai", "-a", f"{tmp_path}/fiche.pdf", ASE),
        said="Bonjour, voici la fiche, signée : é.\n".encode(),
        MAILRC=str(tmp_path / "mailrc"),
        LC_ALL="C.UTF-8",
    )
    _, raw = await the_one(door)
    assert b"fiche.pdf" in raw


async def test_mutt(door: OpenDoor, tmp_path: Path) -> None:
    (tmp_path / "fiche.pdf").write_bytes(PDF)
    (tmp_path / "muttrc").write_text(
        f"set from={SECRETARIAT}\nset use_from=yes\nset use_envelope_from=yes\n"
        f"set envelope_from_address={SECRETARIAT}\n"
        f'set smtp_url="smtp://camille@localhost:{door.starttls_port}/"\nset smtp_pass="{PASSWORD}"\n'
        f"set ssl_force_tls=yes\nset ssl_usesystemcerts=no\nset ssl_ca_certificates_file={door.authority.ca_file}\n"
        f"set certificate_file={door.authority.ca_file}\nset copy=no\nset smtp_authenticators=plain\n"
    )
    await done(
        tmp_path,
        *("mutt", "-n", "-F", str(tmp_path / "muttrc"), "-s", "[dossier 1234] essai", "-a", f"{tmp_path}/fiche.pdf"),
        *("--", ASE),
        said=b"Bonjour\n",
        LC_ALL="C.UTF-8",
    )
    _, raw = await the_one(door)
    assert b"fiche.pdf" in raw


# --- shapes ---------------------------------------------------------------------------------------------------------

_HEAD = f"From: Secretariat <{SECRETARIAT}>\r\nTo: <{ASE}>\r\nMessage-ID: <s@mecs.example>\r\nMIME-Version: 1.0\r\n"
SHAPES = {
    "format=flowed": _HEAD
    + "Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes\r\n"
    + "Content-Transfer-Encoding: 8bit\r\n\r\nUne ligne qui continue \r\nici, signée é.\r\n-- \r\nSecrétariat\r\n",
    "inline image": _HEAD
    + 'Content-Type: multipart/related; boundary="r"\r\n\r\n--r\r\nContent-Type: text/html\r\n\r\n'
    + '<img src="cid:logo">\r\n--r\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\n'
    + "Content-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--r--\r\n",
    "winmail.dat": _HEAD
    + 'Content-Type: multipart/mixed; boundary="w"\r\n\r\n--w\r\nContent-Type: text/plain\r\n\r\nBonjour\r\n--w\r\n'
    + 'Content-Type: application/ms-tnef; name="winmail.dat"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    + "eJ8+IgEAAQ==\r\n--w--\r\n",
    "receipt asked": _HEAD
    + f"Disposition-Notification-To: <{SECRETARIAT}>\r\nReturn-Receipt-To: <{SECRETARIAT}>\r\n\r\nBonjour\r\n",
    "forwarded": _HEAD
    + 'Subject: Fwd: compte rendu\r\nContent-Type: multipart/mixed; boundary="f"\r\n\r\n--f\r\n\r\nVoir.\r\n--f\r\n'
    + "Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\nFrom: <autre@exemple.example>\r\n"
    + "Subject: compte rendu\r\n\r\n.un point\r\n..\r\n.\r\nfin\r\n--f--\r\n",
    "folded author": "From: Secretariat\r\n\t<" + SECRETARIAT + ">\r\nSubject: x\r\n\r\nBonjour\r\n",
    "encoded author": f"From: =?utf-8?Q?Secr=C3=A9tariat?= <{SECRETARIAT}>\r\nSubject: x\r\n\r\nBonjour\r\n",
    "many received lines before": "X-Long: " + "\r\n x" * 2_000 + "\r\n" + _HEAD + "\r\nBonjour\r\n",
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_mail_programs_make_is_kept_byte_for_byte(door: OpenDoor, shape: str) -> None:
    raw = SHAPES[shape].encode()
    assert await run(send, door, raw) == {}
    assert await door.raws() == [raw]
