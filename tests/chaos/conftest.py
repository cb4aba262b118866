"""Fleets for tests that break them. One for all that leave broker and database alone; the others start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.harness import Fleet, database, fleet, valkey
from tests.environment import GIVEN


@pytest.fixture(scope="session")
def _given_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("fleet")
    with valkey(home / "valkey") as server, database() as rows:
        environ = {"REDIS_URL": server.url, **GIVEN, **rows}
        with fleet(home, **environ) as found:
            yield found


@pytest.fixture
def given_fleet(_given_fleet: Fleet) -> Iterator[Fleet]:
    """A fleet on what the suite was told to use, with a web process and no worker; workers are gone afterwards."""
    yield _given_fleet
    _given_fleet.dismiss_workers()
