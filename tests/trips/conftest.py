"""An establishment that sends, one for each file of trips that needs it (`office`); a hundred PDFs that it sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.trips.mailbag import OURS
from tests.trips.office import Office, running_office
from tests.trips.posted import Sent, post


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with running_office(tmp_path_factory.mktemp("office"), more=OURS) as office:
        office.site.start()
        office.wait_for_door()
        yield office


@pytest.fixture(scope="module")
def sent(office: Office, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sent, ...]:
    return post(office, tmp_path_factory.mktemp("programs"))
