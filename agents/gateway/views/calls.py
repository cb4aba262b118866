"""The ledger of model calls over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.caller_views import CallerView
from agents.gateway.filters import ModelCallFilter
from agents.gateway.models import ModelCall
from agents.gateway.serializers import ModelCallSerializer
from agents.tasks.models import Task
from foundation.pagination import TiedOrdering


class ModelCallList(mixins.ListModelMixin, CallerView):
    """Calls to language models."""

    area = "models"
    queryset: QuerySet[Any] = ModelCall.objects.none()
    serializer_class = ModelCallSerializer
    filterset_class = ModelCallFilter
    filter_backends = (DjangoFilterBackend, TiedOrdering)
    ordering = ("-started_at", "-id")
    ordering_fields: ClassVar = ["started_at"]
    holds_narrowing = True

    def get_queryset(self) -> QuerySet[Any]:
        """Calls that the caller may see."""
        return ModelCall.objects.visible_to(self.user)

    @extend_schema(operation_id="model_calls_list", summary="List model calls", tags=["models"])
    def get(self, request: Request) -> Response:
        """Calls on your account, the latest first; everyone's for whoever may view model calls. A call appears within
        a second of its end."""
        return self.list(request)


class TaskCallList(mixins.ListModelMixin, CallerView):
    """The model calls of one task."""

    area = "tasks"
    queryset: QuerySet[Any] = ModelCall.objects.none()
    serializer_class = ModelCallSerializer
    filter_backends = (TiedOrdering,)
    ordering = ("-started_at", "-id")
    ordering_fields: ClassVar = ["started_at"]
    holds_narrowing = True

    def get_queryset(self) -> QuerySet[Any]:
        """Those of a task that the caller may see."""
        task = get_object_or_404(Task.objects.visible_to(self.user), pk=self.kwargs["pk"])
        return ModelCall.objects.filter(task_id=task.pk)

    @extend_schema(operation_id="task_calls_list", summary="List a task's model calls", tags=["tasks"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """Every call of every attempt, the latest first; together they are what the task has spent."""
        return self.list(request)
