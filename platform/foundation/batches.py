"""What is written in bulk by a thread of its own, off the path of whoever makes it.

    calls: Batches[Row] = Batches("model calls", write, keeps=True)
    calls.add(row)

A web process or a worker starts the writers of everything (`start_all`) and stops them (`stop_all`), which writes all
that waits. A process that starts none (a command, a shell, a test) writes when it is told to, or at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import structlog
from django.db import InterfaceError, OperationalError

from foundation.seldom import Seldom
from foundation.threads import close_connections, release_connections

logger = structlog.get_logger(__name__)

Item = TypeVar("Item")

SECONDS = 1.0
AT_ONCE = 500
MOST_WAITING = 10_000
# A stop that meets a database that is away asks again so often, while it has time.
PAUSE_SECONDS = 0.2
STOP_WITHIN_SECONDS = 10.0


class Batches(Generic[Item]):
    """Items of one kind. `write` gets a list of them and writes it in few statements; it may be called by any thread.

    At most `most` wait; the oldest give way. With `keeps`, what meets a database that is away waits until it is back,
    and what cannot be written with others is written alone, so that one bad item costs only itself; without, a batch
    that fails is given up. Whatever is given up is counted in `lost`, logged, and told to `on_lost`. With `at_once`, a
    process without a writer writes each item as it comes.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[list[Item]], object],
        *,
        most: int = MOST_WAITING,
        seconds: Callable[[], float] = lambda: SECONDS,
        keeps: bool = False,
        at_once: bool = False,
        on_lost: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self.name = name
        self.lost = 0
        self._write, self._most, self._seconds = write, most, seconds
        self._keeps, self._at_once, self._on_lost = keeps, at_once, on_lost
        self._items: deque[Item] = deque()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._until = 0.0
        self._is_news = Seldom(seconds=10)
        _all[name] = self

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def clear(self) -> None:
        """Forgets what waits (for tests)."""
        self._items.clear()

    def add(self, item: Item) -> None:
        """Takes an item in. Never raises."""
        with self._lock:
            if self._thread is not None or not self._at_once:
                self._keep([item])
                return
        self._written([item])
        if self._items:
            self.flush()

    def flush(self) -> int:
        """Writes what waits; how many were written. Errors are logged only."""
        written = 0
        while items := self._taken():
            done = self._written(items)
            if done is None:
                break
            written += done
        return written

    def start(self) -> None:
        """Begins to write about every `seconds`."""
        with self._lock:
            if self._thread is None:
                self._over = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(self._over,), name=self.name, daemon=True)
                self._thread.start()

    def end(self, *, within: float) -> threading.Thread | None:
        """Tells the writer to write the rest in so many seconds and end; gives its thread. What comes after this is
        written at once.
        """
        with self._lock:
            thread, self._thread = self._thread, None
        self._until = time.monotonic() + within
        self._over.set()
        return thread

    def _run(self, over: threading.Event) -> None:
        while not over.wait(self._seconds()):
            self._round()
        while self._items:
            self._round()
            if not self._items or time.monotonic() >= self._until:
                break
            time.sleep(PAUSE_SECONDS)
        if self._items:
            self._lose(len(self._items), because="stopped")
        close_connections()

    def _round(self) -> None:
        if self._items:
            self.flush()
            release_connections()

    def _taken(self) -> list[Item]:
        with self._lock:
            return [self._items.popleft() for _ in range(min(AT_ONCE, len(self._items)))]

    def _keep(self, items: list[Item], *, first: bool = False) -> None:
        """Under the lock."""
        if first:
            self._items.extendleft(reversed(items))
        else:
            self._items.extend(items)
        excess = len(self._items) - self._most
        for _ in range(excess):
            self._items.popleft()
        if excess > 0:
            self._lose(excess, because="too many wait")

    def _written(self, items: list[Item]) -> int | None:
        """How many were written; None when the database is away, and they wait again."""
        try:
            self._write(items)
        except (OperationalError, InterfaceError) as error:
            if self._keeps:
                self._wait_again(items, error)
                return None
            self._give_up(items, error)
            return 0
        except Exception as error:
            if self._keeps and len(items) > 1:
                return sum(self._written([item]) or 0 for item in items)
            self._give_up(items, error)
            return 0
        return len(items)

    def _wait_again(self, items: list[Item], error: Exception) -> None:
        close_connections()
        with self._lock:
            self._keep(items, first=True)
        if self._is_news.is_news("away"):
            logger.warning("batch_waits", of=self.name, waiting=len(self._items), error=str(error))

    def _give_up(self, items: list[Item], error: Exception) -> None:
        logger.error("batch_not_written", of=self.name, items=len(items), exc_info=error)
        self._count_lost(len(items))

    def _lose(self, count: int, *, because: str) -> None:
        self._count_lost(count)
        if self._is_news.is_news(because):
            logger.error("batch_lost", of=self.name, items=count, in_all=self.lost, because=because)

    def _count_lost(self, count: int) -> None:
        self.lost += count
        self._on_lost(count)


_all: dict[str, Batches[Any]] = {}


def start_all() -> None:
    """Called when a process that writes in bulk begins."""
    for batches in _all.values():
        batches.start()


def stop_all(*, within: float = STOP_WITHIN_SECONDS) -> None:
    """Writes all that waits, and ends the writers; what a database that is away does not take in time is lost."""
    threads = [batches.end(within=within) for batches in _all.values()]
    until = time.monotonic() + within
    for thread in threads:
        if thread is not None:
            # A statement that hangs is left behind.
            thread.join(max(until - time.monotonic(), 0) + PAUSE_SECONDS)
