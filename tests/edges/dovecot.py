"""A private Dovecot 2.3 on loopback ports, for tests: IMAPS, IMAP with STARTTLS, LMTP.

`with running_dovecot(authority) as dovecot:` starts one in a folder of its own and stops it by its own pid. In
"certificate" mode a client certificate is required and its common name is the user (SASL EXTERNAL); in "password"
mode every user's password is `Dovecot.PASSWORD` (PLAIN, LOGIN). Every address is a user; its Maildir is made on the
way. Works as root (mail belongs to `nobody`) and as an ordinary user.
"""

from __future__ import annotations

import grp
import imaplib
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hub import settings
from tests.conftest import missing
from tests.edges.ports import free_port
from tests.pki import Authority, Leaf
from tests.quiet import SECRETS, password

Mode = Literal["certificate", "password"]

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_ca = <{ca}
ssl_require_crl = no
ssl_verify_client_cert = {requires_certificate}
ssl_cert_username_field = commonName
auth_ssl_require_client_cert = {requires_certificate}
auth_ssl_username_from_cert = {requires_certificate}
auth_mechanisms = {mechanisms}
auth_username_format = %Lu
disable_plaintext_auth = yes
default_internal_user = {internal_user}
default_internal_group = {internal_group}
default_login_user = {login_user}
default_process_limit = 1000
default_client_limit = 8000
mail_location = maildir:~/Maildir
mail_max_userip_connections = 2000
mailbox_list_index = no
maildir_very_dirty_syncs = no
first_valid_uid = 1
first_valid_gid = 1
imap_idle_notify_interval = 2 mins
passdb {{
  driver = static
  args = {passdb}
}}
userdb {{
  driver = static
  args = uid={mail_uid} gid={mail_gid} home={folder}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  {no_chroot}
  service_count = 0
  process_limit = 4
  client_limit = 2000
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 2000
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
service anvil {{
  {no_chroot}
  client_limit = 8000
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
auth_failure_delay = 0
service stats {{
  {no_chroot}
  client_limit = 8000
}}
service auth {{
  client_limit = 8000
}}
{extra}
"""


@dataclass
class Dovecot:
    """A running server. Ports are on 127.0.0.1; its certificate names `localhost` and 127.0.0.1."""

    PASSWORD = password("motdepasse-fictif")

    folder: Path
    authority: Authority
    mode: Mode
    imap_port: int
    imaps_port: int
    lmtp_port: int
    mail_uid: int
    mail_gid: int
    _leaves: dict[str, Leaf] = field(default_factory=dict)
    _delivered: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def server_leaf(self) -> Leaf:
        """Its own certificate and key, for a server of the test's in front of it."""
        return Leaf(*(self.authority.folder / f"dovecot-{self.imaps_port}.{end}" for end in ("crt", "key", "pem")))

    def start(self) -> None:
        """Again after `stop`, on the same ports."""
        configuration, stderr = self.folder / "dovecot.conf", self.folder / "stderr"
        self._process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=stderr.open("ab")
        )
        _wait_until_it_listens(self._process, self)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def leaf(self, address: str) -> Leaf:
        """A client certificate whose common name is the address."""
        if address not in self._leaves:
            self._leaves[address] = self.authority.issue(f"client-{address}", address, common_name=address)
        return self._leaves[address]

    def context(self, address: str) -> ssl.SSLContext:
        """A client context; in certificate mode with the address's certificate."""
        return self.authority.client_context(self.leaf(address) if self.mode == "certificate" else None)

    def operator(self, tls: Literal["implicit", "starttls"] = "implicit", port: int | None = None) -> settings.Operator:
        """Settings of an operator whose IMAP is this server (its SMTP is nobody). `port` puts a proxy between."""
        port = port or (self.imaps_port if tls == "implicit" else self.imap_port)
        endpoint = settings.Endpoint(host="localhost", port=port, tls=tls)
        sasl: Literal["external", "plain"] = "external" if self.mode == "certificate" else "plain"
        return settings.Operator(
            name="operateur", imap=endpoint, smtp=endpoint, ca_file=self.authority.ca_file, sasl=sasl
        )

    def password_file(self) -> Path:
        path = self.folder / "password"
        if not path.exists():
            path.write_text(self.PASSWORD + "\n")
        return path

    def home(self, address: str) -> Path:
        return self.folder / "mail" / address

    def maildir(self, address: str, folder: str = "") -> Path:
        """The Maildir of INBOX, or of a folder by its name in modified UTF-7."""
        maildir = self.home(address) / "Maildir" / (f".{folder}" if folder else "")
        for part in ("", "cur", "new", "tmp"):
            (maildir / part).mkdir(parents=True, exist_ok=True)
        for path in (self.home(address), self.home(address) / "Maildir", maildir, *maildir.iterdir()):
            if path.is_dir():
                os.chown(path, self.mail_uid, self.mail_gid)
        return maildir

    def deliver(self, address: str, *raws: bytes) -> None:
        """Put messages into INBOX as a delivery agent does (Maildir: tmp, then renamed into new)."""
        maildir = self.maildir(address)
        for raw in raws:
            SECRETS.add_mail(raw)
            self._delivered += 1
            name = f"{time.time_ns() // 1000}.N{self._delivered}.localhost"
            (maildir / "tmp" / name).write_bytes(raw)
            os.chown(maildir / "tmp" / name, self.mail_uid, self.mail_gid)
            (maildir / "tmp" / name).rename(maildir / "new" / name)

    def renew_uidvalidity(self, address: str) -> None:
        """The folder begins a new epoch, its messages keep their order (a restored or moved mailbox)."""
        maildir = self.maildir(address)
        for path in maildir.glob("dovecot*index*"):
            path.unlink()
        uidlist = maildir / "dovecot-uidlist"
        head, _, rest = uidlist.read_text().partition("\n")
        words = [f"V{int(word[1:]) + 1}" if word.startswith("V") else word for word in head.split(" ")]
        uidlist.write_text(" ".join(words) + "\n" + rest)

    @contextmanager
    def other_client(self, address: str) -> Iterator[imaplib.IMAP4_SSL]:
        """Another mail program, logged in, no folder selected."""
        client = imaplib.IMAP4_SSL("localhost", self.imaps_port, ssl_context=self.context(address), timeout=20)
        try:
            if self.mode == "certificate":
                client.authenticate("EXTERNAL", lambda _: b"")
            else:
                client.login(address, self.PASSWORD)
            yield client
        finally:
            client.logout()

    def append(self, address: str, raw: bytes, folder: str = "INBOX", flags: str = "") -> None:
        """Put a message into a folder by IMAP APPEND."""
        SECRETS.add_mail(raw)
        with self.other_client(address) as client:
            assert client.append(folder, flags, "", raw)[0] == "OK"

    def log(self) -> str:
        return (self.folder / "dovecot.log").read_text(errors="replace")


@contextmanager
def running_dovecot(authority: Authority, mode: Mode = "certificate", extra: str = "") -> Iterator[Dovecot]:
    """`extra` is added to the configuration (e.g. `protocol imap {{ imap_capability = … }}`)."""
    if shutil.which("dovecot") is None:
        missing("dovecot is not installed (apt-get install dovecot-imapd dovecot-lmtpd)")
    folder = Path(tempfile.mkdtemp(prefix="hub-dc-", dir="/tmp"))  # short: sockets' paths are at most 107 bytes
    folder.chmod(0o755)
    imap_port, imaps_port, lmtp_port = free_port(), free_port(), free_port()
    user, login_user, mail_user = _users()
    mail = pwd.getpwnam(mail_user)
    dovecot = Dovecot(folder, authority, mode, imap_port, imaps_port, lmtp_port, mail.pw_uid, mail.pw_gid)
    (folder / "mail").mkdir()
    os.chown(folder / "mail", mail.pw_uid, mail.pw_gid)
    server = authority.issue(f"dovecot-{imaps_port}", "localhost", "127.0.0.1")
    configuration = folder / "dovecot.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            certificate=server.certificate,
            key=server.key,
            ca=authority.ca_file,
            requires_certificate="yes" if mode == "certificate" else "no",
            mechanisms="external" if mode == "certificate" else "plain login",
            passdb="nopassword=yes" if mode == "certificate" else f"password={Dovecot.PASSWORD}",
            internal_user=user,
            internal_group=grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name,
            login_user=login_user,
            no_chroot="" if os.getuid() == 0 else "chroot =",
            imap_port=imap_port,
            imaps_port=imaps_port,
            lmtp_port=lmtp_port,
            mail_uid=mail.pw_uid,
            mail_gid=mail.pw_gid,
            extra=extra,
        )
    )
    try:
        dovecot.start()
        yield dovecot
    finally:
        dovecot.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _users() -> tuple[str, str, str]:
    """(internal, login, mail) user names."""
    if os.getuid() == 0:
        return "dovecot", "dovenull", "nobody"
    me = pwd.getpwuid(os.getuid()).pw_name
    return me, me, me


def _wait_until_it_listens(process: subprocess.Popen[bytes], dovecot: Dovecot) -> None:
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", dovecot.imaps_port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"dovecot did not start: {(dovecot.folder / 'stderr').read_text()}")
