"""Something that is protected, and what breaks it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from agents.circuits import directory, protection


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Something that is protected."""
    name = f"kettle:{uuid.uuid4()}"
    monkeypatch.setitem(directory._listings, "kettle", lambda: {name: "the kettle"})
    protection.forget()
    yield name
    protection.forget()


def break_circuit(key: str) -> None:
    """As many failures as open it."""
    for _time in range(protection.POLICY.failures):
        protection.permit(key).failed("connection refused")
