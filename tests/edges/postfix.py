"""A private Postfix: its own configuration, queue and data folders, two loopback ports that require a client
certificate (implicit TLS and STARTTLS), started and stopped alone.

    with running_postfix(authority, domains=("asso.mssante.example",)) as postfix:
        postfix.implicit_port, postfix.starttls_port, postfix.mails(), postfix.log()

`transport` says where accepted mail goes: `maildir` (kept in `postfix.maildir`, whatever the recipient),
`lmtp:inet:[127.0.0.1]:PORT` or `lmtp:unix:/path` (a Dovecot), `discard:`, or `hold` (stays in the queue).
Needs root, as Postfix does. Missing binaries end the test through `tests.conftest.missing`.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import missing
from tests.edges.ports import free_port
from tests.pki import Authority, Leaf

_SECONDS = 20
_MASTER = """\
127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{starttls} inet n - n - - smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
tlsmgr    unix  - - n 1000? 1 tlsmgr
proxymap  unix  - - n - - proxymap
anvil     unix  - - n - 1 anvil
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
virtual   unix  - n n - - virtual
lmtp      unix  - - n - - lmtp
postlog   unix-dgram n - n - 1 postlogd
"""
_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = operateur.mssante.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
local_transport = error:no local mail here
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_transport = {transport}
smtpd_tls_security_level = encrypt
smtpd_tls_req_ccert = yes
smtpd_tls_ask_ccert = yes
smtpd_tls_CAfile = {ca}
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = {restrictions}
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
message_size_limit = 62914560
virtual_mailbox_limit = 0
{more}
"""


@dataclass(frozen=True)
class Postfix:
    folder: Path
    implicit_port: int
    starttls_port: int
    maildir: Path

    def log(self) -> str:
        path = self.folder / "mail.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def sessions(self) -> int:
        """How many client sessions were opened so far (the probes of the start included)."""
        return len(re.findall(r"smtpd\[[0-9]+\]: connect from ", self.log()))

    def handshakes(self) -> int:
        """How many TLS connections with a verified client certificate were made so far."""
        return len(re.findall(r"Trusted TLS connection established from ", self.log()))

    def mails(self, at_least: int = 0, seconds: float = 10, *, holding: bytes = b"") -> list[bytes]:
        """What was delivered to the Maildir and contains `holding`; waits until there are `at_least` so many. A test
        that shares its Postfix counts its own mails only: those of the test before it may still be on their way."""
        until = time.monotonic() + seconds
        while True:
            paths = sorted(self.maildir.glob("new/*")) + sorted(self.maildir.glob("cur/*"))
            found = [mail for mail in (path.read_bytes() for path in paths) if holding in mail]
            if len(found) >= at_least or time.monotonic() > until:
                return found
            time.sleep(0.05)


@contextmanager
def running_postfix(
    authority: Authority,
    *,
    domains: Sequence[str] = ("mssante.example",),
    transport: str = "maildir",
    server: Leaf | None = None,
    more: str = "",
) -> Iterator[Postfix]:
    """A Postfix for the time of the block. `more` is appended to main.cf; `server` is its certificate (made when
    None, for 127.0.0.1 and localhost)."""
    _ready_to_run()
    folder = Path(tempfile.mkdtemp(prefix="hub-postfix-"))
    folder.chmod(0o755)  # Postfix's own user must enter; pytest's tmp_path is closed to it
    try:
        postfix = _configured(folder, authority, domains, transport, server, more)
        config = str(folder / "etc")
        started = subprocess.run(["postfix", "-c", config, "start"], capture_output=True, text=True, timeout=_SECONDS)
        try:
            if started.returncode:
                raise RuntimeError(f"postfix did not start: {started.stderr}{postfix.log()}")
            _wait_for(postfix)
            yield postfix
        finally:
            subprocess.run(["postfix", "-c", config, "stop"], capture_output=True, timeout=_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ready_to_run() -> None:
    if shutil.which("postfix") is None:
        missing("postfix is not installed (Debian package postfix)")
    if os.geteuid() != 0:
        missing("a private Postfix needs root")


def _configured(
    folder: Path, authority: Authority, domains: Sequence[str], transport: str, server: Leaf | None, more: str
) -> Postfix:
    owner = pwd.getpwnam("nobody")
    postfix = Postfix(folder, free_port(), free_port(), folder / "mail" / "box")
    for name in ("etc", "queue", "data", "mail"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    shutil.chown(folder / "mail", owner.pw_uid, owner.pw_gid)
    leaf = server or authority.issue("postfix", "127.0.0.1", "localhost")
    for path, name in ((authority.ca_file, "ca.pem"), (leaf.certificate, "server.crt"), (leaf.key, "server.key")):
        shutil.copy(path, folder / "etc" / name)
    (folder / "etc" / "server.key").chmod(0o600)
    where = {"maildir": "virtual", "hold": "virtual"}.get(transport, transport)
    main = _MAIN.format(
        folder=folder,
        domains=", ".join(domains),
        uid=owner.pw_uid,
        gid=owner.pw_gid,
        transport=where,
        ca=folder / "etc" / "ca.pem",
        certificate=folder / "etc" / "server.crt",
        key=folder / "etc" / "server.key",
        restrictions="check_recipient_access static:HOLD" if transport == "hold" else "",
        more=more,
    )
    (folder / "etc" / "main.cf").write_text(main)
    master = _MASTER.format(implicit=postfix.implicit_port, starttls=postfix.starttls_port)
    (folder / "etc" / "master.cf").write_text(master)
    return postfix


def _wait_for(postfix: Postfix) -> None:
    until = time.monotonic() + _SECONDS
    for port in (postfix.starttls_port, postfix.implicit_port):
        while True:
            try:
                with closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
                    break
            except OSError:
                if time.monotonic() > until:
                    raise RuntimeError(f"postfix does not listen: {postfix.log()}") from None
                time.sleep(0.05)
