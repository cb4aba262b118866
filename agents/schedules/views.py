"""Schedules over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.audit import Actor
from accounts.caller_views import CallerView
from accounts.models import User
from accounts.throttling import count_for_agent
from agents.definitions.services import check_reached
from agents.schedules import services
from agents.schedules.data import ScheduleFields
from agents.schedules.exceptions import InvalidSchedule
from agents.schedules.filters import ScheduledRunFilter, ScheduleFilter
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.permissions import may_change, may_delete, may_operate
from agents.schedules.serializers import (
    NewScheduleSerializer,
    ScheduleChangeSerializer,
    ScheduledRunSerializer,
    ScheduleSerializer,
    ScheduleWithNextRunsSerializer,
)
from foundation.exceptions import NotFoundProblem

LOCATION = OpenApiParameter("Location", OpenApiTypes.URI_REF, "header", response=[201, 202])


class ScheduleView(CallerView):
    """What all views of schedules share."""

    area = "schedules"
    queryset = Schedule.objects.none()
    serializer_class: Any = ScheduleWithNextRunsSerializer
    holds_narrowing = True

    def visible_schedules(self) -> QuerySet[Schedule]:
        """Schedules that the caller may see."""
        return Schedule.objects.visible_to(self.user).select_related("agent")

    def get_schedule(self, may: Callable[[User, Schedule], bool] | None = None) -> Schedule:
        """The schedule of the address. Raises 404 for one they may not see, 403 for one they may only see."""
        schedule = self.visible_schedules().filter(pk=self.kwargs["pk"]).first()
        if schedule is None:
            raise NotFoundProblem
        if may is not None and not may(self.user, schedule):
            raise PermissionDenied(_("You may see this schedule, not change it."))
        return schedule

    def shown(self, schedule: Schedule, **options: Any) -> Response:
        """The answer that shows it."""
        return Response(ScheduleWithNextRunsSerializer(schedule).data, **options)


class ScheduleList(mixins.ListModelMixin, ScheduleView):
    """Your schedules."""

    serializer_class: Any = ScheduleSerializer
    filterset_class = ScheduleFilter
    search_fields: ClassVar = ["name"]
    ordering_fields: ClassVar = ["created_at", "name"]

    def get_queryset(self) -> QuerySet[Schedule]:
        """Schedules that the caller may see."""
        return self.visible_schedules()

    @extend_schema(operation_id="schedules_list", summary="List schedules", tags=["schedules"])
    def get(self, request: Request) -> Response:
        """Your schedules, the newest first; everyone's for whoever may view schedules."""
        return self.list(request)

    @extend_schema(
        operation_id="schedules_create", summary="Make a schedule", tags=["schedules"], parameters=[LOCATION],
        request=NewScheduleSerializer, responses={201: ScheduleWithNextRunsSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Makes a schedule that runs an agent with your rights and within your limits."""
        body = NewScheduleSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        fields = cast("ScheduleFields", body.validated_data)
        schedule = _by_field(services.create_schedule, owner=self.user, actor=Actor.of(request), **fields)
        address = reverse("schedule", kwargs={"pk": schedule.pk})
        return self.shown(schedule, status=201, headers={"Location": address})


class ScheduleDetail(ScheduleView):
    """One schedule."""

    pagination_class = None

    @extend_schema(operation_id="schedules_get", summary="Show a schedule", tags=["schedules"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One schedule with its next due times."""
        return self.shown(self.get_schedule())

    @extend_schema(
        operation_id="schedules_change", summary="Change a schedule", tags=["schedules"],
        request=ScheduleChangeSerializer, responses={200: ScheduleWithNextRunsSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Changes what is given. A new time counts from now."""
        schedule = self.get_schedule(may_change)
        body = ScheduleChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        fields = cast("ScheduleFields", body.validated_data)
        if "agent" in fields:
            # It runs with its owner's rights; what this caller's key does not reach, they cannot give it.
            check_reached(slug=fields["agent"], user=self.user)
        return self.shown(_by_field(services.update_schedule, schedule=schedule, actor=Actor.of(request), **fields))

    @extend_schema(
        operation_id="schedules_delete", summary="Delete a schedule", tags=["schedules"], responses={204: None}
    )
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """Forgets a schedule and what came of its due times. Its tasks stay."""
        services.delete_schedule(schedule=self.get_schedule(may_delete), actor=Actor.of(request))
        return Response(status=204)


def _by_field(act: Callable[..., Schedule], **given: Any) -> Schedule:
    """Carries it out; what is wrong is said by field."""
    try:
        return act(**given)
    except InvalidSchedule as error:
        raise ValidationError(error.errors) from error


class SchedulePause(ScheduleView):
    """Pausing."""

    @extend_schema(operation_id="schedules_pause", summary="Pause a schedule", tags=["schedules"], request=None)
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Nothing is due until it is resumed. What runs goes on."""
        return self.shown(services.pause_schedule(schedule=self.get_schedule(may_operate), actor=Actor.of(request)))


class ScheduleResume(ScheduleView):
    """Resuming."""

    @extend_schema(operation_id="schedules_resume", summary="Resume a schedule", tags=["schedules"], request=None)
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Goes on with the next due time. What fell into the pause was not missed."""
        return self.shown(services.resume_schedule(schedule=self.get_schedule(may_operate), actor=Actor.of(request)))


class ScheduleRun(ScheduleView):
    """Running once by hand."""

    serializer_class = ScheduledRunSerializer

    @extend_schema(
        operation_id="schedules_run", summary="Run a schedule now", tags=["schedules"], request=None,
        parameters=[LOCATION],
        responses={202: OpenApiResponse(ScheduledRunSerializer, description="Submitted; `Location` is the task.")},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Submits its task at once, for its owner, also while it is paused. Its due times stay as they are."""
        schedule = self.get_schedule(may_operate)
        count_for_agent(request, schedule.agent_id)
        run = services.run_now(schedule=schedule, actor=Actor.of(request))
        address = reverse("task", kwargs={"pk": run.task_id})
        return Response(ScheduledRunSerializer(run).data, status=202, headers={"Location": address})


class ScheduledRunList(mixins.ListModelMixin, ScheduleView):
    """What came of a schedule's due times."""

    queryset = ScheduledRun.objects.none()  # type: ignore[assignment]
    serializer_class = ScheduledRunSerializer
    filterset_class = ScheduledRunFilter
    search_fields: ClassVar = ["reason"]
    ordering_fields: ClassVar = ["created_at"]

    def get_queryset(self) -> QuerySet[ScheduledRun]:
        """The runs of the address's schedule."""
        return ScheduledRun.objects.filter(schedule=self.get_schedule())

    @extend_schema(operation_id="schedules_runs", summary="List the runs of a schedule", tags=["schedules"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """What came of its due times, the latest first."""
        return self.list(request)
