"""Where the suite's ears are put: what is told and cannot be heard from outside passes through here first.

`attach` wraps, once in a process, what is loaded of: the hub's errors, journal, pages and fetcher; its passwords and
data keys, which become known as secrets; commands run in this process, and every Python that a test starts. What
passes is not changed.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tests.quiet import SECRETS


class Hears(Protocol):
    def hear(self, where: str, text: str | bytes | None) -> None: ...

    def hear_file(self, path: Path) -> None: ...


Honest = Callable[..., Any]


def attach(ears: Hears) -> None:
    """What is imported later is not heard: call it when all test modules are there."""
    for place, name, tap in (
        ("hub.errors.HubError", "__init__", _error),
        ("hub.journal", "append_all", _entries),
        ("hub.trust.keys.KeyRing", "__init__", _keys),
        ("hub.records.passwords.Passwords", "hash", _password),
        ("hub.records.passwords.Passwords", "_check", _password),
        ("hub.imap.opening.Credentials", "__init__", _login),
        ("hub.smtp.route.Route", "__init__", _login),
        ("hub.web.app.SafeHeaders", "__call__", _page),
        ("hub.trust.fetching.Fetcher", "_answered", _url),
        ("tests.edges.pages", "_answer", _url_of_a_process),
        ("smtplib.SMTP", "sendmail", _mail),
        ("subprocess.Popen", "__init__", _child),
        ("subprocess.Popen", "communicate", _child_ended),
        ("asyncio.subprocess.Process", "communicate", _child_of_a_loop_ended),
        ("typer.testing.CliRunner", "invoke", _command),
        ("_pytest.capture.CaptureFixture", "readouterr", _captured),
    ):
        module, _, last = place.rpartition(".")
        owner = sys.modules.get(place) or getattr(sys.modules.get(module), last, None)
        if owner is not None and not hasattr(getattr(owner, name), "is_tapped"):
            setattr(owner, name, _tapped(tap, ears, getattr(owner, name)))


def _tapped(tap: Callable[..., Any], ears: Hears, honest: Honest) -> Honest:
    @functools.wraps(honest)
    def passing(*arguments: Any, **named: Any) -> Any:
        return tap(ears, honest, *arguments, **named)

    passing.is_tapped = True  # type: ignore[attr-defined]
    return passing


# --- what the hub tells


def _error(ears: Hears, honest: Honest, error: Exception, private: str, *more: Any, **named: Any) -> None:
    honest(error, private, *more, **named)
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_name == "__init__":  # of its own kind of error
        frame = frame.f_back
    ears.hear(f"{type(error).__name__}.private, {frame.f_code.co_filename}:{frame.f_lineno}", private)


def _entries(ears: Hears, honest: Honest, connection: Any, at: Any, author: str, deeds: Any, *more: Any) -> int:
    kept = list(deeds)
    for deed in kept:
        ears.hear(f"journal, {deed.action}", f"{deed.request}\n{deed.answer}")
    return int(honest(connection, at, author, kept, *more))


def _page(ears: Hears, honest: Honest, app: Any, scope: Any, receive: Any, send: Any) -> Any:
    async def heard(message: Any) -> None:
        ears.hear(f"answer of hub web to {scope.get('path')}", message.get("body"))
        await send(message)

    return honest(app, scope, receive, heard)


def _url(ears: Hears, honest: Honest, fetcher: Any, method: str, url: str, *more: Any, **named: Any) -> Any:
    ears.hear("URL asked", url)
    return honest(fetcher, method, url, *more, **named)


def _url_of_a_process(ears: Hears, honest: Honest, writer: Any, request: Any, page: Any) -> Any:
    ears.hear("URL asked", request.path)
    return honest(writer, request, page)


# --- what becomes a secret


def _keys(ears: Hears, honest: Honest, ring: Any, keys: Any, *more: Any) -> None:
    for key in keys.values():
        SECRETS.add_key(key)
    honest(ring, keys, *more)


def _password(ears: Hears, honest: Honest, passwords: Any, word: str | bytes, *more: Any) -> Any:
    SECRETS.add_password(word if isinstance(word, str) else word.decode("utf-8", "replace"))
    return honest(passwords, word, *more)


def _login(ears: Hears, honest: Honest, made: Any, *more: Any, **named: Any) -> None:
    honest(made, *more, **named)
    SECRETS.add_password(made.password)


def _mail(ears: Hears, honest: Honest, client: Any, sender: str, to: Any, raw: Any, *more: Any, **named: Any) -> Any:
    SECRETS.add_mail(raw if isinstance(raw, bytes) else raw.encode("utf-8", "replace"))
    return honest(client, sender, to, raw, *more, **named)


# --- what other processes and commands tell


def _child(ears: Hears, honest: Honest, child: Any, arguments: Any, *more: Any, **named: Any) -> None:
    honest(child, arguments, *more, **named)
    child.is_python = isinstance(arguments, list | tuple) and "python" in os.path.basename(str(arguments[0]))
    stderr = named.get("stderr")
    if stderr == subprocess.STDOUT:
        stderr = named.get("stdout")
    number = stderr if stderr is None or isinstance(stderr, int) else stderr.fileno()
    if child.is_python and isinstance(number, int) and number > 2:
        path = Path(os.readlink(f"/proc/self/fd/{number}"))
        if path.is_file():
            ears.hear_file(path)


def _child_ended(ears: Hears, honest: Honest, child: Any, *more: Any, **named: Any) -> Any:
    out, err = honest(child, *more, **named)
    if getattr(child, "is_python", False):
        ears.hear(f"standard error of {_named(child.args)}", err)
    return out, err


async def _child_of_a_loop_ended(ears: Hears, honest: Honest, child: Any, *more: Any, **named: Any) -> Any:
    out, err = await honest(child, *more, **named)
    ears.hear(f"standard error of process {child.pid}", err)
    return out, err


def _command(ears: Hears, honest: Honest, runner: Any, app: Any, words: Any = None, *more: Any, **named: Any) -> Any:
    result = honest(runner, app, words, *more, **named)
    ears.hear(f"standard error of hub {' '.join(map(str, words or ()))[:20]}", result.stderr)
    return result


def _captured(ears: Hears, honest: Honest, fixture: Any) -> Any:
    said = honest(fixture)
    ears.hear("standard error", said.err)
    return said


def _named(arguments: Any) -> str:
    return " ".join(os.path.basename(str(word)) for word in arguments[:4])[:40]
