"""`signatures`: what a signature costs to write and to judge, against what no program can leave out.

Writing: the floor is the key's own signature and the SHA-256 of the entity; the hub adds a look at each line (no relay
will change it), the CMS and the MIME around. Judging: what it adds to the reading of the mail. One process, its
processor time, A B A B; fictional certificates of three levels. The collector is set as in the reader's child.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from bench.figures import Figure, Options, Result, median_of, ratio_of
from hub.cda import Codes
from hub.message import Limits
from hub.parse import Witness, parse
from hub.smime import Trust, sign
from hub.trust.signing import SigningKey
from tests.signers import AT, Authority, head

TITLE = "signatures: written and judged"
SIZES = (("10 KB", 10_000), ("60 KB", 60_000), ("1 MB", 1_000_000))
GATES = {"10 KB": 1.2}  # beyond, the digest and the look at each line weigh more than the key
TURNS = 40  # calls a measure
_LINE = b"A" * 76 + b"\r\n"


def run(options: Options) -> Result:
    authority = Authority("rsa")
    holder, figures, rounds = authority.signer(), list[Figure](), options.rounds or 9
    assert isinstance(holder.key, rsa.RSAPrivateKey)
    signer = SigningKey(Path("banc.pem"), holder.certificates, holder.kind, holder.key)
    gc.collect()
    gc.freeze()
    for label, size in SIZES:
        hub, floor = _measured(rounds, partial(_signed, _entity(size), signer), partial(_floor, _entity(size), signer))
        figures.append(ratio_of(f"sign {label}, RSA-2048, over key and digest", hub, floor, GATES.get(label)))
        figures.append(median_of(f"sign {label}", hub, "ms"))
    raw, witness = head() + sign(_entity(60_000), signer, AT, "=_banc"), Witness(Trust(authority.anchors), AT)
    judged, unjudged = _measured(rounds, partial(_read, raw, witness), partial(_read, raw, None))
    costs = [one - other for one, other in zip(judged, unjudged, strict=True)]
    figures.append(median_of("judge a signed 60 KB mail, chain of three", costs, "ms"))
    return Result("signatures", TITLE, tuple(figures))


def _entity(size: int) -> bytes:
    return b"Content-Type: text/plain\r\n\r\n" + _LINE * (size // len(_LINE))


def _signed(entity: bytes, signer: SigningKey) -> object:
    return sign(entity, signer, AT, "=_banc")


def _floor(entity: bytes, signer: SigningKey) -> object:
    return signer.sign(hashlib.sha256(entity).digest())


def _read(raw: bytes, witness: Witness | None) -> object:
    return parse(raw, Limits(), Codes.empty(), witness=witness)


def _measured(rounds: int, one: Callable[[], object], other: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Milliseconds of processor time a call, round by round."""
    pairs = [(_timed(one), _timed(other)) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _timed(call: Callable[[], object]) -> float:
    call()
    start = time.process_time()
    for _ in range(TURNS):
        call()
    return (time.process_time() - start) / TURNS * 1_000
