"""Schedules: the list, one with its next and its last runs, and a form that shows the next ones while one types."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.audit import Actor
from accounts.models import User
from agents.definitions.exceptions import UnknownAgent
from agents.schedules.exceptions import InvalidSchedule, ScheduleError
from agents.schedules.models import Schedule
from agents.schedules.permissions import may_change, may_delete, may_operate
from agents.schedules.services import (
    create_schedule,
    delete_schedule,
    next_runs,
    pause_schedule,
    resume_schedule,
    run_now,
    update_schedule,
)
from agents.tasks.shown import shown
from mutirao.pages.schedule_form import ScheduleForm

MOST_ROWS = 200
MOST_RUNS = 50
SHOWN = 5
VERBS: dict[str, Callable[..., object]] = {"pause": pause_schedule, "resume": resume_schedule, "run": run_now}


@login_required
@require_safe
def schedule_list(request: HttpRequest) -> HttpResponse:
    """One's own schedules, or everyone's for whoever may view schedules; by name."""
    user = _user(request)
    wanted = request.GET.get("q", "").strip()[:100]
    rows = Schedule.objects.visible_to(user).select_related("agent", "owner").with_last_run().order_by("name", "id")
    if wanted:
        rows = rows.filter(Q(name__icontains=wanted) | Q(agent__slug__icontains=wanted))
    found = [*rows[: MOST_ROWS + 1]]
    context = {
        "schedules": found[:MOST_ROWS],
        "has_more": len(found) > MOST_ROWS,
        "q": wanted,
        "sees_all": user.has_perm("agents_schedules.view_schedule"),
    }
    return render(request, "schedules/list.html", context)


@login_required
@require_safe
def schedule_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One schedule: when it runs next, what came of its due times, and what can be done."""
    schedule, user = _schedule(request, pk), _user(request)
    runs = schedule.runs.select_related("task").defer("task__input", "task__result", "task__metadata")
    context = {
        "schedule": schedule,
        "input": shown(schedule.input),
        "metadata": shown(schedule.metadata) if schedule.metadata else "",
        "upcoming": [] if schedule.paused_at else next_runs(schedule, SHOWN),
        "runs": [*runs.order_by("-created_at", "-id")[:MOST_RUNS]],
        "can_operate": may_operate(user, schedule),
        "can_change": may_change(user, schedule),
        "can_delete": may_delete(user, schedule),
    }
    return render(request, "schedules/page.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def schedule_new(request: HttpRequest) -> HttpResponse:
    """The form of a new one."""
    user = _user(request)
    form = ScheduleForm(request.POST or None, owner=user)
    if not form.is_bound and (agent := request.GET.get("agent")):
        form.initial["agent"] = agent
    return _form(request, form, lambda fields: create_schedule(owner=user, actor=Actor.of(request), **fields))


@login_required
@require_http_methods(["GET", "POST"])
def schedule_edit(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The same form, of one that there is."""
    schedule = _schedule(request, pk, may_change)
    form = ScheduleForm(request.POST or None, owner=schedule.owner, schedule=schedule)
    return _form(request, form, lambda fields: update_schedule(schedule=schedule, actor=Actor.of(request), **fields))


@login_required
@require_POST
def schedule_preview(request: HttpRequest, pk: uuid.UUID | None = None) -> HttpResponse:
    """The next runs of what has been typed so far."""
    schedule = None if pk is None else _schedule(request, pk, may_change)
    form = ScheduleForm(request.POST, owner=_user(request), schedule=schedule)
    return render(request, "schedules/preview.html", preview_of(form))


@login_required
@require_http_methods(["GET", "POST"])
def schedule_delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Asks, then deletes."""
    schedule = _schedule(request, pk, may_delete)
    if request.method != "POST":
        return render(request, "schedules/delete.html", {"schedule": schedule})
    delete_schedule(schedule=schedule, actor=Actor.of(request))
    messages.success(request, _("“%(name)s” is deleted. Its tasks stay.") % {"name": schedule.name})
    return redirect("pages:schedules")


@login_required
@require_POST
def schedule_verb(request: HttpRequest, pk: uuid.UUID, verb: str) -> HttpResponse:
    """Pauses, resumes or runs it."""
    if verb not in VERBS:
        raise Http404
    schedule = _schedule(request, pk, may_operate)
    said = {
        "pause": _("It is paused: nothing is due until you resume it."),
        "resume": _("It goes on with its next due time."),
        "run": _("A task is submitted."),
    }
    try:
        VERBS[verb](schedule=schedule, actor=Actor.of(request))
    except ScheduleError as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, said[verb])
    return redirect("pages:schedule", schedule.pk)


def preview_of(form: ScheduleForm) -> dict[str, Any]:
    """`upcoming` and `zone`, or the `wrong` sentences about when it is due."""
    if form.is_bound:
        errors = form.errors
        wrong = [sentence for name in form.WHEN for sentence in errors.get(name, [])]
        made = form.as_schedule(form.cleaned_data)
    else:
        wrong, made = [], form.schedule or form.as_schedule(form.beginning())
    return {"upcoming": [] if wrong else next_runs(made, SHOWN), "zone": made.timezone, "wrong": wrong}


def _form(request: HttpRequest, form: ScheduleForm, save: Callable[[Any], Schedule]) -> HttpResponse:
    """Shows the form, shows it with the next runs or with what is wrong, or saves."""
    if form.is_bound and "preview" not in request.POST and form.is_valid():
        try:
            return redirect("pages:schedule", save(form.fields_given()).pk)
        except InvalidSchedule as error:
            form.refuse(error.errors)
        except UnknownAgent as error:
            form.add_error("agent", str(error))
        except ScheduleError as error:
            form.add_error(None, str(error))
    context = {"form": form, "schedule": form.schedule, **preview_of(form)}
    is_wrong = form.is_bound and "preview" not in request.POST
    return render(request, "schedules/form.html", context, status=400 if is_wrong else 200)


def _schedule(request: HttpRequest, pk: uuid.UUID, may: Callable[[User, Schedule], bool] | None = None) -> Schedule:
    """Raises Http404 for one that is not theirs to see, PermissionDenied for one that is theirs only to see."""
    user = _user(request)
    schedule = Schedule.objects.visible_to(user).select_related("agent", "owner").filter(pk=pk).first()
    if schedule is None:
        raise Http404
    if may is not None and not may(user, schedule):
        raise PermissionDenied
    return schedule


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)
