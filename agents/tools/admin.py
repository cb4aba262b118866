"""Approvals and tool calls in the admin, and a task's part of them on its page."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.audit import Actor
from accounts.models import User
from agents.tasks.exceptions import TaskError
from agents.tasks.models import Task
from agents.tasks.panels import Panel, register_panel
from agents.tasks.permissions import may_operate
from agents.tasks.shown import shown
from agents.tools.approvals import decide
from agents.tools.exceptions import ToolError
from agents.tools.forms import DecisionForm
from agents.tools.models import Approval, ToolCall
from agents.tools.permissions import may_decide
from agents.tools.querysets import ApprovalQuerySet
from agents.tools.reviews import DONE, RETRY, review_call
from foundation.admin import ReadOnlyAdmin, page
from telemetry.masking import masked

MOST_CALLS = 100
COLOURS = {
    Approval.State.PENDING: "warning", Approval.State.APPROVED: "success", Approval.State.EDITED: "success",
    Approval.State.REFUSED: "danger", Approval.State.EXPIRED: "default",
}  # fmt: skip
CALL_COLOURS = {
    ToolCall.State.AWAITING: "warning", ToolCall.State.READY: "default", ToolCall.State.STARTED: "info",
    ToolCall.State.SUCCEEDED: "success", ToolCall.State.FAILED: "danger", ToolCall.State.NEEDS_REVIEW: "warning",
    ToolCall.State.REFUSED: "danger", ToolCall.State.EXPIRED: "default",
}  # fmt: skip


class OpenFilter(admin.SimpleListFilter):
    """Those that somebody waits for: a task that was cancelled leaves its own undecided."""

    title = gettext_lazy("decision")
    parameter_name = "decision"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """One choice."""
        return [("open", _("waited for"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Approval]) -> QuerySet[Approval]:
        """The rows of the choice."""
        return cast("ApprovalQuerySet", queryset).pending() if self.value() == "open" else queryset


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    """Read-only but for the decision, which needs `decide_approval` and leaves an audit entry."""

    list_display = ("tool", "colour", "agent", "owner", "created_at", "expires_at", "decided_by")
    list_filter = (OpenFilter, "state", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("task__agent_version__agent", "task__owner", "decided_by")
    search_fields = ("=id", "=task__id", "=tool")
    search_help_text = gettext_lazy("Id, task or tool, exactly.")
    ordering = ("-created_at", "-id")

    @display(description=gettext_lazy("state"), label=COLOURS, ordering="state")
    def colour(self, approval: Approval) -> tuple[str, str]:
        """A coloured badge."""
        return approval.state, approval.standing

    @display(description=gettext_lazy("agent"))
    def agent(self, approval: Approval) -> str:
        """With its version."""
        return str(approval.task.agent_version)

    @display(description=gettext_lazy("owner"))
    def owner(self, approval: Approval) -> str:
        """Of the task."""
        return str(approval.task.owner)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What will be done, and the form to say so."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        approval = self._approval(object_id)
        form = DecisionForm(request.POST or None, approval=approval)
        may = may_decide(cast("User", request.user))
        if request.method == "POST":
            if not may:
                raise PermissionDenied
            if form.is_valid():
                self._decide(request, approval, form)
                return HttpResponseRedirect(reverse("admin:agents_tools_approval_changelist"))
        return page(
            self, request, "admin/agents_tools/approval.html", title=_("Approval"), approval=approval, form=form,
            colour=COLOURS[Approval.State(approval.state)], may_decide=may and approval.is_open,
            arguments=shown(approval.arguments),
            edited="" if approval.edited_arguments is None else shown(approval.edited_arguments),
        )  # fmt: skip

    def _decide(self, request: HttpRequest, approval: Approval, form: DecisionForm) -> None:
        """A refusal is shown."""
        user = cast("User", request.user)
        try:
            decide(approval=approval, user=user, actor=Actor.of(request), **form.decision_for())
        except ToolError as error:
            self.message_user(request, str(error), messages.WARNING)
        else:
            self.message_user(request, _("Your decision is noted."), messages.SUCCESS)

    def _approval(self, object_id: str) -> Approval:
        try:
            rows = Approval.objects.select_related("task__agent_version__agent", "task__owner", "decided_by")
            return rows.get(pk=uuid.UUID(object_id))
        except (ValueError, Approval.DoesNotExist) as error:
            raise Http404 from error


@admin.register(ToolCall)
class ToolCallAdmin(ReadOnlyAdmin):
    """The ledger. What needs a review is decided here, too."""

    list_display = ("name", "colour", "effects", "task", "times", "created_at", "ended_at")
    list_filter = ("state", "effects", ("created_at", admin.DateFieldListFilter))
    search_fields = ("=id", "=task__id", "=name")
    search_help_text = gettext_lazy("Id, task or tool, exactly.")
    ordering = ("-created_at", "-id")
    fields: ClassVar = [
        "id", "task", "name", "arguments", "effects", "state", "fence", "times", "shown_result", "error",
        "created_at", "started_at", "ended_at",
    ]  # fmt: skip
    readonly_fields: ClassVar = ["shown_result"]

    @display(description=gettext_lazy("state"), label=CALL_COLOURS, ordering="state")
    def colour(self, call: ToolCall) -> tuple[str, str]:
        """A coloured badge."""
        return call.state, call.get_state_display()

    @display(description=gettext_lazy("result"))
    def shown_result(self, call: ToolCall) -> str:
        """Without secrets."""
        return "—" if call.result is None else shown(masked(call.value))[:20_000]

    def get_urls(self) -> list[Any]:
        """The two decisions beside the usual addresses."""
        wrap = self.admin_site.admin_view
        own = [
            path(f"<uuid:pk>/{verb}/", wrap(self.verb_view), {"verb": verb}, name=f"agents_tools_toolcall_{verb}")
            for verb in (RETRY, DONE)
        ]
        return [*own, *super().get_urls()]

    def verb_view(self, request: HttpRequest, pk: uuid.UUID, verb: str) -> HttpResponse:
        """Asks, then notes what a person says of a call that nobody saw end."""
        call = ToolCall.objects.select_related("task").filter(pk=pk).first()
        if call is None:
            raise Http404
        if not self.has_view_permission(request) or not may_operate(cast("User", request.user), call.task):
            raise PermissionDenied
        if request.method == "POST":
            result = request.POST.get("result", "")
            try:
                review_call(task=call.task, call_id=pk, decision=verb, result=result, actor=Actor.of(request))
            except (ToolError, TaskError) as error:
                self.message_user(request, str(error), messages.WARNING)
            return HttpResponseRedirect(reverse("admin:agents_tasks_task_change", args=[call.task_id]))
        titles = {RETRY: _("Make this call again?"), DONE: _("Was this call done?")}
        return page(
            self, request, "admin/agents_tools/review.html", title=titles[verb], call=call, wants_result=verb == DONE,
            arguments=shown(call.arguments),
        )  # fmt: skip


def _calls_of(task: Task) -> dict[str, Any]:
    calls = ToolCall.objects.filter(task=task).select_related("approval").order_by("created_at", "id")
    return {"calls": [(call, CALL_COLOURS[ToolCall.State(call.state)]) for call in calls[:MOST_CALLS]]}


register_panel(Panel(gettext_lazy("Tool calls"), "admin/agents_tools/calls.html", _calls_of))
