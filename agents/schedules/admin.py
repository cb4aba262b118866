"""Schedules in the admin: when they run next, what came of their due times, pause, resume, run now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.decorators import display

from accounts.audit import Actor
from agents.schedules import services
from agents.schedules.exceptions import ScheduleError
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.permissions import DELETE, OPERATE
from foundation.admin import ReadOnlyAdmin, confirmation, is_confirmed

COLOURS = {"paused": "warning", "over": "default", "active": "success"}


class RunInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """What came of its due times, the latest first."""

    model = ScheduledRun
    fields = ("due_at", "last_due_at", "times", "is_manual", "outcome", "reason", "task_link")
    readonly_fields = fields
    ordering = ("-created_at", "-id")
    extra = 0
    can_delete = False
    per_page = 50

    @display(description=gettext_lazy("task"))
    def task_link(self, run: ScheduledRun) -> str:
        """By its id alone: the task itself is not read."""
        if run.task_id is None:
            return "—"
        address = reverse("admin:agents_tasks_task_change", args=[run.task_id])
        return format_html('<a href="{}">…{}</a>', address, str(run.task_id)[-8:])

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    """What a schedule says is changed on its page, where the next runs are shown; here it is operated."""

    inlines = (RunInline,)
    list_display = ("name", "agent", "owner", "when", "timezone", "state", "next_run_at", "last_run_at", "last_error")
    list_filter = (("paused_at", admin.EmptyFieldListFilter), "if_missed", "if_overlapping")
    list_select_related = ("agent", "owner")
    search_fields = ("name", "=id", "=owner__username", "=agent__slug")
    ordering = ("name", "id")
    actions: ClassVar = ["pause_schedules", "resume_schedules", "run_schedules"]

    @display(description=gettext_lazy("when"))
    def when(self, schedule: Schedule) -> str:
        """In words, or as cron says it."""
        return schedule.when

    @display(description=gettext_lazy("state"), label=COLOURS)
    def state(self, schedule: Schedule) -> tuple[str, str]:
        """A coloured badge."""
        if schedule.paused_at is not None:
            return "paused", _("paused")
        return ("over", _("over")) if schedule.is_over else ("active", _("active"))

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """May pause, resume and run."""
        return bool(request.user.has_perm(OPERATE))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As roles say."""
        return bool(request.user.has_perm(DELETE))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the service, with its audit."""
        services.delete_schedule(schedule=obj, actor=Actor.of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """The same, one by one."""
        for schedule in queryset:
            self.delete_model(request, schedule)

    @admin.action(permissions=["operate"], description=gettext_lazy("Pause"))
    def pause_schedules(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> HttpResponse | None:
        """Nothing is due then."""
        sentence = _("Nothing is due until they are resumed. What runs goes on.")
        return self._carry_out(
            request, schedules, "pause_schedules", services.pause_schedule, _("Pause these schedules?"), sentence
        )

    @admin.action(permissions=["operate"], description=gettext_lazy("Resume"))
    def resume_schedules(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> HttpResponse | None:
        """With the next due time."""
        sentence = _("They go on with their next due times. What fell into the pause is not made up for.")
        return self._carry_out(
            request, schedules, "resume_schedules", services.resume_schedule, _("Resume these schedules?"), sentence
        )

    @admin.action(permissions=["operate"], description=gettext_lazy("Run now"))
    def run_schedules(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> HttpResponse | None:
        """Once, by hand."""
        sentence = _("Each submits its task at once, for its owner. Their due times stay as they are.")
        return self._carry_out(
            request, schedules, "run_schedules", services.run_now, _("Run these schedules now?"), sentence
        )

    def _carry_out(
        self,
        request: HttpRequest,
        schedules: QuerySet[Schedule],
        action: str,
        act: Callable[..., object],
        title: str,
        sentence: str,
    ) -> HttpResponse | None:
        if not is_confirmed(request):
            return confirmation(self, request, action=action, title=title, sentence=sentence, rows=schedules)
        done = sum(self._do(request, schedule, act) for schedule in schedules)
        self.message_user(request, _("%(done)d schedules: done.") % {"done": done}, messages.SUCCESS)
        return None

    def _do(self, request: HttpRequest, schedule: Schedule, act: Callable[..., object]) -> bool:
        """Carries the verb out; a refusal is shown."""
        try:
            act(schedule=schedule, actor=Actor.of(request))
        except ScheduleError as error:
            self.message_user(request, f"{schedule}: {error}", messages.WARNING)
            return False
        return True
