"""`Prefer: wait`: the finished task in the answer to the request that submitted it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from agents.api import hub
from agents.api.hub import Event
from agents.api.serializers import task_document
from agents.tasks.models import TERMINAL, Status, Task, TaskEvent
from agents.tasks.serializers import in_json
from foundation.threads import in_thread


class Wait:
    """Waits for one task, whose document is kept up to date with what the bus says of it.

    The terminal event carries the result, so a task that was followed from its start is not read again.
    """

    def __init__(self, task_id: uuid.UUID, document: dict[str, Any]) -> None:
        self.task_id = task_id
        self.document = document

    @property
    def is_over(self) -> bool:
        """Whether the document is that of a finished task."""
        return self.document["status"] in TERMINAL

    async def until(self, *, seconds: float) -> dict[str, Any]:
        """The task's document when it has ended, or as it stands after these seconds."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        with hub.current().waiter(self.task_id) as waiter:
            while not self.is_over and (left := deadline - clock.time()) > 0:
                events = await waiter.next(within=min(left, hub.current().look_seconds))
                if events is None or not self._follow(events):
                    self.document = await in_thread(self._read)
        return self.document

    def _follow(self, events: list[Event]) -> bool:
        """Applies what happened; False when something is missing and only the row knows."""
        for event in events:
            if event.kind != TaskEvent.Kind.STATUS:
                continue
            status = event.data.get("status")
            if status == Status.RUNNING:
                self.document |= {
                    "started_at": self.document["started_at"] or in_json(event.at),
                    "attempts": event.fence,
                }
            if event.is_last and (self.document["started_at"] is None or "usage" not in event.data):
                return False
            self.document["status"] = status
            if event.is_last:
                self._end(event)
        return True

    def _end(self, event: Event) -> None:
        self.document |= {
            "result": event.data.get("result"),
            "error": event.data.get("error"),
            "usage": event.data["usage"],
            "finished_at": in_json(event.at),
        }

    def _read(self) -> dict[str, Any]:
        task = Task.objects.select_related("agent_version__agent").get(pk=self.task_id)
        return task_document(task)
