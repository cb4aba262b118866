"""The answer cache over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, TypeVar

from django.db.models import Model, QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from accounts.caller_views import CallerView
from accounts.models import User
from agents.cache import learning, services
from agents.cache.filters import CacheEntryFilter
from agents.cache.models import CacheEntry, Calibration
from agents.cache.serializers import (
    CacheEntryDetailSerializer,
    CacheEntrySerializer,
    CalibrationSerializer,
    EvictedSerializer,
    EvictionSerializer,
    StatisticsSerializer,
)
from agents.cache.statistics import statistics
from agents.definitions.models import Agent
from foundation.exceptions import NotFoundProblem

SEES, CHANGES, LEARNS = (
    "agents_cache.view_cacheentry", "agents_cache.change_cacheentry", "agents_cache.change_calibration",
)  # fmt: skip
MOST_DAYS = 92


class AnswersView(CallerView):
    """What all of them share."""

    area = "answers"
    serializer_class: Any = CacheEntrySerializer
    queryset: QuerySet[Any] = CacheEntry.objects.none()

    def check_may(self, permission: str) -> None:
        """Raises PermissionDenied."""
        if not self.user.has_perm(permission):
            raise PermissionDenied


class CacheEntryList(mixins.ListModelMixin, AnswersView):
    """Cached answers."""

    filterset_class = CacheEntryFilter
    search_fields: ClassVar = ["question"]
    ordering_fields: ClassVar = ["created_at"]

    def get_queryset(self) -> QuerySet[CacheEntry]:
        """Without answers and vectors."""
        return CacheEntry.objects.visible_to(self.user).defer("vector", "answer", "dialogue")

    @extend_schema(operation_id="cache_entries", summary="List cached answers", tags=["cache"])
    def get(self, request: Request) -> Response:
        """Those that come from your own requests, newest first; everybody's for whoever may see them."""
        return self.list(request)


class CacheEntryDetail(AnswersView):
    """One cached answer."""

    serializer_class = CacheEntryDetailSerializer

    def get_queryset(self) -> QuerySet[CacheEntry]:
        """Without vectors."""
        return CacheEntry.objects.visible_to(self.user).defer("vector")

    @extend_schema(operation_id="cache_entry", summary="Show a cached answer", tags=["cache"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """What was asked and answered."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        operation_id="cache_entry_evict", summary="Remove a cached answer", tags=["cache"], responses={204: None}
    )
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """It is given to nobody any more. Your own, or anybody's for whoever may change cached answers."""
        entry = self.get_object()
        if self.user.pk not in (entry.owner_id, entry.asked_by_id):
            self.check_may(CHANGES)
        services.evict(entry_ids=[entry.pk], actor=Actor.of(request))
        return Response(status=204)


class CacheEviction(AnswersView):
    """Removing many."""

    @extend_schema(
        operation_id="cache_evict", summary="Remove cached answers", tags=["cache"], request=EvictionSerializer,
        responses={200: EvictedSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """By tag, by agent or one of its versions, by person, or because the knowledge behind them has changed."""
        self.check_may(CHANGES)
        given = EvictionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response({"evicted": self._evicted(Actor.of(request), **given.validated_data)})

    def _evicted(
        self, actor: Actor, *, tag: str = "", person: str = "", knowledge: str = "", agent: str = "",
        version: int | None = None,
    ) -> int:  # fmt: skip
        if tag:
            return services.evict_tag(tag=tag, actor=actor)
        if person:
            return services.evict_person(user_id=_one_of(User.objects.filter(username=person)).pk, actor=actor)
        if knowledge:
            self.check_may("agents_cache.change_cacheepoch")
            return services.bump_epoch(name=knowledge, actor=actor).evicted
        found = _one_of(Agent.objects.filter(slug=agent))
        which = None if version is None else _one_of(found.versions.filter(number=version))
        return services.evict_agent(agent_id=found.pk, version=which, actor=actor)


Row = TypeVar("Row", bound=Model)


def _one_of(rows: QuerySet[Row]) -> Row:
    row = rows.first()
    if row is None:
        raise NotFoundProblem
    return row


class CacheStatistics(AnswersView):
    """What the cache does."""

    pagination_class = None

    @extend_schema(
        operation_id="cache_statistics", summary="Show what the cache saves", tags=["cache"],
        parameters=[OpenApiParameter("days", int, description="From 1 to 92; 30 when not said.")],
        responses={200: StatisticsSerializer},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Calls, tokens, money and seconds by tier, and why calls were answered or not."""
        self.check_may(SEES)
        text = request.query_params.get("days", "30")
        days = min(max(int(text), 1), MOST_DAYS) if text.isascii() and text.isdigit() and len(text) < 9 else 30
        found = statistics(timezone.now() - timedelta(days=days))
        return Response(StatisticsSerializer(found).data)


class CalibrationList(mixins.ListModelMixin, AnswersView):
    """What was learned."""

    serializer_class = CalibrationSerializer
    ordering_fields: ClassVar = ["created_at"]

    def get_queryset(self) -> QuerySet[Calibration]:
        """For whoever may see them."""
        self.check_may("agents_cache.view_calibration")
        return Calibration.objects.all()

    @extend_schema(operation_id="cache_calibrations", summary="List calibrations", tags=["cache"])
    def get(self, request: Request) -> Response:
        """Threshold and error bound of each agent's semantic tier."""
        return self.list(request)


class CalibrationStart(AnswersView):
    """Learning anew."""

    serializer_class = CalibrationSerializer

    @extend_schema(
        operation_id="cache_calibration_start", summary="Forget what a calibration has learned", tags=["cache"],
        request=None, responses={200: CalibrationSerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """The verifier's own threshold counts again, and the tier is on."""
        self.check_may(LEARNS)
        row = get_object_or_404(Calibration, pk=self.kwargs["pk"])
        learning.start_anew(calibration=row, actor=Actor.of(request))
        row.refresh_from_db()
        return Response(CalibrationSerializer(row).data)
