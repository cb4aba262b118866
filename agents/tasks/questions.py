"""What a task asks that waits for input."""

from __future__ import annotations

import uuid
from typing import Any, Final, cast

from agents.tasks.models import Status, TaskEvent, WaitingFor

_STOPS: Final = [Status.WAITING.value, Status.NEEDS_REVIEW.value]


def questions_of(task_id: uuid.UUID) -> list[dict[str, Any]]:
    """The questions of the task's last stop, each with `id`, `value` and perhaps the `schema` of an answer (JSON
    Schema); none when it has stopped for something else since. Those that were answered are among them.
    """
    stops = TaskEvent.objects.filter(task=task_id, kind=TaskEvent.Kind.STATUS, data__status__in=_STOPS)
    said = stops.order_by("-number").values_list("data", flat=True).first()
    if said is None or said.get("waiting_for") != WaitingFor.INPUT:
        return []
    return cast("list[dict[str, Any]]", said.get("questions", []))
