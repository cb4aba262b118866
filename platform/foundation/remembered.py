"""What every request, claim and submission asks, remembered in this process for a moment.

A change is seen a second later everywhere; where that would break a promise, the statement asks again itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from django.conf import settings

Answer = TypeVar("Answer")


class Remembered(Generic[Answer]):
    """One answer, for TASK_SETTINGS_CACHE_SECONDS."""

    def __init__(self, find: Callable[[], Answer]) -> None:
        self._find = find
        self._known: tuple[float, Answer] | None = None

    def __call__(self) -> Answer:
        """The remembered answer, or what is so now."""
        known = self._known
        if known is not None and known[0] > time.monotonic():
            return known[1]
        answer = self._find()
        self._known = (time.monotonic() + settings.TASK_SETTINGS_CACHE_SECONDS, answer)
        return answer

    def forget(self) -> None:
        """Asks again next time."""
        self._known = None
