"""What every request, claim and submission asks, remembered in this process for a moment.

A change is seen a second later everywhere; where that would break a promise, the statement asks again itself.
"""

from __future__ import annotations

import threading
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
        self._asking = threading.Lock()

    def __call__(self) -> Answer:
        """The remembered answer, or what is so now. Of many threads one asks; the others go on with what was known."""
        known = self._known
        if known is not None and known[0] > time.monotonic():
            return known[1]
        if known is None:
            return self._asked()
        if not self._asking.acquire(blocking=False):
            return known[1]
        try:
            return self._asked()
        finally:
            self._asking.release()

    def _asked(self) -> Answer:
        answer = self._find()
        self._known = (time.monotonic() + settings.TASK_SETTINGS_CACHE_SECONDS, answer)
        return answer

    def forget(self) -> None:
        """Asks again next time."""
        self._known = None
