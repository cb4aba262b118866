"""Settings change in one step: threads that read them meanwhile always find some, and never keep old ones."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
from django.conf import LazySettings, settings
from django.test import override_settings

from tests import overriding

CHANGES = 2_000


@pytest.fixture(autouse=True)
def _many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def _seen_while_it_changes() -> tuple[int, int]:
    """How often another thread found no settings, and how often a changed one was not seen afterwards."""
    over, missed, stale = threading.Event(), 0, 0

    def read() -> None:
        nonlocal missed
        while not over.is_set():
            try:
                _ = settings.EMAIL_TIMEOUT
            except AttributeError:
                missed += 1

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(CHANGES):
        with override_settings(EMAIL_TIMEOUT=number):
            stale += number != settings.EMAIL_TIMEOUT
    over.set()
    reader.join(30)
    return missed, stale


def test_a_thread_always_finds_settings_and_they_are_the_new_ones() -> None:
    assert _seen_while_it_changes() == (0, 0)


def test_as_django_does_it_a_thread_finds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LazySettings, "__setattr__", overriding._changed)
    missed, _stale = _seen_while_it_changes()
    assert missed > 0
