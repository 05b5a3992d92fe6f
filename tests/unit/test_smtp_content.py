"""What goes between DATA and the final dot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Permanent
from hub.raw import Raw, Whole
from hub.smtp.content import dotted


class InTwo(Whole):
    def __init__(self, raw: bytes, cut: int) -> None:
        super().__init__(raw)
        self._halves = raw[:cut], raw[cut:]

    async def pieces(self) -> AsyncIterator[bytes]:
        for half in self._halves:
            yield half


def wire(mail: Raw) -> bytes:
    async def joined() -> bytes:
        return b"".join([piece async for piece in dotted(mail)])

    return asyncio.run(joined())


@given(
    st.lists(st.sampled_from([b"\r\n", b".", b"\r\n.\r\n", b"a", b"\xff", b".."]), max_size=30).map(b"".join),
    st.integers(0, 60),
)
def test_a_mail_goes_out_alike_however_it_is_cut(raw: bytes, cut: int) -> None:
    whole = wire(Whole(raw))
    assert wire(InTwo(raw, cut)) == whole
    lines = whole.removesuffix(b"\r\n").split(b"\r\n") if whole else []
    assert b"\r\n".join(line.removeprefix(b".") for line in lines) == raw.removesuffix(b"\r\n")
    assert all(line != b"." for line in lines)


@given(st.sampled_from([b"\r", b"\n", b"\n.\r\n", b"\r.\r\n"]), st.integers(0, 12))
def test_a_bare_line_end_is_refused_wherever_it_is_cut(bare: bytes, cut: int) -> None:
    with pytest.raises(Permanent):
        wire(InTwo(b"ab\r\n" + bare + b"x\r\n", cut))
