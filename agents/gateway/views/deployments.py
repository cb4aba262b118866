"""Model deployments over HTTP."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from agents.gateway import services
from agents.gateway.models import Credential, Deployment
from agents.gateway.serializers import (
    ChangeDeploymentSerializer,
    DeploymentSerializer,
    NewDeploymentSerializer,
    TryResultSerializer,
)
from agents.gateway.views.settings import LOCATION, SettingView, by_field, named


class DeploymentView(SettingView):
    """Model deployments."""

    queryset: QuerySet[Any] = Deployment.objects.select_related("credential").defer("credential__secret")
    serializer_class: Any = DeploymentSerializer
    model_name = "deployment"

    def fields(self, kind: type[Any]) -> dict[str, Any]:
        """What was sent, with the credential of that name. Raises ValidationError."""
        given = self.body(kind)
        if "credential" in given:
            given["credential"] = named(Credential, "credential", given["credential"])
        return given


class DeploymentList(mixins.ListModelMixin, DeploymentView):
    """Model deployments."""

    @extend_schema(operation_id="deployments_list", summary="List model deployments", tags=["models"])
    def get(self, request: Request) -> Response:
        """Models at their providers, which routes lead to."""
        return self.list(request)

    @extend_schema(
        operation_id="deployments_create", summary="Make a model deployment", tags=["models"], parameters=[LOCATION],
        request=NewDeploymentSerializer, responses={201: DeploymentSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Makes one. Its model, parameters and credential are tried on; nothing is called."""
        self.check_may("add")
        given = self.fields(NewDeploymentSerializer)
        return self.made(by_field(services.create_deployment, actor=Actor.of(request), **given), "model-deployment")


class DeploymentDetail(DeploymentView):
    """One model deployment."""

    pagination_class = None

    @extend_schema(operation_id="deployments_get", summary="Show a model deployment", tags=["models"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One model at one provider."""
        return self.shown(self.get_object())

    @extend_schema(
        operation_id="deployments_change", summary="Change a model deployment", tags=["models"],
        request=ChangeDeploymentSerializer, responses={200: DeploymentSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Changes what is sent. Calls that go on end as they began."""
        self.check_may("change")
        row, changes = self.get_object(), self.fields(ChangeDeploymentSerializer)
        return self.shown(
            by_field(services.change_deployment, deployment=row, changes=changes, actor=Actor.of(request))
        )

    @extend_schema(
        operation_id="deployments_delete", summary="Delete a model deployment", tags=["models"], responses={204: None}
    )
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """409 while a route leads to it."""
        self.check_may("delete")
        services.delete_deployment(deployment=self.get_object(), actor=Actor.of(request))
        return Response(status=204)


class DeploymentTry(DeploymentView):
    """Whether a deployment answers."""

    pagination_class = None

    @extend_schema(
        operation_id="deployments_try", summary="Try a model deployment", tags=["models"], request=None,
        responses={200: TryResultSerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Asks it for a word and waits 10 seconds at most. An error of the provider is a result like any other. The
        call is counted and costs what it costs."""
        # LangChain, which takes a second to import.
        from agents.gateway.trying import try_deployment

        self.check_may("change")
        row = Deployment.objects.select_related("credential").get(pk=self.get_object().pk)
        return Response(TryResultSerializer(try_deployment(row, Actor.of(request))).data)
