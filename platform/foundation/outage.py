"""For what can be done without when it is away: while it is, one caller at a time finds out whether it is back."""

from __future__ import annotations

import threading
import time


class Outage:
    """Whether something is away, as this process knows. `quiet_seconds` after a failure one caller may ask again; until
    that one has come back, or `patience_seconds` are over, all others go on without.
    """

    def __init__(self, *, quiet_seconds: float, patience_seconds: float) -> None:
        self._quiet_seconds = quiet_seconds
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        # Zero: it is not away.
        self._quiet_until = 0.0

    def may_ask(self) -> bool:
        """Whether this caller should try. Who does says `answered` or `failed` afterwards."""
        if not self._quiet_until:
            return True
        with self._lock:
            now = time.monotonic()
            if not self._quiet_until:
                return True
            if now < self._quiet_until:
                return False
            self._quiet_until = now + self._patience_seconds
            return True

    def answered(self) -> None:
        """It is there."""
        self._quiet_until = 0.0

    def failed(self) -> None:
        """It is away."""
        self._quiet_until = time.monotonic() + self._quiet_seconds
