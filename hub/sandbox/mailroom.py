"""The operator's mailboxes, and the IMAP login that opens them: pymap's in-memory folders with a client certificate.

Who may open what: a mailbox belongs to a structure, a client certificate names its structure in the OU, and both must
be the same (mssante.md §7.4). SASL EXTERNAL takes the mailbox from the authorisation identity, or the only mailbox of
the structure when none is given; PLAIN and LOGIN want the sandbox's password on top. Any other login is refused.
Messages live as long as this object.
"""

# pymap is meant to be subclassed; mypy takes its classes for Any (pyproject: follow_imports = "skip").
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import binascii
import secrets
from argparse import Namespace
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from pymap.backend.dict.mailbox import MailboxData, MailboxSet, Message
from pymap.backend.session import BaseSession
from pymap.config import BackendCapability, IMAPConfig
from pymap.context import current_command, socket_info
from pymap.exceptions import InvalidAuth, NotAllowedError, UserNotFound
from pymap.interfaces.login import IdentityInterface, LoginInterface
from pymap.interfaces.token import TokensInterface
from pymap.parsing import EndLine, Params, Space
from pymap.parsing.command.nonauth import AuthenticateCommand
from pymap.parsing.commands import Commands
from pymap.parsing.exceptions import NotParseable
from pymap.parsing.message import AppendMessage
from pymap.parsing.primitives import Atom
from pymap.parsing.specials import FetchRequirement, ObjectId
from pymap.parsing.specials.flag import Flag, Wildcard
from pymap.token import AllTokens
from pymap.user import UserMetadata
from pysasl import SASLAuth
from pysasl.creds.external import ExternalCredentials
from pysasl.creds.plain import PlainCredentials
from pysasl.creds.server import ServerCredentials
from pysasl.hashing import Cleartext
from pysasl.mechanism import ChallengeResponse
from pysasl.mechanism.external import ExternalMechanism
from pysasl.mechanism.login import LoginMechanism
from pysasl.mechanism.plain import PlainMechanism

from hub.sandbox.people import Structure


def structure_of(peer_certificate: Any) -> str | None:
    """The OU of a verified peer certificate (as `getpeercert()` gives it), None without certificate or OU."""
    for relative_name in (peer_certificate or {}).get("subject", ()):
        for key, value in relative_name:
            if key == "organizationalUnitName":
                return str(value)
    return None


class Mailroom:
    """All mailboxes of the operator, by address (compared in lower case)."""

    def __init__(self, structures: Iterable[Structure], password: str) -> None:
        self._holders = {structure.address.lower(): structure.national_id for structure in structures}
        self._folders: dict[str, _Folders] = {}
        self.password = password

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(self._holders)

    def knows(self, address: str) -> bool:
        return address.lower() in self._holders

    def belongs_to(self, address: str, structure: str | None) -> bool:
        return structure is not None and self._holders.get(address.lower()) == structure

    def only_mailbox_of(self, structure: str | None) -> str | None:
        owned = [address for address, holder in self._holders.items() if holder == structure]
        return owned[0] if len(owned) == 1 else None

    def folders(self, address: str) -> MailboxSet:
        """Made at first use: pymap's locks want a running event loop. Raises KeyError for an unknown address."""
        key = address.lower()
        if key not in self._holders:
            raise KeyError("no such mailbox")
        return self._folders.setdefault(key, _Folders())

    async def deliver(self, address: str, raw: bytes) -> None:
        """Into INBOX, byte for byte; sessions in IDLE hear of it."""
        folder = await self.folders(address).get_mailbox("INBOX")
        await folder.append(AppendMessage(raw, datetime.now(UTC)), recent=True)

    async def messages(self, address: str) -> list[bytes]:
        """Everything in the mailbox, all its folders, INBOX first."""
        folders = self.folders(address)
        found = []
        for entry in (await folders.list_mailboxes()).list():
            if entry.exists:
                folder = await folders.get_mailbox(entry.name)
                async for message in folder.messages():
                    loaded = await message.load_content(FetchRequirement.CONTENT)
                    found.append(bytes(loaded.get_body()))
        return found


class _Folder(MailboxData):
    @property
    def permanent_flags(self) -> frozenset[Flag]:
        return frozenset(super().permanent_flags | {Wildcard})  # keywords may be made and stay (RFC 9051 §7.1)


class _Folders(MailboxSet):
    def __init__(self) -> None:
        super().__init__()
        self._inbox = _Folder(self._content_cache, self._thread_cache)

    async def add_mailbox(self, name: str) -> ObjectId:
        await super().add_mailbox(name)
        self._set[name] = folder = _Folder(self._content_cache, self._thread_cache)
        return folder.mailbox_id


class _Session(BaseSession[Message]):
    def __init__(self, owner: str, config: IMAPConfig, folders: MailboxSet) -> None:
        super().__init__(owner)
        self._config = config
        self._mailbox_set = folders

    @property
    def config(self) -> IMAPConfig:
        return self._config

    @property
    def mailbox_set(self) -> MailboxSet:
        return self._mailbox_set


