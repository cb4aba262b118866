"""Rows that a person may read, or 404."""

from __future__ import annotations

import uuid
from typing import cast

from django.http import Http404, HttpRequest

from accounts.models import User
from agents.tasks.models import Task


def readable_task(request: HttpRequest, pk: uuid.UUID) -> Task:
    """Raises Http404 for one that is not theirs to see."""
    rows = Task.objects.visible_to(cast("User", request.user))
    task = rows.select_related("agent_version__agent", "owner", "api_key").filter(pk=pk).first()
    if task is None:
        raise Http404
    return task
