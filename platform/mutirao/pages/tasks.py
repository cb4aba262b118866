"""Tasks: the list, and the story of one as it unfolds."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.audit import Actor
from accounts.models import User
from agents.gateway.evidence import Told, told_to_owner
from agents.gateway.models import ModelCall
from agents.memory.services import belongs_to_conversation
from agents.tasks.endings import ties_of as ties_of_row
from agents.tasks.exceptions import TaskError
from agents.tasks.forms import RetryForm
from agents.tasks.models import TERMINAL, Status, Task
from agents.tasks.permissions import may_operate
from agents.tasks.services import cancel, retry
from agents.tasks.shown import duration_of, shown
from agents.tasks.ties import ties_of
from agents.tasks.timeline import timeline_of
from mutirao.pages.reading import readable_task
from mutirao.pages.task_search import TaskSearch, page_of
from mutirao.pages.waiting import waiting_of
from mutirao.stories import waterfall_of

MOST_CALLS = 50
VERBS: dict[str, Callable[..., Task]] = {"cancel": cancel, "retry": retry}
# htmx leaves the page as it is and goes on asking.
NOTHING_NEW = 204


@login_required
@require_safe
def task_list(request: HttpRequest) -> HttpResponse:
    """One's own tasks, or everyone's for whoever may view tasks; the newest first."""
    user = _user(request)
    search = TaskSearch(request.GET, user=user)
    visible = Task.objects.visible_to(user)
    found = search.applied_to(visible.select_related("agent_version__agent", "owner"))
    page = page_of(found, visible, before=request.GET.get("before", ""))
    context = {
        "search": search,
        "page": page,
        "sees_all": user.has_perm("agents_tasks.view_task"),
        "older": search.address(before=page.next) if page.next else "",
        "newest": search.address() if request.GET.get("before") else "",
    }
    return render(request, "tasks/list.html", context)


@login_required
@require_safe
def task_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Everything about one task."""
    return render(request, "tasks/page.html", story_of(readable_task(request, pk), _user(request)))


@login_required
@require_safe
def task_live(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """What has changed since the page, or this, was read. The last answer does not ask to be asked again."""
    task = readable_task(request, pk)
    if request.GET.get("seen") == stamp_of(task) and task.status not in TERMINAL:
        return HttpResponse(status=NOTHING_NEW)
    return render(request, "tasks/story.html", story_of(task, _user(request)))


@login_required
@require_http_methods(["GET", "POST"])
def task_verb(request: HttpRequest, pk: uuid.UUID, verb: str) -> HttpResponse:
    """Asks, then cancels or retries."""
    if verb not in VERBS:
        raise Http404
    task = readable_task(request, pk)
    if not may_operate(_user(request), task):
        raise PermissionDenied
    # A message of a conversation is edited in the conversation.
    has_form = verb == "retry" and not belongs_to_conversation(ties_of_row(task))
    form = RetryForm(request.POST or None, task=task) if has_form else None
    if request.method == "POST" and (form is None or "input" not in request.POST or form.is_valid()):
        options = form.options() if form is not None and form.is_valid() else {}
        return redirect("pages:task", _carried_out(request, task, verb, options).pk)
    return render(request, "tasks/confirm.html", {"task": task, "verb": verb, "form": form})


def _carried_out(request: HttpRequest, task: Task, verb: str, options: dict[str, Any]) -> Task:
    """The task to show then: for a retry the new one. A refusal is told."""
    try:
        done = VERBS[verb](task=task, actor=Actor.of(request), **options)
    except TaskError as error:
        messages.warning(request, str(error))
        return task
    said = {"cancel": _("The task is cancelled, or stops at its next step."), "retry": _("This is the new task.")}
    messages.success(request, said[verb])
    return done


def story_of(task: Task, user: User) -> dict[str, Any]:
    """What the page shows."""
    lines, has_more = timeline_of(task)
    may = may_operate(user, task)
    return {
        "task": task,
        "stamp": stamp_of(task),
        "is_live": task.status not in TERMINAL,
        "duration": duration_of(task),
        "input": shown(task.input),
        "result": "" if task.result is None else shown(task.result),
        "metadata": shown(task.metadata) if task.metadata else "",
        "lines": lines,
        "has_more": has_more,
        "ties": ties_of(task, user),
        "attempts": [*task.attempts.order_by("fence")],
        "calls": _calls_of(task),
        "sees_tracebacks": user.has_perm("agents_tasks.view_task"),
        **waterfall_of(task),
        "waiting": waiting_of(task, user),
        "can_cancel": may and task.status not in TERMINAL and task.cancel_requested_at is None,
        "can_retry": may and task.status in (Status.FAILED, Status.CANCELLED),
    }


def _calls_of(task: Task) -> list[Told]:
    calls = ModelCall.objects.filter(task_id=task.pk).order_by("started_at")[:MOST_CALLS]
    return [told_to_owner(call) for call in calls]


def stamp_of(task: Task) -> str:
    """Changes with everything that the page shows."""
    return f"{task.last_event}-{task.fence}-{'c' if task.cancel_requested_at else ''}"


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)
