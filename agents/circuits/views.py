"""Circuit breakers over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from accounts.caller_views import CallerView
from agents.circuits import services
from agents.circuits.models import CircuitChange
from agents.circuits.resources import FORCE
from agents.circuits.serializers import CircuitChangeSerializer, CircuitSerializer, ForceSerializer

SEES = "agents_circuits.view_circuitchange"


class CircuitView(CallerView):
    """What all of them share: they are for whoever may see circuit breakers."""

    area = "circuits"
    serializer_class: Any = CircuitSerializer
    queryset = CircuitChange.objects.none()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises PermissionDenied for whoever may not see them."""
        super().initial(request, *args, **kwargs)
        if not self.user.has_perm(SEES):
            raise PermissionDenied

    def shown(self, standing: services.Standing) -> Response:
        """The answer that shows it."""
        return Response(CircuitSerializer(standing).data)

    def check_may_force(self) -> None:
        """Raises PermissionDenied."""
        if not self.user.has_perms(FORCE):
            raise PermissionDenied


class CircuitList(CircuitView):
    """Every circuit breaker."""

    pagination_class = None

    @extend_schema(
        operation_id="circuits_list", summary="List circuit breakers", tags=["circuits"],
        responses={200: CircuitSerializer(many=True)},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """All that is protected, by kind and name, with how its breaker stands."""
        return Response(CircuitSerializer(services.standings(), many=True).data)


class CircuitDetail(CircuitView):
    """One circuit breaker."""

    pagination_class = None

    @extend_schema(operation_id="circuits_get", summary="Show a circuit breaker", tags=["circuits"])
    def get(self, request: Request, key: str) -> Response:
        """How it stands, and why."""
        return self.shown(services.standing_of(key))


class CircuitForce(CircuitView):
    """Holding one open or closed."""

    @extend_schema(
        operation_id="circuits_force", summary="Hold a circuit breaker open or closed", tags=["circuits"],
        request=ForceSerializer, responses={200: CircuitSerializer},
    )  # fmt: skip
    def post(self, request: Request, key: str) -> Response:
        """Open: nothing is sent there. Closed: everything is, whatever comes back. Until it is released."""
        self.check_may_force()
        given = ForceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return self.shown(services.force(key=key, actor=Actor.of(request), **given.validated_data))


class CircuitRelease(CircuitView):
    """Letting go of one."""

    @extend_schema(
        operation_id="circuits_release", summary="Release a circuit breaker", tags=["circuits"], request=None,
        responses={200: CircuitSerializer},
    )  # fmt: skip
    def post(self, request: Request, key: str) -> Response:
        """It decides by itself again. 409 when nobody holds it."""
        self.check_may_force()
        return self.shown(services.release(key=key, actor=Actor.of(request)))


class CircuitChangeList(mixins.ListModelMixin, CircuitView):
    """What a circuit breaker did."""

    serializer_class = CircuitChangeSerializer
    ordering_fields: ClassVar = ["created_at"]

    def get_queryset(self) -> QuerySet[CircuitChange]:
        """Of the breaker of the address."""
        return CircuitChange.objects.filter(key=self.kwargs["key"])

    @extend_schema(operation_id="circuits_changes", summary="List a circuit breaker's changes", tags=["circuits"])
    def get(self, request: Request, key: str) -> Response:
        """Every step from one state to another, the latest first."""
        return self.list(request)
