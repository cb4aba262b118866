"""A task's log as server-sent events: what is in the rows, then what happens, every entry once."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson

from agents.api import hub
from agents.api.hub import Event, Waiter
from agents.tasks.models import TERMINAL, Task, TaskEvent
from agents.tasks.serializers import outcome
from foundation.threads import in_thread

HEARTBEAT_SECONDS = 15.0
BATCH = 500
# Tells proxies and browsers that the stream is open, before the first event.
OPENING = b": open\n\n"
HEARTBEAT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Rows:
    """What the rows say after some number: the next events, and the ending when there is nothing more to come."""

    events: list[Event]
    ending: dict[str, Any] | None = None


def read_rows(task_id: uuid.UUID, *, after: int) -> Rows:
    """At most BATCH stored events after this number; without any, whether the task has ended."""
    stored = TaskEvent.objects.filter(task_id=task_id, number__gt=after).order_by("number")[:BATCH]
    fields = stored.values_list("number", "kind", "data", "created_at", "fence")
    events = [Event(number, kind, data, at.isoformat(), fence) for number, kind, data, at, fence in fields]
    return Rows(events, None if events else _ending(task_id, after=after))


def _ending(task_id: uuid.UUID, *, after: int) -> dict[str, Any] | None:
    task = Task.objects.filter(pk=task_id).first()
    if task is None:
        return {"status": "gone", "result": None, "error": None}
    if task.status not in TERMINAL or task.last_event > after:
        return None
    return {"status": task.status, **outcome(task)}


def encode(number: int, kind: str, data: Any) -> bytes:
    """One server-sent event. JSON has no bare line breaks, so one `data:` line is enough."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, kind.encode(), orjson.dumps(data, default=str))


def _done(event: Event) -> bytes:
    ending = {"status": None, "result": None, "error": None, **event.data}
    return encode(event.number, "done", ending)


class Stream:
    """One client's reading of one task's log, from `after` on."""

    def __init__(self, task_id: uuid.UUID, *, after: int) -> None:
        self.task_id = task_id
        self.last = after
        self._ended = False
        self._must_look = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks of the stream; ends after `done`."""
        beat = time.monotonic()
        yield OPENING
        # A place at the hub comes before the first look at the rows: what happens in between is seen twice, not never.
        with hub.current().waiter(self.task_id) as waiter:
            while not self._ended:
                chunk = await self._next(waiter)
                if not chunk and time.monotonic() - beat >= HEARTBEAT_SECONDS:
                    chunk = HEARTBEAT
                if chunk:
                    yield chunk
                    beat = time.monotonic()

    async def _next(self, waiter: Waiter) -> bytes:
        if self._must_look:
            return await self._look()
        events = await waiter.next(within=hub.current().look_seconds)
        if events is None:
            return await self._look()
        return self._take(events)

    async def _look(self) -> bytes:
        rows = await in_thread(read_rows, self.task_id, after=self.last)
        # There may be more than one batch.
        self._must_look = bool(rows.events)
        if rows.ending is not None:
            self._ended = True
            return encode(self.last, "done", rows.ending)
        return self._take(rows.events)

    def _take(self, events: list[Event]) -> bytes:
        """The events that are next, as bytes; after a hole, nothing more: the rows are looked at then."""
        chunks: list[bytes] = []
        for event in events:
            if event.number <= self.last:
                continue
            if event.number > self.last + 1:
                self._must_look = True
                break
            self.last = event.number
            chunks.append(encode(event.number, event.kind, event.data))
            if event.is_last:
                self._ended = True
                chunks.append(_done(event))
                break
        return b"".join(chunks)
