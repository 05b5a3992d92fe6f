"""An establishment that sends, once for all trips that need it (`office`), and a hundred PDFs that it sent (`sent`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.trips.mailbag import OURS
from tests.trips.office import Office, running_office
from tests.trips.posted import Sent, post


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with running_office(tmp_path_factory.mktemp("office"), more=OURS) as office:
        office.site.start()
        office.wait_for_door()
        yield office


@pytest.fixture(scope="session")
def sent(office: Office, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sent, ...]:
    return post(office, tmp_path_factory.mktemp("programs"))
