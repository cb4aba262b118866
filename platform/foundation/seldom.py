"""For what is told again and again: once in a while is enough."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

MOST_REMEMBERED = 10_000


class Seldom:
    """Whether something is worth telling: of each key once in so many seconds, as far as this process knows."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        # Key → when it is news again.
        self._until: dict[Hashable, float] = {}

    def is_news(self, key: Hashable = None) -> bool:
        """True for the first who asks, and then again when the time is over."""
        now = time.monotonic()
        with self._lock:
            if now < self._until.get(key, now):
                return False
            if len(self._until) >= MOST_REMEMBERED:
                self._until.clear()
            self._until[key] = now + self._seconds
            return True

    def forget(self) -> None:
        """As if nothing had been told."""
        with self._lock:
            self._until.clear()
