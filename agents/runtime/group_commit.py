"""Fewer transactions for one run's checkpoints, with the same promises.

A step of one node makes two saves from two threads: what the node wrote, then the state after the step. And
before the first node there are three that say nothing but "this was the input". Here they share a
transaction:

- what must not be lost is committed before the call that saves it returns;
- what can be made again from the task's input is held until something must not be lost;
- a node's writes wait for a moment for the state of the step to join them. It always comes when the node was
alone
  in its step; a node with slower siblings waits 10 ms, in a thread of its own, and commits alone.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from agents.runtime.storage import Fence, Row, store

PATIENCE_SECONDS = 0.01


class GroupCommit:
    """The rows of one run on their way to the database. Once a write failed, every later one fails
    likewise.
    """

    def __init__(self, *, fence: Fence) -> None:
        self.namespaces: set[str] = set()
        self._fence = fence
        self._waiting: list[Row] = []
        self._added = 0
        self._written = 0
        self._failure: Exception | None = None
        self._changed = threading.Condition()
        self._writing = threading.Lock()

    def hold(self, rows: Sequence[Row]) -> None:
        """Takes rows that need not be durable yet."""
        with self._changed:
            self._waiting.extend(rows)

    def commit(self, rows: Sequence[Row], *, patience: float = 0.0) -> None:
        """Returns when these rows, and all taken before them, are durable. Raises what `store` raises."""
        with self._changed:
            self._waiting.extend(rows)
            self._added += 1
            ticket = self._added
            if patience:
                self._changed.wait_for(lambda: self._is_settled(ticket), timeout=patience)
        with self._writing:
            if not self._is_settled(ticket):
                self._write()
        if self._failure is not None:
            raise self._failure

    def flush(self) -> None:
        """Makes everything taken so far durable."""
        if self._waiting:
            self.commit([])

    def _is_settled(self, ticket: int) -> bool:
        return self._written >= ticket or self._failure is not None

    def _write(self) -> None:
        with self._changed:
            rows, self._waiting, upto = self._waiting, [], self._added
        try:
            store(rows, fence=self._fence)
        except Exception as error:
            self._failure = error
        with self._changed:
            self._written = upto
            self._changed.notify_all()
