"""Tool calls and approvals over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from accounts.caller_views import CallerView
from accounts.models import User
from agents.tasks.models import Task
from agents.tools.approvals import decide
from agents.tools.filters import ApprovalFilter
from agents.tools.models import Approval, ToolCall
from agents.tools.permissions import may_decide
from agents.tools.serializers import ApprovalSerializer, DecisionSerializer, ToolCallSerializer


class ToolCallList(mixins.ListModelMixin, CallerView):
    """The tool calls of one task."""

    queryset = ToolCall.objects.none()
    serializer_class = ToolCallSerializer
    filter_backends = ()
    ordering = ("-created_at", "-id")
    area = "tasks"
    holds_narrowing = True

    @extend_schema(operation_id="tool_calls_list", summary="List a task's tool calls", tags=["tasks"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """What the task's tools have done, as far as it matters: calls with effects and calls that need approval."""
        return self.list(request)

    def get_queryset(self) -> QuerySet[ToolCall]:
        """Those of a task that the caller may see."""
        visible = Task.objects.visible_to(self.user)
        task = get_object_or_404(visible, pk=self.kwargs["pk"])
        return ToolCall.objects.filter(task=task)


class ApprovalView(CallerView):
    """What all views of approvals share."""

    area = "approvals"
    queryset = Approval.objects.none()
    serializer_class = ApprovalSerializer
    holds_narrowing = True

    def get_queryset(self) -> QuerySet[Approval]:
        """Approvals that the caller may see."""
        visible = Approval.objects.visible_to(self.user)
        return visible.select_related("task__agent_version__agent")


class ApprovalList(mixins.ListModelMixin, ApprovalView):
    """Approvals."""

    filterset_class = ApprovalFilter
    search_fields: ClassVar = ["tool"]
    ordering_fields: ClassVar = ["created_at"]
    ordering = ("-created_at", "-id")

    @extend_schema(operation_id="approvals_list", summary="List approvals", tags=["approvals"])
    def get(self, request: Request) -> Response:
        """What your agents want to do and may not without a person's word; everyone's for whoever may decide."""
        return self.list(request)


class ApprovalDecide(ApprovalView):
    """Deciding."""

    @extend_schema(
        operation_id="approvals_decide", summary="Approve, change or refuse a tool call", tags=["approvals"],
        request=DecisionSerializer, responses={200: OpenApiResponse(ApprovalSerializer, description="Decided.")},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Decides about one call; its task goes on when all of its calls are decided."""
        approval: Approval = self.get_object()
        user = cast("User", request.user)
        if not may_decide(user):
            raise PermissionDenied(_("You may see this, not decide it."))
        body = DecisionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        decide(approval=approval, user=user, actor=Actor.of(request), **body.validated_data)
        return Response(ApprovalSerializer(self.get_object()).data)
