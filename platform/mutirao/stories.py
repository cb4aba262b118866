"""Where the time of one task went, put together from spans and tasks, which do not know each other."""

from __future__ import annotations

from typing import Any

from agents.tasks.models import Task
from telemetry.stories import spans_of_task
from telemetry.waterfall import MOST, layout


def waterfall_of(task: Task) -> dict[str, Any]:
    """The context of `telemetry/waterfall.html`."""
    spans = spans_of_task(task.pk, trace_id=task.trace_id, request_id=task.request_id)
    return {"waterfall": layout(spans[: MOST + 1])}
