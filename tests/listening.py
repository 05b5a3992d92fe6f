"""Hears everything that the suite says where no secret may stand, and fails the test in which one is found (RH-81).

Heard: the hub's log at every level; standard error of this process, of `hub` commands run in it and of every Python
that a test starts; the logs of services in files; the private texts of the hub's errors; rows of the journal (of
SQLite files too when other processes wrote them); answers of `hub web`; URLs that are asked; names of files and
folders below the tests' own. Standard output of a command is for a person at a terminal and is not heard, nor are the
logs of Dovecot, Postfix and other servers, which are not the hub's.

A module: registered by `conftest.py`. A leak is told by its kind and its place, never by itself.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests import taps
from tests.quiet import SECRETS, Secrets, add_people

_TOLD_MOST = 20  # leaks told of one test
_FORMAT = logging.Formatter("%(name)s %(levelname)s %(message)s")


class Ears(logging.Handler):
    """Texts as they come, with where they were told; `leaks` looks at them and forgets them."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(_FORMAT)
        self._secrets = secrets
        self._heard: list[tuple[str, str]] = []
        self._files: dict[Path, int] = {}  # how far each was read
        self._is_formatting = False

    def hear(self, where: str, text: str | bytes | None) -> None:
        if text:
            self._heard.append((where, text.decode("utf-8", "replace") if isinstance(text, bytes) else text))

    def hear_file(self, path: Path) -> None:
        """From now on, as it grows."""
        self._files.setdefault(path, 0)

    def hear_folder(self, folder: Path) -> None:
        """The names in it at any depth, its logs, and the journals of its SQLite databases."""
        for root, folders, files in os.walk(folder):
            self.hear(f"names of files in {folder.name}", "\n".join((*folders, *files)))
            for path in (Path(root, name) for name in files):
                if path.suffix == ".log":
                    self.hear_file(path)
                elif path.suffix == ".db":
                    self._hear_journal(path)

    def _hear_journal(self, path: Path) -> None:
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=rw", 1.0, uri=True)) as database:
            rows = database.execute("select action, request, answer from journal").fetchall()
            self.hear(f"journal in {path.name}", "\n".join(" ".join(map(str, row)) for row in rows))

    def emit(self, record: logging.LogRecord) -> None:
        if self._is_formatting:  # what a record logs itself when it is written
            return
        self._is_formatting = True
        try:
            self.hear(f"log, {record.pathname}:{record.lineno}", self.format(record))
        finally:
            self._is_formatting = False

    def leaks(self) -> list[str]:
        """What was told since the last look: a line for each kind and place."""
        for path, read in self._files.items():
            with suppress(OSError), path.open("rb") as file:
                file.seek(read)
                new = file.read()
                self._files[path] = read + len(new)
                self.hear(f"{path.name} from byte {read}", new)
        heard, self._heard = self._heard, []
        found = [(where, leak) for where, text in heard for leak in self._secrets.leaks_in(text)]
        return list(dict.fromkeys(f"{leak.kind}: {where}, line {leak.line}" for where, leak in found))


EARS = Ears(SECRETS)
"""Those of this process. A test that reads what only it can see (an answer, a remote database) says it to them."""


class Listening:
    """The plugin."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._walked: set[Path] = set()
        self._lasting: frozenset[str] = frozenset()
        self._is_over = False  # all tests of a module

    def pytest_collection_finish(self) -> None:
        """All test modules are there: the people in them are known, and what parts they use."""
        for name, module in tuple(sys.modules.items()):
            if name.startswith("tests.") or name == "hub.sandbox.people":
                add_people(vars(module).values())
        self._lasting = frozenset(SECRETS.subjects)  # of mails that are constants of a module
        taps.attach(self._ears)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        root = logging.getLogger()
        if self._ears not in root.handlers:  # a test that sets logging up throws other handlers out
            root.addHandler(self._ears)
        logging.getLogger("hub").setLevel(logging.DEBUG)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
        yield
        is_last = nextitem is None or nextitem.path != item.path
        own = getattr(item, "funcargs", {}).get("tmp_path")
        for folder in self._made_since(item.config) if is_last else filter(None, [own]):
            self._ears.hear_folder(folder)
            self._walked.add(folder)
        self._is_over = is_last

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        for name, text in report.sections:
            if name == f"Captured stderr {report.when}":
                self._ears.hear("standard error", text)
        if found := self._ears.leaks():
            lines = "\n".join(["RH-81: told where no secret may stand", *found[:_TOLD_MOST]])
            if report.passed:
                report.outcome, report.longrepr = "failed", lines
            else:
                report.sections.append(("RH-81", lines))
            report.sections = [(name, text) for name, text in report.sections if not SECRETS.leaks_in(text)]
        if self._is_over and report.when == "teardown":
            SECRETS.subjects &= self._lasting
        return report

    def _made_since(self, config: pytest.Config) -> Iterable[Path]:
        """The folders of the tests and of their modules that nobody looked into yet."""
        base: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # the fixture of that name
        return [path for path in base.iterdir() if path.is_dir() and not path.is_symlink() and path not in self._walked]
