"""Many callers at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from foundation.threads import close_connections

Result = TypeVar("Result")
PATIENCE_SECONDS = 60


def at_once(work: Callable[[int], Result], threads: int) -> list[Result]:
    """Runs `work(0)`, `work(1)`, … in threads that begin together; their results in this order."""
    start = Barrier(threads)

    def run(number: int) -> Result:
        try:
            start.wait(PATIENCE_SECONDS)
            return work(number)
        finally:
            close_connections()

    with ThreadPoolExecutor(threads) as pool:
        return [future.result(PATIENCE_SECONDS) for future in [pool.submit(run, n) for n in range(threads)]]
