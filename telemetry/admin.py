"""Where the time went."""

from __future__ import annotations

from django.contrib import admin

from foundation.admin import ReadOnlyAdmin
from telemetry.models import Span


@admin.register(Span)
class SpanAdmin(ReadOnlyAdmin):
    """Search by trace to see one request from beginning to end."""

    list_display = ("started_at", "kind", "name", "status", "duration_ms", "trace_id", "span_id", "parent_id")
    list_filter = ("kind", "status", ("started_at", admin.DateFieldListFilter))
    search_fields = ("=trace_id", "=task_id", "=span_id")
    ordering = ("-started_at", "-id")
