"""Approvals: what agents want to do and may not without a person's word."""

from __future__ import annotations

import uuid
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.audit import Actor
from accounts.models import User
from agents.tasks.shown import shown
from agents.tools.approvals import decide
from agents.tools.exceptions import AlreadyDecided
from agents.tools.forms import DecisionForm
from agents.tools.models import Approval
from agents.tools.permissions import may_decide

MOST_OPEN = 100
MOST_DECIDED = 20


@login_required
@require_safe
def approval_list(request: HttpRequest) -> HttpResponse:
    """What waits, the oldest first, and what was decided lately: of one's own tasks, or of all for whoever decides."""
    user = cast("User", request.user)
    rows = Approval.objects.visible_to(user).select_related("task__agent_version__agent", "task__owner", "decided_by")
    decided = rows.exclude(state=Approval.State.PENDING).order_by("-created_at", "-id")
    context = {
        "waiting": [*rows.pending().order_by("created_at", "id")[:MOST_OPEN]],
        "decided": [*decided[:MOST_DECIDED]],
        "may_decide": may_decide(user),
    }
    return render(request, "approvals/list.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def approval_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One call: what will be done with which arguments, and the form to say so."""
    user = cast("User", request.user)
    rows = Approval.objects.visible_to(user).select_related("task__agent_version__agent", "task__owner", "decided_by")
    approval = rows.filter(pk=pk).first()
    if approval is None:
        raise Http404
    form = DecisionForm(request.POST or None, approval=approval)
    if request.method == "POST":
        if not may_decide(user):
            raise PermissionDenied
        if form.is_valid():
            _carry_out(request, approval, form, user)
            return redirect("pages:approvals")
    context = {
        "approval": approval,
        "form": form,
        "may_decide": may_decide(user),
        "arguments": shown(approval.arguments),
        "edited": "" if approval.edited_arguments is None else shown(approval.edited_arguments),
    }
    return render(request, "approvals/page.html", context, status=400 if form.errors else 200)


def _carry_out(request: HttpRequest, approval: Approval, form: DecisionForm, user: User) -> None:
    """A refusal is told."""
    try:
        decide(approval=approval, user=user, actor=Actor.of(request), **form.decision_for())
    except AlreadyDecided as error:
        messages.warning(request, str(error))
        return
    messages.success(request, _("Your decision is noted; the task goes on when all of its calls are decided."))
