"""A task's events as they happen, for a terminal: the rows first, then what the bus brings."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings

from agents.tasks import bus
from agents.tasks.models import TERMINAL, TaskEvent

# The bus only wakes; whatever it loses is found in the rows at the next look.
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a task's log."""

    number: int
    kind: str
    data: dict[str, Any]

    @property
    def is_last(self) -> bool:
        """Whether the task has ended with it."""
        return self.kind == TaskEvent.Kind.STATUS and self.data.get("status") in TERMINAL


def follow(task_id: uuid.UUID) -> Iterator[Event | None]:
    """Every event once and in order, to the last; None when a second has passed without any."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    listening = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    with client, listening as subscription:
        subscription.subscribe(bus.channel(task_id))
        seen = 0
        pending = _stored(task_id, after=seen)
        while True:
            for event in pending:
                if event.number <= seen:
                    continue
                if event.number > seen + 1:
                    break
                seen = event.number
                yield event
                if event.is_last:
                    return
            message = subscription.get_message(timeout=LOOK_SECONDS)
            pending = _told(message["data"]) if message else _stored(task_id, after=seen)
            if message and pending and pending[0].number > seen + 1:
                pending = _stored(task_id, after=seen)
            if not pending:
                yield None


def _stored(task_id: uuid.UUID, *, after: int) -> list[Event]:
    rows = TaskEvent.objects.filter(task_id=task_id, number__gt=after).order_by("number")
    return [Event(*row) for row in rows.values_list("number", "kind", "data")]


def _told(message: bytes) -> list[Event]:
    return [Event(event["number"], event["kind"], event["data"]) for event in json.loads(message)["events"]]
