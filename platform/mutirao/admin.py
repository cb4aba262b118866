"""What the roof adds to the admin: the waterfall on the task page, which no room below could put together."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from agents.tasks.models import Task
from agents.tasks.panels import Panel, register_panel
from telemetry.stories import spans_of_task
from telemetry.waterfall import MOST, layout


def waterfall_of(task: Task) -> dict[str, Any]:
    """The context of `telemetry/waterfall.html`."""
    spans = spans_of_task(task.pk, trace_id=task.trace_id, request_id=task.request_id)
    return {"waterfall": layout(spans[: MOST + 1])}


register_panel(Panel(_("Where the time went"), "telemetry/panel.html", waterfall_of))
