"""The processes that do the work."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from agents.worker.models import WorkerProcess
from foundation.admin import ReadOnlyAdmin


@admin.register(WorkerProcess)
class WorkerProcessAdmin(ReadOnlyAdmin):
    """A worker that has not been heard of for 30 seconds is not counted as alive."""

    list_display = ("name", "alive", "queues", "threads", "pid", "polled_at")
    search_fields = ("name",)

    @display(description=_("alive"), boolean=True)
    def alive(self, worker: WorkerProcess) -> bool:
        """Heard of lately."""
        return worker.is_alive
