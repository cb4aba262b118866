"""Writes a run's events in batches, soon but seldom."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from agents.runtime.connections import lent_connection
from agents.runtime.json_values import storable
from agents.tasks.data import NewEvent
from agents.tasks.models import TaskEvent
from foundation.threads import release_connections

WAIT_SECONDS = 0.05
MOST_WAITING = 40

Append = Callable[[Sequence[NewEvent]], object]
"""Writes events in one statement; raises LeaseLost when the run is no longer the task's."""


class EventWriter:
    """Takes events from any thread and writes them from a thread of its own.

    An event is written within 50 ms, together with those that came meanwhile; the first piece of a message at
    once, because somebody waits for it. Pieces of one message that wait together become one event. A failure
    to write is raised by the next call, and `on_failure` is told at once. The thread begins with the first
    event; what is left when the run ends is returned by `finish`, so that a short run needs no write but its
    last one.
    """

    def __init__(self, *, append: Append, on_failure: Callable[[Exception], None] | None = None) -> None:
        self._append = append
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._waiting: list[NewEvent] = []
        self._is_urgent = False
        self._is_finished = False
        self._has_message = False
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def add(self, kind: str, data: dict[str, Any]) -> None:
        """Takes one event. Raises what writing an earlier one has raised."""
        event = NewEvent(kind=kind, data=storable(data), at=datetime.now(UTC))
        with self._changed:
            self._raise_failure()
            self._put(event)
            if kind == TaskEvent.Kind.MESSAGE and not self._has_message:
                self._has_message = self._is_urgent = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="event-writer", daemon=True)
                self._thread.start()
            else:
                self._changed.notify()

    def finish(self) -> tuple[NewEvent, ...]:
        """Stops the thread; gives the events that are not written. Raises what writing has raised."""
        with self._changed:
            self._is_finished = True
            self._changed.notify()
        if self._thread is not None:
            release_connections()  # it needs one to write the rest
            self._thread.join()
        self._raise_failure()
        left, self._waiting = tuple(self._waiting), []
        return left

    @property
    def failure(self) -> Exception | None:
        """What writing has raised."""
        return self._failure

    def _put(self, event: NewEvent) -> None:
        last = self._waiting[-1] if self._waiting else None
        is_piece = last is not None and last.kind == event.kind == TaskEvent.Kind.MESSAGE
        if last is not None and is_piece and not event.data.get("restart"):
            joined = {**last.data, "text": last.data["text"] + event.data["text"]}
            self._waiting[-1] = NewEvent(kind=event.kind, data=joined, at=last.at)
        else:
            self._waiting.append(event)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _is_due(self) -> bool:
        return self._is_urgent or self._is_finished or len(self._waiting) >= MOST_WAITING

    def _run(self) -> None:
        try:
            with lent_connection():
                while batch := self._next_batch():
                    self._append(batch)
                    release_connections()
        except Exception as error:
            self._failure = error
            if self._on_failure is not None:
                self._on_failure(error)

    def _next_batch(self) -> list[NewEvent]:
        """The next events to write; none when the run has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_finished)
            self._changed.wait_for(self._is_due, timeout=WAIT_SECONDS)
            if self._is_finished:
                return []
            batch, self._waiting, self._is_urgent = self._waiting, [], False
            return batch
