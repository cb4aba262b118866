"""The operator's view of the platform, over HTTP."""

from __future__ import annotations

from typing import Any, cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from accounts.caller_views import CallerView
from accounts.models import User
from agents.tasks import queues
from agents.tasks.models import Queue
from agents.worker.inspection import QueueState, operations, queue_states
from agents.worker.models import WorkerProcess
from agents.worker.serializers import OperationsSerializer, QueueChangeSerializer, QueueSerializer


class OperatorView(CallerView):
    """For whoever may view everyone's tasks; changing needs `change_queue` too."""

    area = "tasks"
    queryset = WorkerProcess.objects.none()
    serializer_class: Any = QueueSerializer
    pagination_class = None
    filter_backends = ()

    def check_permissions(self, request: Request) -> None:
        """Raises 401 and 403."""
        super().check_permissions(request)
        wanted = ["agents_tasks.view_task"]
        if request.method not in SAFE_METHODS:
            wanted.append("agents_tasks.change_queue")
        if not cast("User", request.user).has_perms(wanted):
            raise PermissionDenied


class OperationsView(OperatorView):
    """Everything at once."""

    serializer_class = OperationsSerializer

    @extend_schema(operation_id="operations_get", summary="Show what the platform is doing", tags=["operations"])
    def get(self, request: Request) -> Response:
        """Queues, what runs, what is stuck, what has failed for good, and how much gets done."""
        return Response(OperationsSerializer(operations()).data)


class QueueList(OperatorView):
    """All queues."""

    @extend_schema(
        operation_id="queues_list", summary="List queues", tags=["operations"], responses=QueueSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        """Every queue that has work, a worker, or a row of its own, by name."""
        return Response([QueueSerializer(state).data for state in queue_states(timezone.now())])


class QueueDetail(OperatorView):
    """One queue."""

    @extend_schema(operation_id="queues_get", summary="Show a queue", tags=["operations"])
    def get(self, request: Request, name: str) -> Response:
        """What waits in it."""
        return Response(QueueSerializer(_state_of(name)).data)

    @extend_schema(
        operation_id="queues_change", summary="Pause or bound a queue", tags=["operations"],
        request=QueueChangeSerializer,
    )  # fmt: skip
    def patch(self, request: Request, name: str) -> Response:
        """Pauses it, lets it go on, or bounds it. What is not given stays."""
        body = QueueChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        _state_of(name)
        row = Queue.objects.filter(name=name).first() or Queue(name=name)
        wanted = {"most_waiting": row.most_waiting, "is_paused": row.is_paused} | body.validated_data
        queues.change(name=name, actor=Actor.of(request), **wanted)
        return Response(QueueSerializer(_state_of(name)).data)


def _state_of(name: str) -> QueueState:
    for state in queue_states(timezone.now()):
        if state.name == name:
            return state
    raise NotFound
