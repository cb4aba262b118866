"""The spans that tell the story of one task."""

from __future__ import annotations

import uuid

from django.db.models import Q, QuerySet

from telemetry.models import Span
from telemetry.spans import request_span_id


def spans_of_task(task_id: uuid.UUID, *, trace_id: str, request_id: str) -> QuerySet[Span]:
    """All attempts of the task, and the request that submitted it; not what else belongs to its caller's trace."""
    submitted_by = Q(span_id=request_span_id(trace_id, request_id)) if request_id else Q(pk=None)
    return Span.objects.filter(Q(task_id=task_id) | submitted_by, trace_id=trace_id).order_by("started_at", "id")
