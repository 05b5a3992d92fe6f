"""Real mail programs that hand a mail in at the submission door, as a secretary or a script uses them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import missing
from tests.trips.mailbag import Written
from tests.trips.office import PASSWORD, SECRETARIAT, Office

TEXT = "Bonjour,\n\nVoici le document.\n"


def hand_in(office: Office, folder: Path, one: Written) -> None:
    """By the program that `one` names; it must succeed. Its own Message-ID, boundaries and encodings are made."""
    folder.mkdir()
    names = [folder / name for name in one.files]
    for path, raw in zip(names, one.pdfs, strict=True):
        path.write_bytes(raw)
    {"swaks": _swaks, "curl": _curl, "s-nail": _s_nail, "mutt": _mutt}[one.program](office, folder, one, names)


def _swaks(office: Office, folder: Path, one: Written, files: list[Path]) -> None:
    server = ("--server", f"localhost:{office.starttls_port}", "--tls", "--tls-verify")
    attached = [word for file in files for word in ("--attach-type", "application/pdf", "--attach-name", file.name,
                                                    "--attach", f"@{file}")]  # fmt: skip
    _run(
        folder,
        *("swaks", *server, "--tls-ca-path", str(office.authority.ca_file)),
        *("--auth", "PLAIN", "--auth-user", "camille", "--auth-password", PASSWORD),
        *("--from", SECRETARIAT, "--to", ",".join(one.recipients), "--header", f"Subject: {one.subject}"),
        *("--body", TEXT, *attached),
    )


def _curl(office: Office, folder: Path, one: Written, files: list[Path]) -> None:
    _run(
        folder,
        *("curl", "--silent", "--show-error", "--url", f"smtps://localhost:{office.implicit_port}"),
        *("--cacert", str(office.authority.ca_file), "--user", f"camille:{PASSWORD}", "--mail-from", SECRETARIAT),
        *(word for to in one.recipients for word in ("--mail-rcpt", to)),
        *("--upload-file", "-"),
        said=one.mail.as_bytes(),
    )


def _s_nail(office: Office, folder: Path, one: Written, files: list[Path]) -> None:
    user = f"camille:{PASSWORD.replace(' ', '%20')}"
    (folder / "mailrc").write_text(
        f"set v15-compat\nset from={SECRETARIAT}\nset sendwait\nset tls-ca-no-defaults\n"
        f"set tls-ca-file={office.authority.ca_file}\nset tls-verify=strict\n"
        f"set smtp-auth=plain\nset mta=submissions://{user}@localhost:{office.implicit_port}\n"
    )
    attached = [word for file in files for word in ("-a", str(file))]
    _run(
        folder,
        *("s-nail", "-n", "-s", one.subject, *attached, *one.recipients),
        said=TEXT.encode(),
        MAILRC=str(folder / "mailrc"),
    )


def _mutt(office: Office, folder: Path, one: Written, files: list[Path]) -> None:
    (folder / "muttrc").write_text(
        f"set from={SECRETARIAT}\nset use_from=yes\nset use_envelope_from=yes\n"
        f"set envelope_from_address={SECRETARIAT}\n"
        f'set smtp_url="smtp://camille@localhost:{office.starttls_port}/"\nset smtp_pass="{PASSWORD}"\n'
        f"set ssl_force_tls=yes\nset ssl_usesystemcerts=no\nset ssl_ca_certificates_file={office.authority.ca_file}\n"
        f"set certificate_file={office.authority.ca_file}\nset copy=no\nset smtp_authenticators=plain\n"
    )
    attached = [word for file in files for word in ("-a", str(file))]
    words = ("mutt", "-n", "-F", str(folder / "muttrc"), "-s", one.subject, *attached, "--", *one.recipients)
    _run(folder, *words, said=TEXT.encode())


def _run(folder: Path, *words: str, said: bytes = b"", **environment: str) -> None:
    if shutil.which(words[0]) is None:
        missing(f"{words[0]} is not installed (scripts/setup.sh packages)")
    env = os.environ | {"HOME": str(folder), "LC_ALL": "C.UTF-8"} | environment
    done = subprocess.run(words, input=said, capture_output=True, timeout=60, env=env)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
