"""Agents over HTTP: those that the caller may use."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from agents.definitions.filters import AgentFilter
from agents.definitions.models import Agent
from agents.definitions.serializers import AgentSerializer
from foundation.async_views import AsyncGenericAPIView


class AgentView(AsyncGenericAPIView):
    """What both views of agents share."""

    required_scope = "agents:read"
    holds_narrowing = True
    queryset = Agent.objects.none()
    serializer_class = AgentSerializer

    def get_queryset(self) -> QuerySet[Agent]:
        """Agents that the caller may use."""
        user = cast("User", self.request.user)
        return Agent.objects.usable_by(user).select_related("current_version")


class AgentList(mixins.ListModelMixin, AgentView):
    """The agents that you may use."""

    filterset_class = AgentFilter
    search_fields: ClassVar = ["slug", "name", "description"]
    ordering_fields: ClassVar = ["slug", "created_at"]
    ordering = ("slug", "id")

    @extend_schema(operation_id="agents_list", summary="List agents", tags=["agents"])
    def get(self, request: Request) -> Response:
        """The agents that you may use, by slug."""
        return self.list(request)


class AgentDetail(AgentView):
    """One agent."""

    lookup_field = "slug"

    @extend_schema(operation_id="agents_get", summary="Show an agent", tags=["agents"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One agent with its current version."""
        return Response(self.get_serializer(self.get_object()).data)
