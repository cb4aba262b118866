"""Model routes over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from agents.gateway import services
from agents.gateway.models import Deployment, Route
from agents.gateway.serializers import ChangeRouteSerializer, NewRouteSerializer, RouteSerializer
from agents.gateway.services import Step
from agents.gateway.views.settings import LOCATION, SettingView, by_field, named


class RouteView(SettingView):
    """Model routes."""

    queryset: QuerySet[Any] = Route.objects.select_related("longer_route", "refused_route").prefetch_related(
        "steps__deployment"
    )
    serializer_class: Any = RouteSerializer
    model_name = "route"

    def fields(self, kind: type[Any]) -> tuple[dict[str, Any], list[Step] | None]:
        """What was sent, and the steps if there are any. Raises ValidationError."""
        given = self.body(kind)
        for field in ("longer_route", "refused_route"):
            if field in given:
                given[field] = named(Route, field, given[field])
        steps = given.pop("steps", None)
        return given, None if steps is None else [_step(step) for step in steps]

    def afresh(self, row: Route) -> Route:
        """The row with its steps."""
        return cast("Route", self.get_queryset().get(pk=row.pk))


def _step(given: Mapping[str, Any]) -> Step:
    return Step(cast("Deployment", named(Deployment, "steps", given["deployment"])), given["weight"])


class RouteList(mixins.ListModelMixin, RouteView):
    """Model routes."""

    @extend_schema(operation_id="routes_list", summary="List model routes", tags=["models"])
    def get(self, request: Request) -> Response:
        """Names that agents can use as `route:<name>`, and where they lead."""
        return self.list(request)

    @extend_schema(
        operation_id="routes_create", summary="Make a model route", tags=["models"], parameters=[LOCATION],
        request=NewRouteSerializer, responses={201: RouteSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Makes one with its steps."""
        self.check_may("add")
        given, steps = self.fields(NewRouteSerializer)
        row = by_field(services.create_route, steps=steps or [], actor=Actor.of(request), **given)
        return self.made(self.afresh(row), "model-route")


class RouteDetail(RouteView):
    """One model route."""

    pagination_class = None

    @extend_schema(operation_id="routes_get", summary="Show a model route", tags=["models"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """Where it leads, and in which order."""
        return self.shown(self.get_object())

    @extend_schema(
        operation_id="routes_change", summary="Change a model route", tags=["models"], request=ChangeRouteSerializer,
        responses={200: RouteSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Changes it. Steps replace all that there were; calls that go on end as they began."""
        self.check_may("change")
        row = self.get_object()
        changes, steps = self.fields(ChangeRouteSerializer)
        by_field(services.change_route, route=row, changes=changes, steps=steps, actor=Actor.of(request))
        return self.shown(self.afresh(row))

    @extend_schema(operation_id="routes_delete", summary="Delete a model route", tags=["models"], responses={204: None})
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """409 while an agent, or another route, leads to it."""
        self.check_may("delete")
        services.delete_route(route=self.get_object(), actor=Actor.of(request))
        return Response(status=204)
