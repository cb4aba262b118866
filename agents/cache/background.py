"""What the cache does beside the calls: few threads, and not more work waiting than they can do."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import structlog

from foundation.seldom import Seldom
from foundation.threads import close_connections

logger = structlog.get_logger(__name__)

THREADS = 2
MOST_WAITING = 200


class Background:
    """Threads that start with the first piece of work. A process that ends does not wait for them: what they would
    have learned or refreshed is done another time.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._has_threads = False
        self._waiting: queue.Queue[tuple[Callable[..., object], tuple[Any, ...]]] = queue.Queue(MOST_WAITING)
        self._full = Seldom(seconds=60)

    def do(self, work: Callable[..., object], *given: Any) -> bool:
        """Has it done soon; False when too much is waiting already. Its errors are logged."""
        with self._guard:
            if not self._has_threads:
                self._has_threads = True
                for number in range(THREADS):
                    threading.Thread(target=self._run, name=f"cache-{number}", daemon=True).start()
        try:
            self._waiting.put_nowait((work, given))
        except queue.Full:
            if self._full.is_news():
                logger.warning("cache_background_full", waiting=MOST_WAITING)
            return False
        return True

    def _run(self) -> None:
        while True:
            work, given = self._waiting.get()
            try:
                work(*given)
            except Exception:
                logger.exception("cache_background_failed", work=getattr(work, "__qualname__", str(work)))
            finally:
                close_connections()
                self._waiting.task_done()


background = Background()
