"""The image and the compose file say what is true: roles that exist, secrets only by files, a lock that is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from typer.main import get_command

from hub.cli.commands import app
from tests.conftest import PROJECT_ROOT

DOCKER = PROJECT_ROOT / "docker"
ROLES = {"hub-watch": "watch", "hub-worker-1": "worker", "hub-worker-2": "worker", "hub-web": "web"}


def compose() -> dict[str, Any]:
    tree: dict[str, Any] = YAML(typ="safe").load((DOCKER / "compose.yml").read_text("utf-8"))
    return tree


def test_every_role_is_a_command_of_the_one_image() -> None:
    services = compose()["services"]
    roles = {name: service["command"] for name, service in services.items() if service["image"] == "hub"}
    assert roles == {name: [role] for name, role in ROLES.items()}
    known = get_command(app).commands  # type: ignore[attr-defined]
    assert set(ROLES.values()) <= set(known)
    assert {"postgres", "rabbitmq"} == services.keys() - roles.keys()


def test_secrets_are_files_that_are_declared_and_no_password_stands_anywhere() -> None:
    tree = compose()
    used = {secret for service in tree["services"].values() for secret in service.get("secrets", [])}
    assert used == tree["secrets"].keys()
    assert all(set(secret) == {"file"} for secret in tree["secrets"].values())
    for service in tree["services"].values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("PASS", name) or str(value).startswith("/run/secrets/"), name


def test_what_the_image_copies_is_in_the_project() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    missing = [name for line in copied for name in line.split() if not (PROJECT_ROOT / name).exists()]
    assert missing == []


def test_the_settings_that_the_compose_file_shows_are_settings(tmp_path: Path) -> None:
    from hub.settings import load_settings

    text = (DOCKER / "compose.yml").read_text("utf-8")
    shown = re.search(r"^# hub.yaml:\n((?:#   .+\n)+)", text, re.MULTILINE)
    assert shown is not None
    (tmp_path / "hub.yaml").write_text("".join(line[4:] + "\n" for line in shown[1].splitlines()))
    settings = load_settings(tmp_path / "hub.yaml")
    assert settings.database_url == "postgresql://hub@postgres/hub"
    assert {str(settings.key_file), str(settings.broker_password_file)} == {
        "/run/secrets/data-keys",
        "/run/secrets/rabbitmq-password",
    }
