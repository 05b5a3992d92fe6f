"""How the hub gets in: passwords from files, TLS with the named authority, and plain words when it is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.database import Database
from hub.errors import Misconfigured, Temporary
from hub.settings import Settings
from hub.worker.broker import Address, make_broker
from hub.worker.sql_broker import SqlBroker
from tests.edges.brokers import QUEUE, hint
from tests.edges.ports import free_port
from tests.edges.rabbitmq import RabbitmqServer, running_rabbitmq
from tests.edges.redis import running_redis
from tests.pki import Authority
from tests.quiet import password

PASSWORD = password("motdepasse-fictif-é")


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[Any]:
    database = Database(f"sqlite:///{folder / 'unused.db'}")
    try:
        broker = make_broker(Settings(**settings), database)
        broker.declare_queue(QUEUE)
        yield broker
        broker.close()
    finally:
        database.close()


def use(folder: Path, **settings: Any) -> int:
    """Send a hint; the depth afterwards."""
    with opened(folder, **settings) as broker:
        broker.check()
        broker.enqueue_all([hint("m1")])
        return int(broker.depth(QUEUE))


def refused(folder: Path, **settings: Any) -> str:
    """What is told when the check fails."""
    with pytest.raises(Temporary) as caught, opened(folder, **settings) as broker:
        broker.check()
    assert PASSWORD not in caught.value.private + caught.value.public
    return caught.value.private


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    for name, text in (("right", PASSWORD), ("wrong", f"{PASSWORD}x")):
        (tmp_path / name).write_text(text + "\n", encoding="utf-8")
    return {name: tmp_path / name for name in ("right", "wrong")}


def test_redis_with_a_password_and_tls(tmp_path: Path, files: dict[str, Path]) -> None:
    authority, stranger = Authority(tmp_path / "pki"), Authority(tmp_path / "other")
    leaf, port = authority.issue("redis", "localhost"), free_port()
    tls = ("--tls-port", str(port), "--tls-cert-file", str(leaf.certificate), "--tls-key-file", str(leaf.key))
    with running_redis("--requirepass", PASSWORD, *tls, "--tls-auth-clients", "no") as server:
        clear, sealed = server.url, f"rediss://localhost:{port}/3"
        known = {"broker_ca_file": authority.ca_file, "broker_password_file": files["right"]}
        assert use(tmp_path, broker_url=clear, broker_password_file=files["right"]) == 1
        assert use(tmp_path, broker_url=sealed, **known) == 1
        for settings in ({}, {"broker_password_file": files["wrong"]}):
            assert refused(tmp_path, broker_url=clear, **settings) == "the user or the password is refused"
        told = refused(tmp_path, **known | {"broker_url": sealed, "broker_ca_file": stranger.ca_file})
        assert told.startswith("its certificate is refused: ")
        told = refused(tmp_path, **known | {"broker_url": sealed.replace("localhost", "127.0.0.1")})
        assert told.startswith("its certificate is refused: ")


def test_rabbitmq_with_a_password_a_virtual_host_and_tls(tmp_path: Path, files: dict[str, Path]) -> None:
    authority, stranger = Authority(tmp_path / "pki"), Authority(tmp_path / "other")
    leaf, port = authority.issue("rabbitmq", "localhost"), free_port()
    tls = (
        f"listeners.ssl.local = 127.0.0.1:{port}",
        f"ssl_options.cacertfile = {authority.ca_file}",
        f"ssl_options.certfile = {leaf.certificate}",
        f"ssl_options.keyfile = {leaf.key}",
        "ssl_options.verify = verify_none",
    )
    with running_rabbitmq(*tls) as server:
        _add_user(server)
        clear, sealed = f"amqp://hub@127.0.0.1:{server.port}/dossiers", f"amqps://hub@localhost:{port}/dossiers"
        known = {"broker_ca_file": authority.ca_file, "broker_password_file": files["right"]}
        assert use(tmp_path, broker_url=clear, broker_password_file=files["right"]) == 1
        assert use(tmp_path, broker_url=sealed, **known) == 2
        told = refused(tmp_path, broker_url=clear, broker_password_file=files["wrong"])
        assert told == "the user or the password is refused"
        told = refused(tmp_path, broker_url=clear.replace("dossiers", "autre"), broker_password_file=files["right"])
        assert told == "the virtual host is refused to this user"
        told = refused(tmp_path, **known | {"broker_url": sealed, "broker_ca_file": stranger.ca_file})
        assert told.startswith("its certificate is refused: ")


def _add_user(server: RabbitmqServer) -> None:
    server.ctl("add_user", "hub", PASSWORD)
    server.ctl("add_vhost", "dossiers")
    server.ctl("set_permissions", "-p", "dossiers", "hub", ".*", ".*", ".*")


@pytest.mark.parametrize(("scheme", "wanted"), [("amqp", "Connection refused"), ("redis", "Connection refused")])
def test_a_closed_port_is_told_in_words(tmp_path: Path, scheme: str, wanted: str) -> None:
    assert refused(tmp_path, broker_url=f"{scheme}://127.0.0.1:1") == wanted


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_an_unknown_host_is_told_in_words(tmp_path: Path, scheme: str) -> None:
    assert "Name or service not known" in refused(tmp_path, broker_url=f"{scheme}://nulle-part.invalid")


@pytest.mark.parametrize(("scheme", "library", "module"), [("amqp", "pika", "rabbit"), ("redis", "redis", "redis")])
def test_a_library_that_is_not_installed_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, library: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"hub.worker.{module}_broker", raising=False)
    with pytest.raises(Misconfigured, match=r"pip install 'hub\[r"), opened(tmp_path, broker_url=f"{scheme}://x"):
        pass


@pytest.mark.parametrize("setting", ["broker_password_file", "broker_ca_file"])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, setting: str) -> None:
    missing = {setting: tmp_path / "absent"}
    with pytest.raises(Misconfigured, match="absent"), opened(tmp_path, broker_url="rediss://x", **missing):
        pass


def test_the_setting_names_the_embedded_broker(tmp_path: Path) -> None:
    with opened(tmp_path, broker_url="sql://") as broker:
        assert isinstance(broker, SqlBroker)


def test_a_password_is_in_no_representation() -> None:
    address = Address(host="h", port=None, user="hub", password=PASSWORD, place="", tls=None, ca_file=None)
    assert PASSWORD not in repr(address)
