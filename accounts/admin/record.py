"""The audit log."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts import audit
from accounts.models import AuditEvent
from foundation.admin import ReadOnlyAdmin


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what."""

    list_display = ("created_at", "actor_name", "what", "subject_name", "outcome", "address")
    list_filter = ("verb", "outcome", ("created_at", admin.DateFieldListFilter))
    search_fields = ("=actor_name", "=subject_id", "=request_id")
    ordering = ("-created_at", "-id")

    @display(description=gettext_lazy("deed"))
    def what(self, event: AuditEvent) -> str:
        """In words."""
        return audit.label_of(event.verb)