class _Identity(IdentityInterface):
    def __init__(self, address: str, config: IMAPConfig, mailroom: Mailroom) -> None:
        self._address = address
        self._config = config
        self._mailroom = mailroom

    @property
    def name(self) -> str:
        return self._address

    @property
    def roles(self) -> frozenset[str]:
        return frozenset()

    @asynccontextmanager
    async def new_session(self) -> AsyncIterator[_Session]:
        yield _Session(self._address, self._config, self._mailroom.folders(self._address))

    async def new_token(self, *, expiration: datetime | None = None) -> str | None:
        return None

    async def get(self) -> UserMetadata:
        if not self._mailroom.knows(self._address):
            raise UserNotFound(self._address)
        return UserMetadata(self._config, self._address)

    async def set(self, metadata: UserMetadata) -> int | None:
        raise NotAllowedError("mailboxes of the sandbox cannot be changed")

    async def delete(self) -> None:
        raise NotAllowedError("mailboxes of the sandbox cannot be deleted")


class Login(LoginInterface):
    """Opens a mailbox for the structure that the client certificate names."""

    def __init__(self, mailroom: Mailroom, config: IMAPConfig) -> None:
        self._mailroom = mailroom
        self._config = config
        self._tokens = AllTokens(config)

    @property
    def tokens(self) -> TokensInterface:
        return self._tokens

    async def authenticate(self, credentials: ServerCredentials) -> _Identity:
        structure = structure_of(socket_info.get().peercert)
        if isinstance(credentials, ExternalCredentials):
            address = credentials.authzid or self._mailroom.only_mailbox_of(structure) or ""
        elif isinstance(credentials, PlainCredentials) and credentials.verify(_Password(self._mailroom.password)):
            address = credentials.authcid
        else:
            raise InvalidAuth()
        if not self._mailroom.belongs_to(address, structure):
            raise InvalidAuth()
        return _Identity(address.lower(), self._config, self._mailroom)

    async def authorize(self, authenticated: IdentityInterface, authzid: str) -> IdentityInterface:
        if authzid and authzid.lower() != authenticated.name:
            raise InvalidAuth()
        return authenticated


class _Password:
    """What pysasl asks of an identity: any name will do, the mailbox is checked against the certificate."""

    authcid = ""

    def __init__(self, password: str) -> None:
        self._password = password

    def compare_authcid(self, authcid: str) -> bool:
        return True

    def compare_secret(self, value: str) -> bool:
        return secrets.compare_digest(value.encode(), self._password.encode())

    def get_clear_secret(self) -> str | None:
        return None


class _Authenticate(AuthenticateCommand):
    """AUTHENTICATE with an initial response (SASL-IR, RFC 4959), which pymap does not read by itself."""

    initial_response: bytes | None = None

    @classmethod
    def parse(cls, buf: memoryview, params: Params) -> tuple[AuthenticateCommand, memoryview]:
        _, after = Space.parse(buf, params)
        mechanism, after = Atom.parse(after, params)
        command = cls(params.tag, mechanism.value.upper())
        line = bytes(after)
        if line.strip():
            command.initial_response = _base64(line.strip())
            after = after[len(line.rstrip(b"\r\n")) :]
        _, after = EndLine.parse(after, params)
        return command, after


def _base64(text: bytes) -> bytes:
    try:
        return b"" if text == b"=" else binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise NotParseable(memoryview(text)) from None


class _InitialResponse:
    """Gives a SASL mechanism the initial response of the command that is being executed."""

    def server_attempt(self, responses: Sequence[ChallengeResponse]) -> Any:
        given = getattr(current_command.get(), "initial_response", None)
        if not responses and given is not None:
            responses = [ChallengeResponse(b"", given)]
        return super().server_attempt(responses)  # type: ignore[misc]


class _External(_InitialResponse, ExternalMechanism):
    pass


class _Plain(_InitialResponse, PlainMechanism):
    pass


class ImapSettings(IMAPConfig):
    """What pymap must know: no clear text, no passwords of its own, IDLE, keywords and SASL-IR."""

    def __init__(self, *, starttls: Any | None = None) -> None:
        nothing_given = Namespace(passlib_cfg=None, proxy_protocol=None)
        super().__init__(
            nothing_given,
            host=None,
            port=0,
            ssl_context=starttls,
            tls_enabled=starttls is not None,
            hash_context=Cleartext(),
            invalid_user_sleep=0,
        )

    @property
    def backend_capability(self) -> BackendCapability:
        return BackendCapability(idle=True, object_id=True, multi_append=True)

    @property
    def tls_auth(self) -> SASLAuth:
        return SASLAuth([_External(b"EXTERNAL"), _Plain(b"PLAIN"), LoginMechanism(b"LOGIN")])

    @property
    def commands(self) -> Commands:
        commands = Commands()
        commands.register(_Authenticate)
        return commands

    @property
    def initial_capability(self) -> Sequence[bytes]:
        return [b"SASL-IR", *super().initial_capability]

    @property
    def greeting(self) -> bytes:
        return b"Operateur bac a sable (fictif)"
