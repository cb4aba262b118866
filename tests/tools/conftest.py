from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.runtime.connections import close_borrowed


@pytest.fixture(autouse=True)
def _closed_connections() -> Iterator[None]:
    yield
    close_borrowed()
