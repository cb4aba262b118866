"""A registry of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.definitions import cache, registry


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No agent is defined in code but those of the test."""
    registry.load()
    monkeypatch.setattr(registry, "_definitions", {})
    yield
    cache.forget()
