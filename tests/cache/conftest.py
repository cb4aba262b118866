"""The cache is on, understands words, and does at once what it does beside the calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from agents.cache import epochs, hits, hot, link, nearest, observing
from agents.cache.background import background
from agents.cache.effects import _has_effects, register_effects
from agents.cache.meaning import use_meaning
from agents.cache.vectors import matrices
from tests.cache.fakes import WordMeaning


def _forget() -> None:
    hot.here.forget()
    epochs.forget()
    matrices.forget()
    nearest.prepared.forget()
    hits.given.clear()
    observing.forget()
    link.outage.answered()

    def delete(client: redis.Redis) -> None:
        for name in client.scan_iter(link.key("*")):
            client.delete(name)

    link.ask_or(delete, None)


@pytest.fixture(autouse=True)
def _cache(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.CACHE_MODE = "exact"
    registered = _has_effects
    use_meaning(WordMeaning())

    def at_once(work: Callable[..., object], *given: Any) -> bool:
        work(*given)
        return True

    monkeypatch.setattr(background, "do", at_once)
    _forget()
    yield
    _forget()
    use_meaning(None)
    register_effects(registered)
