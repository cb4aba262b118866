"""Tasks in the admin: a list, a page that reads from top to bottom, and what an operator may do."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_celery_results.models import GroupResult, TaskResult
from unfold.decorators import display

from accounts.audit import Actor
from accounts.models import User
from agents.tasks import queues, services, slots
from agents.tasks.exceptions import TaskError
from agents.tasks.forms import RetryForm
from agents.tasks.models import TERMINAL, ConcurrencyLimit, Queue, Status, Task
from agents.tasks.panels import panels_of
from agents.tasks.permissions import OPERATE
from agents.tasks.querysets import TaskQuerySet
from agents.tasks.shown import duration_of, shown
from agents.tasks.ties import ties_of
from agents.tasks.timeline import timeline_of
from foundation.admin import BaseAdmin, ReadOnlyAdmin, confirmation, is_confirmed, page

COLOURS = {
    Status.SUCCEEDED: "success", Status.FAILED: "danger", Status.CANCELLED: "warning", Status.RUNNING: "info",
    Status.WAITING: "warning", Status.NEEDS_REVIEW: "warning", Status.QUEUED: "default",
}  # fmt: skip


class QueueFilter(admin.SimpleListFilter):
    """The known queues. Django's own filter of a text asks all rows for their values."""

    title = gettext_lazy("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen."""
        return [(name, name) for name in queues.known()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        """The tasks of the queue that was chosen."""
        name = self.value()
        return queryset.filter(queue=name) if name else queryset


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    """Read-only but for two verbs, which need `operate_task`, a confirmation, and leave an audit entry."""

    list_display = ("short_id", "state", "version", "owner", "priority", "created_at", "duration", "tokens")
    list_filter = ("status", "priority", QueueFilter, ("created_at", admin.DateFieldListFilter))
    list_select_related = ("agent_version__agent", "owner")
    # Only what has an index that gives this order: of others the first page would sort all tasks.
    sortable_by = ("created_at",)
    # Shows the field; what is looked for is for `named` to say.
    search_fields = ("id",)
    search_help_text = gettext_lazy("Id, idempotency key, request id, trace, owner or agent, exactly.")
    ordering = ("-created_at", "-id")
    actions: ClassVar = ["cancel_tasks", "retry_tasks"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Task], search_term: str
    ) -> tuple[QuerySet[Task], bool]:
        """Exactly: a part of a name would read the whole table."""
        return (cast("TaskQuerySet", queryset).named(search_term) if search_term else queryset), False

    @display(description=gettext_lazy("task"))
    def short_id(self, task: Task) -> str:
        """The end of the id differs most."""
        return f"…{str(task.pk)[-8:]}"

    @display(description=gettext_lazy("status"), label=COLOURS)
    def state(self, task: Task) -> tuple[str, str]:
        """A coloured badge."""
        return task.status, task.get_status_display()

    @display(description=gettext_lazy("agent"))
    def version(self, task: Task) -> str:
        """The agent, with its version."""
        return str(task.agent_version)

    @display(description=gettext_lazy("duration"))
    def duration(self, task: Task) -> str:
        """From acceptance to the end, or to now."""
        return duration_of(task)

    @display(description=gettext_lazy("tokens"))
    def tokens(self, task: Task) -> str:
        """In and out."""
        return f"{task.input_tokens} → {task.output_tokens}" if task.input_tokens or task.output_tokens else "—"

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """May retry and cancel."""
        return bool(request.user.has_perm(OPERATE))

    @admin.action(permissions=["operate"], description=gettext_lazy("Cancel"))
    def cancel_tasks(self, request: HttpRequest, tasks: QuerySet[Task]) -> HttpResponse | None:
        """Ends queued ones at once; asks running ones to stop."""
        sentence = _("Queued tasks end at once; running ones are asked to stop at their next step.")
        return self._carry_out(request, tasks, "cancel", _("Cancel these tasks?"), sentence)

    @admin.action(permissions=["operate"], description=gettext_lazy("Retry"))
    def retry_tasks(self, request: HttpRequest, tasks: QuerySet[Task]) -> HttpResponse | None:
        """Submits them again."""
        sentence = _("Each is submitted again as a new task of its owner, with the agent's current version.")
        return self._carry_out(request, tasks, "retry", _("Retry these tasks?"), sentence)

    def _carry_out(
        self, request: HttpRequest, tasks: QuerySet[Task], verb: str, title: str, sentence: str
    ) -> HttpResponse | None:
        if not is_confirmed(request):
            return confirmation(
                self, request, action=f"{verb}_tasks", title=title, sentence=sentence,
                rows=tasks.select_related("agent_version__agent"),
            )  # fmt: skip
        done = sum(self._do(request, task, verb) is not None for task in tasks.select_related("agent_version__agent"))
        self.message_user(request, _("%(done)d tasks: done.") % {"done": done}, messages.SUCCESS)
        return None

    def _do(self, request: HttpRequest, task: Task, verb: str, **options: Any) -> Task | None:
        """Carries the verb out; a refusal is shown."""
        act: Callable[..., Task] = {"cancel": services.cancel, "retry": services.retry}[verb]
        try:
            return act(task=task, actor=Actor.of(request), **options)
        except TaskError as error:
            self.message_user(request, f"{task.pk}: {error}", messages.WARNING)
            return None

    def get_urls(self) -> list[Any]:
        """The page's own verbs beside the usual addresses."""
        wrap = self.admin_site.admin_view
        own = [
            path(f"<uuid:pk>/{verb}/", wrap(self.verb_view), {"verb": verb}, name=f"agents_tasks_task_{verb}")
            for verb in ("cancel", "retry")
        ]
        return [*own, *super().get_urls()]

    def verb_view(self, request: HttpRequest, pk: uuid.UUID, verb: str) -> HttpResponse:
        """Asks, then does, then shows the task (for a retry, the new one)."""
        if not self.has_operate_permission(request) or not self.has_view_permission(request):
            raise PermissionDenied
        task = self._task(pk)
        # What belongs to a serial key, a conversation say, is edited there.
        has_form = verb == "retry" and task.serial_key is None
        form = RetryForm(request.POST or None, task=task) if has_form else None
        if request.method == "POST" and (form is None or "input" not in request.POST or form.is_valid()):
            options = form.options() if form is not None and form.is_valid() else {}
            shown = self._do(request, task, verb, **options) or task
            return HttpResponseRedirect(reverse("admin:agents_tasks_task_change", args=[shown.pk]))
        titles = {"cancel": _("Cancel this task?"), "retry": _("Retry this task?")}
        return page(self, request, "admin/mutirao/confirm.html", title=titles[verb], rows=[task], action="", form=form)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The story of one task."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        task, user = self._task(object_id), cast("User", request.user)
        lines, has_more = timeline_of(task)
        attempts = [*task.attempts.order_by("fence")]
        results = TaskResult.objects.filter(task_id__in=[each.celery_id for each in attempts if each.celery_id])
        may = self.has_operate_permission(request)
        return page(
            self, request, "admin/agents_tasks/task/page.html",
            title=_("Task"), task=task, colour=COLOURS[Status(task.status)], duration=duration_of(task),
            input=shown(task.input), result=None if task.result is None else shown(task.result),
            metadata=shown(task.metadata) if task.metadata else "", lines=lines, has_more=has_more,
            attempts=attempts, celery_results=[*results], panels=panels_of(task, user), ties=ties_of(task, user),
            can_cancel=may and task.status not in TERMINAL,
            can_retry=may and task.status in (Status.FAILED, Status.CANCELLED),
        )  # fmt: skip

    def _task(self, pk: uuid.UUID | str) -> Task:
        try:
            wanted = pk if isinstance(pk, uuid.UUID) else uuid.UUID(pk)
            return services.task_of(wanted)
        except (ValueError, Task.DoesNotExist) as error:
            raise Http404 from error


admin.site.unregister(TaskResult)
admin.site.unregister(GroupResult)


@admin.register(TaskResult)
class TaskResultAdmin(ReadOnlyAdmin):
    """What Celery ran. Searched by id alone: anything else would read the whole table."""

    list_display = ("task_id", "task_name", "status", "worker", "date_done")
    list_filter = ("status",)
    search_fields = ("=task_id",)
    ordering = ("-id",)
    fields = ("task_id", "task_name", "status", "worker", "result", "date_created", "date_done", "traceback")


@admin.register(Queue)
class QueueAdmin(BaseAdmin):
    """Pausing and bounding queues. One without a row is open."""

    list_display = ("name", "is_paused", "most_waiting", "waiting", "oldest")
    search_fields = ("name",)
    ordering = ("name",)

    @display(description=gettext_lazy("waiting"))
    def waiting(self, queue: Queue) -> int:
        """How many tasks are queued."""
        return Task.objects.filter(queue=queue.name, status=Status.QUEUED).count()

    @display(description=gettext_lazy("oldest"))
    def oldest(self, queue: Queue) -> str:
        """How long the oldest of them has been."""
        first = Task.objects.due(timezone.now()).filter(queue=queue.name).order_by("created_at").first()
        return duration_of(first) if first else "—"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Its name is how agents and workers know it."""
        return ("name",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Queue, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the service, with its audit."""
        row = queues.change(
            name=obj.name, most_waiting=obj.most_waiting, is_paused=obj.is_paused, actor=Actor.of(request)
        )
        obj.pk = row.pk

    def delete_model(self, request: HttpRequest, obj: Queue) -> None:
        """The queue is open again, within the installation's bound."""
        queues.change(name=obj.name, most_waiting=None, is_paused=False, actor=Actor.of(request))
        super().delete_model(request, obj)
        queues.forget()


@admin.register(ConcurrencyLimit)
class ConcurrencyLimitAdmin(BaseAdmin):
    """How many tasks of an agent, a user or a key run at the same time."""

    list_display = ("subject", "most_running", "running")
    list_select_related = ("agent", "owner", "api_key")
    autocomplete_fields = ("agent", "owner", "api_key")
    fields = ("agent", "owner", "api_key", "most_running")

    @display(description=gettext_lazy("subject"))
    def subject(self, limit: ConcurrencyLimit) -> str:
        """Whose limit it is."""
        return str(limit.agent or limit.owner or limit.api_key)

    @display(description=gettext_lazy("running"))
    def running(self, limit: ConcurrencyLimit) -> int:
        """Slots that are taken."""
        return limit.slots.filter(task__isnull=False).count()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Another subject is another limit."""
        return ("agent", "owner", "api_key") if obj else ()

    def save_model(self, request: HttpRequest, obj: ConcurrencyLimit, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the service, which makes the slots."""
        subject = {name: value for name in slots.SUBJECTS if (value := getattr(obj, name)) is not None}
        obj.pk = slots.set_limit(most_running=obj.most_running, actor=Actor.of(request), **subject).pk

    def delete_model(self, request: HttpRequest, obj: ConcurrencyLimit) -> None:
        """Through the service, with its audit."""
        slots.remove_limit(limit=obj, actor=Actor.of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ConcurrencyLimit]) -> None:
        """One by one."""
        for limit in queryset:
            self.delete_model(request, limit)
