"""The fictional secretary and her mail program: what she writes, byte for byte as Thunderbird does, and how it leaves.

`written` and `replied` make the mails; `MailProgram.send` hands one to the hub's submission door (STARTTLS, user and
password). Her password lies in a file of the site's folder, as a sandbox may.
"""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from pathlib import Path

from hub.errors import Permanent
from hub.sandbox.letters import Part, attachment, mixed
from hub.sandbox.people import SECRETARY, SECRETARY_LOGIN, TILLEULS

HOST = "localhost"
DEADLINE = 20.0  # seconds for each answer of the door


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One mail as she sees it. `files` are (name, bytes of a PDF); `asks_receipt`: she ticked the read receipt;
    `answers` is the Message-ID of the mail that she replies to."""

    key: str
    to: tuple[str, ...]
    subject: str
    words: str
    files: tuple[tuple[str, bytes], ...] = ()
    asks_receipt: bool = False
    answers: str = ""

    @property
    def message_id(self) -> str:
        digest = hashlib.sha256(self.key.encode()).hexdigest()
        uuid = "-".join((digest[:8], digest[8:12], f"4{digest[13:16]}", f"8{digest[17:20]}", digest[20:32]))
        return f"<{uuid}@{TILLEULS.address.rpartition('@')[2]}>"

    def as_bytes(self, sent_at: datetime) -> bytes:
        """What Thunderbird makes of it."""
        lines = [
            f"Message-ID: {self.message_id}",
            f"Date: {format_datetime(sent_at)}",
            "MIME-Version: 1.0",
            "User-Agent: Mozilla Thunderbird",
            "Content-Language: fr",
            f"To: {', '.join(self.to)}",
            f"From: {_encoded(SECRETARY)} <{TILLEULS.address}>",
            f"Subject: {_encoded(self.subject)}",
            *((f"In-Reply-To: {self.answers}", f"References: {self.answers}") if self.answers else ()),
            *((f"Disposition-Notification-To: <{TILLEULS.address}>",) if self.asks_receipt else ()),
        ]
        flowed = ("Content-Type: text/plain; charset=UTF-8; format=flowed", "Content-Transfer-Encoding: 8bit")
        content = Part(flowed, self.words.replace("\n", "\r\n").encode())
        if self.files:
            files = [attachment(name, "application/pdf", raw) for name, raw in self.files]
            content = mixed(self.key, [content, *files])
        return bytes(Part((*lines, *content.headers), content.body))


def replied(letter_id: str, subject: str, words: str, quoted: str) -> Written:
    """Her reply to a letter of the hub, above what it said."""
    below = "\n".join(f"> {line}".rstrip() for line in quoted.splitlines())
    return Written(
        key=f"reply {letter_id}",
        to=(TILLEULS.address,),
        subject=f"Re: {subject}",
        words=f"{words}\n\n{below}\n",
        answers=letter_id,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MailProgram:
    """How her program is set: the door's port, the authority to trust, the file of her password."""

    port: int
    ca_file: Path
    password_file: Path

    async def send(self, mail: Written, sent_at: datetime) -> str:
        """The door's last line. Raises Permanent: the door is closed, or refuses."""
        try:
            return await asyncio.to_thread(self._send, mail, mail.as_bytes(sent_at))
        except (OSError, smtplib.SMTPException) as error:
            private = f"the submission door: {type(error).__name__}"
            raise Permanent(private, "La porte d'envoi du hub n'a pas pris le message : voir hub-serve.log.") from None

    def _send(self, mail: Written, raw: bytes) -> str:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with smtplib.SMTP(HOST, self.port, timeout=DEADLINE) as client:
            client.starttls(context=context)
            client.login(SECRETARY_LOGIN, self.password_file.read_text(encoding="utf-8").strip())
            client.mail(TILLEULS.address)
            for recipient in mail.to:
                client.rcpt(recipient)
            code, said = client.data(raw)
        if code != 250:
            raise smtplib.SMTPDataError(code, said)
        return f"{code} {said.decode('ascii', 'replace')}"


def _encoded(words: str) -> str:
    return words if words.isascii() else Header(words, "utf-8").encode(linesep="\r\n")
