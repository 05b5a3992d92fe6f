"""When a watcher comes back: full jitter, doubling, and slowly where only a human can help."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub import settings
from hub.errors import Misconfigured
from hub.imap.backoff import retry_delay
from hub.imap.failures import ConnectionLost, PeerRefused
from hub.imap.opening import Credentials, credentials_of

WATCHING = settings.Watching(backoff_first=timedelta(seconds=2), backoff_most=timedelta(minutes=5))


def test_delays_double_up_to_the_longest() -> None:
    delays = [retry_delay(ConnectionLost("reset"), n, WATCHING, 1.0) for n in range(1, 12)]
    assert delays[:5] == [2, 4, 8, 16, 32]
    assert delays[-1] == 300
    assert retry_delay(ConnectionLost("reset"), 10**9, WATCHING, 1.0) == 300


def test_the_jitter_is_full() -> None:
    assert retry_delay(ConnectionLost("reset"), 5, WATCHING, 0.0) == 0
    assert retry_delay(ConnectionLost("reset"), 5, WATCHING, 0.5) == 16


@pytest.mark.parametrize("error", [PeerRefused("authenticate-no"), Misconfigured("password_file")])
def test_what_needs_a_human_is_tried_rarely_from_the_first_time(error: Exception) -> None:
    assert retry_delay(error, 1, WATCHING, 0.0) == 150
    assert retry_delay(error, 1, WATCHING, 1.0) == 300


def _mailbox(**more: object) -> settings.Mailbox:
    return settings.Mailbox.model_validate(
        {"name": "asso", "address": "secretariat@asso.mssante.example", "operator": "op", **more}
    )


def _operator() -> settings.Operator:
    endpoint = {"host": "imap.example", "port": 143, "tls": "starttls"}
    return settings.Operator.model_validate({"name": "op", "imap": endpoint, "smtp": endpoint, "ca_file": "ca.pem"})


def test_the_authzid_is_the_address_unless_the_site_says_otherwise() -> None:
    assert credentials_of(_mailbox(), _operator()).username == "secretariat@asso.mssante.example"
    assert credentials_of(_mailbox(username=""), _operator()).username == ""
    assert credentials_of(_mailbox(sasl="none"), _operator()).sasl == "none"


def test_a_password_is_read_from_its_file_each_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("secrets") / "password"
    for password in ("un", "deux "):
        file.write_text(password + "\n")
        assert credentials_of(_mailbox(sasl="plain", password_file=file), _operator()).password == password


def test_a_password_that_is_missing_is_a_wrong_setting(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(Misconfigured, match="needs password_file"):
        credentials_of(_mailbox(sasl="login"), _operator())
    with pytest.raises(Misconfigured, match="FileNotFoundError"):
        credentials_of(_mailbox(sasl="login", password_file=tmp_path_factory.mktemp("x") / "none"), _operator())


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Credentials("plain", "a", "secret"))
