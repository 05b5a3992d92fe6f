"""The key ring: seals and opens what is kept at rest (AES-256-GCM, NIST SP 800-38D).

In flow clear bytes and an `aad` that binds them to their place; out flow bytes that name their key, so that keys can
be rotated while old pieces stay readable. Two forms: a sealed piece (a step, a small blob), and a stream cut in 1 MiB
chunks (a large blob), of which no chunk can be changed, lost, moved or taken from another stream unnoticed.
Altered bytes raise Damaged; a key that is not in the ring, or a bad key file, raises Misconfigured.

    piece   "hub" 01  n  key id (n bytes)  nonce (12)  ciphertext and tag
    stream  "hub" 02  n  key id (n bytes)  stream id (16)  chunk chunk …
    chunk   nonce (12)  ciphertext (1 MiB, the last at most 1 MiB)  tag (16)

The GCM aad of a piece is everything before the nonce, then the caller's `aad`; that of a chunk is the stream's header,
the caller's `aad`, the chunk's number (8 bytes) and 1 for the last chunk, else 0. Nonces are random: one key is good
for 2^32 pieces and chunks (SP 800-38D §8.3), far more than a site writes between two rotations.

The key file: one `id:base64 of 32 bytes` a line, oldest first; the last one seals. `#` begins a comment; `# added DATE`
above a key says since when it is there.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import Damaged, Misconfigured

CHUNK = 1024**2
KEY_BYTES = 32
NONCE = 12
TAG = 16
STREAM_ID = 16

_PIECE = b"hub\x01"
_STREAM = b"hub\x02"
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,16}")
_ADDED = re.compile(r"# added ([0-9]{4}-[0-9]{2}-[0-9]{2})")
_HEADING = "# Keys that seal what the hub keeps. Without this file nothing kept is readable: keep a copy elsewhere.\n"


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What may be shown of a key. `added_on` is None for one of a time when that was not written down."""

    id: str
    added_on: date | None = None


