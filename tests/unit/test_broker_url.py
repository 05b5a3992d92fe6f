"""broker_url: what it may say, and that a password in it is refused without being repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.errors import Misconfigured
from hub.settings import load_settings

SECRET = "motdepasse-fictif"


def _load(folder: Path, text: str) -> None:
    (folder / "hub.yaml").write_text(text)
    load_settings(folder / "hub.yaml")


@pytest.mark.parametrize(
    "url",
    [
        "sql://",
        "amqp://rabbit.example",
        "amqps://hub@rabbit.example:5671/dossiers",
        "redis://hub@redis.example/1",
        "rediss://[::1]:6380/0",
    ],
)
def test_a_right_url_is_taken(tmp_path: Path, url: str) -> None:
    _load(tmp_path, f'broker_url: "{url}"\n')


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("", "no scheme is not a broker"),
        ("sql", "no scheme is not a broker"),
        ("kafka://x", "kafka is not a broker of this version (known: sql://, amqp://"),
        ("sql://host", "sql:// stands alone"),
        ("amqp://", "a host is expected"),
        ("amqp://rabbit.example:port", "a URL is expected"),
        ("redis://redis.example/dossiers", "the number of a Redis database"),
        (f"amqp://hub:{SECRET}@rabbit.example", "name a file that holds it in broker_password_file"),
        (f"redis://:{SECRET}@redis.example", "name a file that holds it in broker_password_file"),
        (f"redis://redis.example?password={SECRET}", "nothing may follow"),
        (f"amqp://hub:{SECRET}@[rabbit", "a URL is expected"),
    ],
)
def test_a_wrong_url_is_told_by_its_line_and_never_repeated(tmp_path: Path, url: str, wanted: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        _load(tmp_path, f'log_level: info\nbroker_url: "{url}"\n')
    assert f"{tmp_path}/hub.yaml:2 broker_url" in caught.value.private
    assert wanted in caught.value.private
    assert SECRET not in caught.value.private + caught.value.public
