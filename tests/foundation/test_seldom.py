"""Once in a while, of each key."""

from __future__ import annotations

import pytest

from foundation import seldom
from foundation.seldom import Seldom
from tests.tasks.threads import at_once


def test_each_key_is_news_once_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("foundation.seldom.time.monotonic", lambda: now[0])
    told = Seldom(seconds=60)
    assert [told.is_news(key) for key in ("a", "a", "b", "a")] == [True, False, True, False]
    now[0] += 59.9
    assert not told.is_news("a")
    now[0] += 0.1
    assert [told.is_news(key) for key in ("a", "a")] == [True, False]
    told.forget()
    assert told.is_news("a")


def test_of_many_at_once_one_tells() -> None:
    told = Seldom(seconds=60)
    assert sum(at_once(lambda _n: told.is_news("a"), 32)) == 1


def test_it_remembers_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seldom, "MOST_REMEMBERED", 2)
    told = Seldom(seconds=60)
    assert [told.is_news(key) for key in ("a", "b", "c", "a", "a")] == [True, True, True, True, False]
