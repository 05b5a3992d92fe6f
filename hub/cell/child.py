"""The child's side of the cell. Reads requests from its socket until the other end is closed.

Limits are set by the child itself, once its own code is loaded and before the first foreign byte: memory, no core file,
no file written, no process started, few descriptors. A message that exhausts the memory is answered as such when
Python could say so; a crash or a deadline is for the parent to see.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from hub.cda import Codes
from hub.cell.wire import ANSWER, LARGE, REQUEST, Answered, Orders, Task, Verdict, Words
from hub.encoding import decode, encode
from hub.message import Defect, DocumentForm, ParsedMessage
from hub.parse import Witness, add_clues, parse, parse_file
from hub.pdf import archival
from hub.smime import Trust

DESCRIPTORS_MOST = 32


def main(descriptor: int) -> None:
    wire = socket.socket(fileno=descriptor)
    orders = decode(_exactly(wire, REQUEST.unpack(_exactly(wire, REQUEST.size))[0]), Orders)
    codes = Codes.from_tables({file.name: file.read_text("utf-8") for file in Path(orders.codes_dir).glob("*.csv")})
    trust = Trust(orders.anchors, frozenset(orders.purposes))
    confine(orders.memory)
    gc.freeze()
    _answer(wire, Verdict.READY, b"")
    while header := _exactly(wire, REQUEST.size):
        length, task_length = REQUEST.unpack(header)
        task = decode(_exactly(wire, task_length), Task)
        message = [_exactly(wire, length)]  # in a list, so that `parse` alone holds it and can let it go
        signal.setitimer(signal.ITIMER_REAL, orders.alarm)  # its default deed is to end the process, C code or not
        signal.setitimer(signal.ITIMER_PROF, orders.processor)  # so is that of this one
        verdict, answer, large = done(message, task, orders, codes, trust)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _answer(wire, verdict, answer)
        for document in large:
            wire.sendall(document)
        del large


def done(
    raw: list[bytes], task: Task, orders: Orders, codes: Codes, trust: Trust
) -> tuple[Verdict, bytes, list[bytes]]:
    """What to answer, and the large documents to send after it."""
    try:
        if task.copy_at is not None:
            return Verdict.READ, _copied(raw.pop(), task.copy_at), []
        message = _read(raw, task, orders, codes, trust)
        large = [(place, d.raw) for place, d in enumerate(message.documents) if task.are_wanted and len(d.raw) > LARGE]
        told = Answered(_light(message, task.are_wanted), tuple((place, len(raw)) for place, raw in large))
        return Verdict.READ, encode(told), [raw for _, raw in large]
    except MemoryError:
        return Verdict.NO_MEMORY, b"", []
    except Exception as error:  # parse promises not to raise: whatever it is, the parent names the outcome
        return Verdict.FAILED, type(error).__name__.encode(), []


def _read(raw: list[bytes], task: Task, orders: Orders, codes: Codes, trust: Trust) -> ParsedMessage:
    read_pdf = task.words != Words.NONE
    witness = Witness(trust, task.received_at) if task.received_at is not None else None
    if task.name:
        message = parse_file(raw.pop(), orders.limits, codes, task.name, read_pdf, witness)
    else:
        words_for = frozenset(task.types) if task.words == Words.OF_THESE_TYPES else None
        message = parse(raw.pop(), orders.limits, codes, read_pdf, words_for, witness)
    if task.clues and read_pdf:
        message = add_clues(message)
    return message if read_pdf else _without_pdf(message)


def _copied(raw: bytes, at: datetime) -> bytes:
    """An encoded Archived; without its bytes when they are those that came."""
    found = archival(raw, at)
    return encode(found if found.was_converted else replace(found, raw=b""))


def _light(message: ParsedMessage, are_wanted: bool) -> ParsedMessage:
    """Without the bytes that nobody on the other side looks at, and without those that follow by themselves."""
    documents = (
        replace(d, body=b"", raw=d.raw if are_wanted and len(d.raw) <= LARGE else b"") for d in message.documents
    )
    return replace(message, documents=tuple(documents))


def _without_pdf(message: ParsedMessage) -> ParsedMessage:
    """The second reading, told apart from a whole one when there was a PDF to leave out."""
    seen = any(d.form is DocumentForm.PDF or d.body.startswith(b"%PDF-") for d in message.documents)
    return replace(message, defects=(*message.defects, Defect("pdf-unreadable"))) if seen else message


def confine(memory: int) -> None:
    """From here on: `memory` bytes of address space, no core dump, no file, no new process."""
    limits = [
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, DESCRIPTORS_MOST),
    ]
    for which, most in limits:
        resource.setrlimit(which, (most, most))


def _exactly(wire: socket.socket, size: int) -> bytes:
    """`size` bytes without a second copy; nothing when the other end was closed."""
    raw = wire.recv(size, socket.MSG_WAITALL) if size else b""
    if len(raw) == size:
        return raw
    pieces = [raw]
    while raw and sum(map(len, pieces)) < size:  # a signal may cut MSG_WAITALL short
        raw = wire.recv(size - sum(map(len, pieces)), socket.MSG_WAITALL)
        pieces.append(raw)
    return b"".join(pieces) if raw else b""


def _answer(wire: socket.socket, verdict: Verdict, answer: bytes) -> None:
    header = ANSWER.pack(len(answer), verdict, _resident())
    if len(answer) < 65536:
        wire.sendall(header + answer)
    else:
        wire.sendall(header)
        wire.sendall(answer)


def _resident() -> int:
    """Resident memory in bytes. A plain read: a file object costs more than the rest of the answer."""
    descriptor = os.open("/proc/self/statm", os.O_RDONLY)
    try:
        return int(os.read(descriptor, 128).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    finally:
        os.close(descriptor)
