"""The one admin site, and its first page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.account.decorators import secure_admin_login
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.timezone import now
from django.utils.translation import gettext as _
from unfold.sites import UnfoldAdminSite

from agents.tasks.models import Status, Task
from agents.worker.models import WorkerProcess

DAY = timedelta(days=1)
MOST_FAILURES = 5


class MutiraoAdminSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold has no types
    """What an operator sees first: what runs, what failed, who works."""

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Through the same door as everybody: the same limits, and the second factor counts."""
        guarded = secure_admin_login(super().login)
        response: HttpResponse = guarded(request, extra_context)
        return response

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Where everybody changes theirs, with its audit entry."""
        return redirect("account_change_password")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """For whoever may see tasks, with an overview of the last 24 hours."""
        overview = _overview() if request.user.has_perm("agents_tasks.view_task") else {}
        response: TemplateResponse = super().index(request, {**(extra_context or {}), "overview": overview})
        return response


def _overview() -> dict[str, Any]:
    lately = Task.objects.filter(created_at__gte=now() - DAY)
    counts = dict(lately.order_by().values_list("status").annotate(count=Count("pk")))
    failures = lately.filter(status=Status.FAILED).select_related("agent_version__agent").order_by("-created_at", "-id")
    return {
        "states": [
            {"status": status.value, "label": status.label, "count": counts.get(status, 0)} for status in Status
        ],
        "failures": [*failures[:MOST_FAILURES]],
        "workers": WorkerProcess.objects.alive().count(),
        "title": _("The last 24 hours"),
    }
