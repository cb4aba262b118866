"""One platform for all tests of this folder that only use it; those that break it start their own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import prepared
from tests.environment import GIVEN
from tests.site import Site, running

ENVIRON = {"MUTIRAO_APPS": "tests.parts", "MUTIRAO_ALLOW_SCRIPTED_MODELS": "1"}
# Quick to notice a dead worker.
IMPATIENT = {"MUTIRAO_LEASE_SECONDS": "3", "MUTIRAO_SWEEP_SECONDS": "0.5"}


@contextmanager
def back_end(*, is_empty: bool = False) -> Iterator[dict[str, str]]:
    """What the suite was told to use, with a database, a key prefix and queues of one's own."""
    name = f"e2e_{uuid.uuid4().hex[:12]}"
    environ = {**GIVEN, "MUTIRAO_REDIS_PREFIX": name, "MUTIRAO_QUEUE_PREFIX": f"{name}."}
    if "DATABASE_URL" not in GIVEN:
        yield environ
        return
    with prepared.postgresql(GIVEN["DATABASE_URL"].rpartition("/")[0], name, is_empty=is_empty) as url:
        yield environ | {"DATABASE_URL": url}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running platform with a key for `admin`."""
    with back_end() as given, running(tmp_path_factory.mktemp("site"), **given, **ENVIRON) as running_site:
        running_site.make_key()
        yield running_site


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A platform that this test may kill."""
    with back_end() as given, running(tmp_path, **given, **ENVIRON, **IMPATIENT) as running_site:
        running_site.make_key()
        yield running_site


@pytest.fixture
def embedded_site(tmp_path: Path) -> Iterator[Site]:
    """The same on the embedded Valkey, whatever the suite was told: the only one that may be killed."""
    with running(tmp_path, **ENVIRON, **IMPATIENT) as running_site:
        running_site.make_key()
        yield running_site