class KeyRing:
    """`hub.ports.Sealer`, and the streams of `hub.spool.blobs`. Safe in any thread. The current key never changes; a
    key that another process added to the file since is read from there when a piece names it."""

    def __init__(self, keys: Mapping[str, bytes], file: Path | None = None) -> None:
        """`keys`: id -> 32 bytes, oldest first; the last one is current. `file`: where they were read."""
        self._file = file
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.current_id = list(keys)[-1]
        self.oldest_id = next(iter(keys))  # the same for as long as the site lives: rotation only adds
        self._piece_header = _header(_PIECE, self.current_id)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new key file with one key, readable by its owner alone. Raises Misconfigured when the file is there."""
        keys = {_new_id(): secrets.token_bytes(KEY_BYTES)}
        try:
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
                file.write(_HEADING + _lines(keys))
                file.flush()
                os.fsync(file.fileno())
            _sync_folder(path.parent)
        except FileExistsError:
            raise Misconfigured(f"{path}:1 - there is a key file already, it is not overwritten") from None
        except OSError as error:
            raise Misconfigured(f"{path}:1 - the key file cannot be written: {error.strerror}") from None
        return cls(keys)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The ring of a key file. Raises Misconfigured with `file:line`, never quoting a key."""
        return cls(_read(path), path)

    @classmethod
    def rotate(cls, path: Path) -> Self:
        """Add a key, which becomes the current one; older keys stay to open what they sealed. The file is replaced as
        a whole, so that a crash leaves the old one or the new one. Raises Misconfigured."""
        keys = _read(path)
        new_id = next(key_id for key_id in iter(_new_id, None) if key_id not in keys)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        line = _lines({new_id: secrets.token_bytes(KEY_BYTES)})
        try:
            text = path.read_text(encoding="ascii")
            with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
                file.write(text + ("" if text.endswith("\n") else "\n") + line)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise Misconfigured(f"{path}:1 - the key file cannot be replaced: {error.strerror}") from None
        return cls.load(path)

    def seal(self, clear: bytes, aad: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        cipher = self._ciphers[self.current_id]
        return self._piece_header + nonce + cipher.encrypt(nonce, clear, self._piece_header + aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Raises Damaged, Misconfigured."""
        header, cipher = self._opened_header(sealed, _PIECE)
        nonce = sealed[len(header) : len(header) + NONCE]
        if len(nonce) < NONCE:
            raise Damaged("a sealed piece is cut short")
        return _decrypted(cipher, nonce, sealed[len(header) + NONCE :], header + aad)

    def sealing(self, aad: bytes) -> SealingStream:
        """A stream to seal piece by piece with the current key."""
        header = _header(_STREAM, self.current_id) + os.urandom(STREAM_ID)
        return SealingStream(self.current_id, self._ciphers[self.current_id], header, aad)

    def opening(self, sealed: Iterable[bytes], aad: bytes) -> Iterator[bytes]:
        """The clear chunks of a sealed stream that comes in pieces of any size. Nothing is whole before the iterator
        ends: use no chunk before. Raises Damaged (also at the end: a stream cut short), Misconfigured."""
        source = _Pieces(sealed)
        start = source.take(len(_STREAM) + 1)
        rest = source.take(start[-1] + STREAM_ID) if len(start) == len(_STREAM) + 1 else b""
        key_header, cipher = self._opened_header(start + rest, _STREAM)
        header = start + rest
        if len(header) != len(key_header) + STREAM_ID:
            raise Damaged("a sealed stream is cut short")
        number, last = 0, False
        while not last:
            chunk = source.take(NONCE + CHUNK + TAG)
            last = source.is_at_end()
            if len(chunk) < NONCE + TAG:
                raise Damaged("a sealed stream is cut short")
            yield _decrypted(cipher, chunk[:NONCE], chunk[NONCE:], _chunk_aad(header, aad, number, last))
            number += 1

    def _opened_header(self, sealed: bytes, magic: bytes) -> tuple[bytes, AESGCM]:
        """(magic, length and key id; the key's cipher)."""
        start = len(magic) + 1
        if sealed[: len(magic)] != magic or len(sealed) < start:
            raise Damaged("these bytes were not sealed by the hub")
        end = start + sealed[start - 1]
        key_id = sealed[start:end].decode("ascii", "replace")
        if len(sealed) < end or not _KEY_ID.fullmatch(key_id):
            raise Damaged("a sealed piece names no key")
        cipher = self._ciphers.get(key_id) or self._added(key_id)
        if cipher is None:
            raise Misconfigured(f"key_file: the key {key_id} is not in the ring; take it from a copy of the key file")
        return sealed[:end], cipher

    def _added(self, key_id: str) -> AESGCM | None:
        """A key of a rotation that came after this ring was made. Raises Misconfigured (the file is gone or wrong)."""
        key = _read(self._file).get(key_id) if self._file is not None else None
        if key is None:
            return None
        self._ciphers = self._ciphers | {key_id: AESGCM(key)}
        return self._ciphers[key_id]


class SealingStream:
    """Seals a stream of clear pieces of any size. Keeps at most one chunk and one piece in memory."""

    def __init__(self, key_id: str, cipher: AESGCM, header: bytes, aad: bytes) -> None:
        self.key_id = key_id
        self._cipher = cipher
        self._header = header
        self._aad = aad
        self._number = 0
        self._pending: list[bytes] = []  # joined once a chunk: to append to one buffer would copy them over and over
        self._size = 0
        self._begun = False

    def write(self, piece: bytes) -> bytes:
        """The sealed bytes to append now, possibly none. A full chunk waits until it is known not to be the last."""
        self._pending.append(piece)
        self._size += len(piece)
        if self._size <= CHUNK:
            return self._beginning()
        pending = memoryview(b"".join(self._pending))
        sealed: list[bytes | bytearray] = [self._beginning()]
        while len(pending) > CHUNK:
            sealed.append(self._chunk(pending[:CHUNK], last=False))
            pending = pending[CHUNK:]
        self._pending, self._size = [bytes(pending)], len(pending)
        return b"".join(sealed)

    def finish(self) -> bytes | bytearray:
        """The last bytes to append. The stream must not be used afterwards."""
        beginning = self._beginning()
        last = self._chunk(memoryview(b"".join(self._pending)), last=True)
        return beginning + last if beginning else last

    def _beginning(self) -> bytes:
        begun, self._begun = self._begun, True
        return b"" if begun else self._header

    def _chunk(self, clear: memoryview, last: bool) -> bytearray:
        nonce = os.urandom(NONCE)
        aad = _chunk_aad(self._header, self._aad, self._number, last)
        self._number += 1
        sealed = bytearray(NONCE + len(clear) + TAG)
        sealed[:NONCE] = nonce
        self._cipher.encrypt_into(nonce, clear, aad, memoryview(sealed)[NONCE:])
        return sealed


class _Pieces:
    """Pieces of any size, taken in the sizes wanted."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = bytearray()

    def take(self, most: int) -> bytes:
        """`most` bytes, fewer only at the end."""
        self._fill(most)
        taken = bytes(self._held[:most])
        del self._held[:most]
        return taken

    def is_at_end(self) -> bool:
        self._fill(1)
        return not self._held

    def _fill(self, wanted: int) -> None:
        while len(self._held) < wanted:
            piece = next(self._pieces, None)
            if piece is None:
                return
            self._held += piece


def _header(magic: bytes, key_id: str) -> bytes:
    return magic + bytes([len(key_id)]) + key_id.encode("ascii")


def _chunk_aad(header: bytes, aad: bytes, number: int, last: bool) -> bytes:
    return header + aad + number.to_bytes(8) + bytes([last])


def _decrypted(cipher: AESGCM, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Damaged("sealed bytes were altered, or belong elsewhere") from None


def _new_id() -> str:
    return f"k{secrets.token_hex(4)}"


def _lines(keys: Mapping[str, bytes]) -> str:
    today = datetime.now(UTC).date()
    return "".join(f"# added {today}\n{key_id}:{base64.b64encode(key).decode()}\n" for key_id, key in keys.items())


def read_facts(path: Path) -> tuple[KeyFacts, ...]:
    """The keys of a file, in its order. Raises Misconfigured."""
    keys, found, added_on = _read(path), [], None
    for line in path.read_text(encoding="ascii").splitlines():
        if (said := _ADDED.fullmatch(line.strip())) is not None:
            added_on = _day(said.group(1))
        elif (key_id := line.strip().partition(":")[0]) in keys:
            found.append(KeyFacts(key_id, added_on))
            added_on = None
    return tuple(found)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _read(path: Path) -> dict[str, bytes]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        raise Misconfigured(f"{path}:1 - there is no key file (hub init makes one)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}:1 - the key file cannot be read: {type(error).__name__}") from None
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            key_id, key = _read_line(f"{path}:{number}", line.strip())
            if key_id in keys:
                raise Misconfigured(f"{path}:{number} - the key {key_id} is there twice")
            keys[key_id] = key
    if not keys:
        raise Misconfigured(f"{path}:1 - the key file holds no key")
    return keys


def _read_line(place: str, line: str) -> tuple[str, bytes]:
    key_id, colon, text = line.partition(":")
    if not colon or not _KEY_ID.fullmatch(key_id):
        raise Misconfigured(f"{place} - a line is `id:base64`, the id 1 to 16 of A-Z a-z 0-9 _ -")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Misconfigured(f"{place} - the key {key_id} is not base64") from None
    if len(key) != KEY_BYTES:
        raise Misconfigured(f"{place} - the key {key_id} has {len(key)} bytes, {KEY_BYTES} are needed")
    return key_id, key


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
