"""The rulebook in force: what a change of its files does, and what a wrong one does not."""

# ruff: noqa: ASYNC110, ASYNC240  (files of a few bytes; what is waited for has no event)
from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.settings import Settings, default_config_dir
from hub.wiring import rulebook
from hub.wiring.members import LiveMembers
from hub.wiring.rulebook import LiveRulebook

ROUTES = """\
rules:
  - name: "%s"
    then: {hold: "Lisez ce message."}
"""


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rulebook, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(rulebook, "CONFIRM_AFTER", 0.01)
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES % "avant")
    return file


def live(routes: Path) -> LiveRulebook:
    settings = Settings(
        routes_file=routes, document_types_file=default_config_dir() / "document_types.yaml", data_dir=routes.parent
    )
    return LiveRulebook(settings, LiveMembers(settings))


@asynccontextmanager
async def watched(rules: LiveRulebook) -> AsyncIterator[None]:
    stop = asyncio.Event()
    watching = asyncio.create_task(rules.watch(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(watching, 5)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def name_of(rules: LiveRulebook) -> str:
    return rules.current().routes[0].route.name


async def test_a_changed_file_is_taken_without_restart(routes: Path) -> None:
    rules = live(routes)
    async with watched(rules):
        routes.write_text(ROUTES % "ensuite")
        await until(lambda: name_of(rules) == "ensuite")


async def test_a_file_replaced_by_an_editor_is_taken(routes: Path) -> None:
    rules = live(routes)
    async with watched(rules):
        draft = routes.with_suffix(".new")
        draft.write_text(ROUTES % "apres")
        os.replace(draft, routes)
        await until(lambda: name_of(rules) == "apres")


async def test_a_change_made_before_the_watch_began_is_taken(routes: Path) -> None:
    rules = live(routes)
    routes.write_text(ROUTES % "entre-temps")
    async with watched(rules):
        await until(lambda: name_of(rules) == "entre-temps")


async def test_a_wrong_file_leaves_the_former_rules_in_force_and_its_repair_is_taken(routes: Path) -> None:
    rules = live(routes)
    async with watched(rules):
        routes.write_text("rules: 3")
        await until(lambda: rules.refused == 1)
        assert name_of(rules) == "avant"
        routes.unlink()
        await until(lambda: rules.refused == 2)
        routes.write_text(ROUTES % "mieux")
        await until(lambda: name_of(rules) == "mieux")


async def test_what_others_write_in_the_folder_is_no_change(routes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = live(routes)
    reloads: list[None] = []
    monkeypatch.setattr(rules, "reload", lambda: reloads.append(None))
    async with watched(rules):
        for number in range(5):
            (routes.parent / "hub.db-wal").write_bytes(bytes(number))
            await asyncio.sleep(0.02)
    assert reloads == []
