"""The ledger of model calls, and its part of the task page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from agents.gateway.models import ModelCall
from agents.tasks.models import Task
from agents.tasks.panels import Panel, register_panel
from foundation.admin import ReadOnlyAdmin

MOST_CALLS = 100


@admin.register(ModelCall)
class ModelCallAdmin(ReadOnlyAdmin):
    """One row a call."""

    list_display = (
        "started_at",
        "provider",
        "model",
        "outcome",
        "latency_ms",
        "first_token_ms",
        "input_tokens",
        "output_tokens",
    )
    list_filter = ("outcome", "provider", ("started_at", admin.DateFieldListFilter))
    search_fields = ("=task_id", "=model", "=trace_id")
    ordering = ("-started_at",)


def _calls(task: Task) -> dict[str, Any]:
    return {"calls": [*ModelCall.objects.filter(task_id=task.pk).order_by("started_at")[:MOST_CALLS]]}


register_panel(Panel(_("Model calls"), "admin/agents_gateway/calls.html", _calls))
