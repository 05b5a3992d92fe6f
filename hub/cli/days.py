"""Days as people type and read them in commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TypeVar
from zoneinfo import ZoneInfo

import typer

from hub.records.book_csv import day
from hub.wiring import House, now

T = TypeVar("T")


def checked(reader: Callable[[str], T], value: str, option: str) -> T:
    """The value of an option as `reader` gives it; a wrong one is told under its name."""
    try:
        return reader(value)
    except ValueError as error:
        raise typer.BadParameter(f"{option} : {error}") from None


def day_of(value: str | None, option: str) -> date | None:
    """`31/05/2026` or `2026-05-31`; None when nothing was given, or the empty text."""
    return checked(day, value, option) if value else None


def today_of(house: House) -> date:
    return now().astimezone(ZoneInfo(house.settings.site.timezone)).date()


def in_words(day: date | None) -> str:
    return f"{day:%d/%m/%Y}" if day is not None else ""
