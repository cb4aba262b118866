"""Writes the web process's spans in bulk, off the request path. Workers write theirs at every heartbeat."""

from __future__ import annotations

import threading

from foundation.threads import close_connections
from telemetry.spans import flush_spans, pending_spans

SECONDS = 1.0


class Flusher:
    """One thread that writes what has ended, about once a second."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins."""
        self._over.clear()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def stop(self, *, within: float = 2.0) -> None:
        """Writes the rest and ends, in so many seconds at most."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(within)
            self._thread = None

    def _run(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._over.wait(self._seconds)
            if pending_spans():
                flush_spans()
                close_connections()


flusher = Flusher()
