"""The operator's page: queues, what runs, what is stuck, what has failed for good."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.audit import Actor
from accounts.models import User
from agents.tasks import queues
from agents.tasks.models import Queue
from agents.worker.inspection import operations
from agents.worker.models import WorkerProcess
from mutirao.pages.charts import Bar, bars

SEES = "agents_tasks.view_task"
CHANGES = "agents_tasks.change_queue"
VERBS = {"pause": True, "resume": False}


@login_required
@require_safe
def operations_page(request: HttpRequest) -> HttpResponse:
    """For whoever may view everyone's tasks."""
    user = _who(request, SEES)
    found = operations()
    context: dict[str, Any] = {
        "found": found,
        "workers": [*WorkerProcess.objects.order_by("-polled_at")[:20]],
        "chart": bars(
            [Bar(label=f"{minute.at:%H:%M}", total=minute.accepted, part=minute.failed) for minute in found.minutes]
        ),
        "accepted": sum(minute.accepted for minute in found.minutes),
        "ended": sum(minute.ended for minute in found.minutes),
        "may_change": user.has_perm(CHANGES),
    }
    return render(request, "mutirao/operations.html", context)


@login_required
@require_POST
def queue_verb(request: HttpRequest, name: str, verb: str) -> HttpResponse:
    """Pauses a queue, or lets it go on."""
    _who(request, CHANGES)
    if verb not in VERBS:
        raise Http404
    known = Queue.objects.filter(name=name).first()
    queues.change(
        name=name, is_paused=VERBS[verb], most_waiting=known.most_waiting if known else None, actor=Actor.of(request)
    )
    said = {"pause": _("The queue is paused: it accepts tasks and starts none."), "resume": _("The queue goes on.")}
    messages.success(request, said[verb])
    return redirect("pages:operations")


def _who(request: HttpRequest, permission: str) -> User:
    user = cast("User", request.user)
    if not user.has_perm(permission):
        raise PermissionDenied
    return user
