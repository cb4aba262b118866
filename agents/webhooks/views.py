"""Webhooks over HTTP: endpoints, their secrets, and deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.serializers import BaseSerializer

from accounts.audit import Actor
from accounts.caller_views import CallerView
from agents.definitions.models import Agent
from agents.definitions.narrowing import narrowed
from agents.definitions.services import get_usable_agent
from agents.webhooks import services
from agents.webhooks.filters import DeliveryFilter
from agents.webhooks.models import Delivery, Endpoint
from agents.webhooks.permissions import may_replay
from agents.webhooks.serializers import (
    ChangeEndpointSerializer,
    DeliveryDetailSerializer,
    DeliverySerializer,
    EndpointSerializer,
    IssuedEndpointSerializer,
    IssuedSecretSerializer,
    NewEndpointSerializer,
    RotateSecretSerializer,
)
from agents.webhooks.services import Wishes

NO_STORE = {"Cache-Control": "no-store"}


class WebhookView(CallerView):
    """What all of them share."""

    area = "webhooks"
    queryset: QuerySet[Any] = Endpoint.objects.none()
    serializer_class: type[BaseSerializer[Any]] = EndpointSerializer
    holds_narrowing = True

    def get_queryset(self) -> QuerySet[Any]:
        """Endpoints that the caller may see."""
        return Endpoint.objects.visible_to(self.user).without_secrets().select_related("agent")

    def own_endpoint(self) -> Endpoint:
        """The endpoint of the address. Raises 404 for another's: only its owner may do anything with it."""
        rows = Endpoint.objects.without_secrets().select_related("agent")
        return get_object_or_404(narrowed(rows, self.user), pk=self.kwargs["pk"], owner=self.user)

    def wishes(self, given: Mapping[str, Any], before: Wishes) -> Wishes:
        """What stands, changed by what was given."""
        changes = {name: given[name] for name in ("url", "description", "includes_result") if name in given}
        if "statuses" in given:
            changes["statuses"] = tuple(given["statuses"])
        if "agent" in given:
            changes["agent"] = self._agent(given["agent"])
        wishes = replace(before, **changes)
        if wishes.agent is None and self.user.narrowed_to is not None:
            raise ValidationError({"agent": [_("With this key, say which agent it is about.")]})
        return wishes

    def _agent(self, slug: str | None) -> Agent | None:
        return get_usable_agent(slug=slug, user=self.user) if slug else None

    def shown(self, endpoint: Endpoint, **more: Any) -> dict[str, Any]:
        """As answers have it."""
        return {**EndpointSerializer(endpoint, context=self.get_serializer_context()).data, **more}


class EndpointList(mixins.ListModelMixin, WebhookView):
    """Webhook endpoints."""

    search_fields: ClassVar = ["description"]
    ordering_fields: ClassVar = ["created_at"]

    @extend_schema(operation_id="webhooks_list", summary="List webhook endpoints", tags=["webhooks"])
    def get(self, request: Request) -> Response:
        """Your endpoints, newest first; everyone's for whoever may view endpoints."""
        return self.list(request)

    @extend_schema(
        operation_id="webhooks_register", summary="Register a webhook endpoint", tags=["webhooks"],
        request=NewEndpointSerializer, responses={201: IssuedEndpointSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Registers a receiver. Its secret is in this answer and nowhere else, ever."""
        given = NewEndpointSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        wishes = self.wishes(given.validated_data, Wishes(given.validated_data["url"]))
        issued = services.register_endpoint(owner=self.user, wishes=wishes, actor=Actor.of(request))
        row = cast("Endpoint", issued.row)
        headers = {**NO_STORE, "Location": reverse("webhook", kwargs={"pk": row.pk})}
        return Response(self.shown(row, secret=issued.secret), status=201, headers=headers)


class EndpointDetail(WebhookView):
    """One webhook endpoint."""

    @extend_schema(operation_id="webhooks_get", summary="Show a webhook endpoint", tags=["webhooks"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One endpoint, without its secret."""
        return Response(self.shown(self.get_object()))

    @extend_schema(
        operation_id="webhooks_change", summary="Change a webhook endpoint", tags=["webhooks"],
        request=ChangeEndpointSerializer, responses={200: EndpointSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Changes what it is told of; `enabled` turns it off and on."""
        given = ChangeEndpointSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        endpoint, actor = self.own_endpoint(), Actor.of(request)
        wishes = self.wishes(given.validated_data, Wishes.of(endpoint))
        services.change_endpoint(endpoint=endpoint, wishes=wishes, actor=actor)
        if given.validated_data.get("enabled") is True:
            services.enable_endpoint(endpoint=endpoint, actor=actor)
        if given.validated_data.get("enabled") is False:
            services.disable_endpoint(endpoint=endpoint, actor=actor)
        return Response(self.shown(endpoint))

    @extend_schema(
        operation_id="webhooks_delete", summary="Delete a webhook endpoint", tags=["webhooks"], responses={204: None}
    )
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """Forgets an endpoint of yours, with the log of its deliveries."""
        services.delete_endpoint(endpoint=self.own_endpoint(), actor=Actor.of(request))
        return Response(status=204)


class EndpointRotation(WebhookView):
    """The secret of an endpoint."""

    @extend_schema(
        operation_id="webhooks_rotate", summary="Rotate a webhook secret", tags=["webhooks"],
        request=RotateSecretSerializer, responses={201: IssuedSecretSerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Gives an endpoint a new secret; the old one signs beside it for `overlap_seconds` more."""
        overlap = _overlap(request)
        issued = services.rotate_secret(endpoint=self.own_endpoint(), actor=Actor.of(request), overlap=overlap)
        return Response({"secret": issued.secret}, status=201, headers=NO_STORE)


class TaskSecretRotation(WebhookView):
    """The secret of the webhooks of single tasks, of whatever agent."""

    holds_narrowing = False

    @extend_schema(
        operation_id="webhooks_task_secret", summary="Rotate the secret for single tasks", tags=["webhooks"],
        request=RotateSecretSerializer, responses={201: IssuedSecretSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Gives you a new secret for the `webhook_url` of your tasks; the old one signs beside it for
        `overlap_seconds` more."""
        overlap = _overlap(request)
        issued = services.rotate_task_secret(owner=self.user, actor=Actor.of(request), overlap=overlap)
        return Response({"secret": issued.secret}, status=201, headers=NO_STORE)


class EndpointTest(WebhookView):
    """A test of an endpoint."""

    @extend_schema(
        operation_id="webhooks_test", summary="Test a webhook endpoint", tags=["webhooks"], request=None,
        responses={202: DeliverySerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Queues a test event for an endpoint of yours. 409 when it is disabled."""
        delivery = services.send_test(endpoint=self.own_endpoint(), actor=Actor.of(request))
        shown = DeliverySerializer(delivery, context=self.get_serializer_context()).data
        return Response(shown, status=202, headers={"Location": _address(delivery)})


class DeliveryView(WebhookView):
    """What the views of deliveries share."""

    queryset: QuerySet[Any] = Delivery.objects.none()
    serializer_class = DeliverySerializer

    def get_queryset(self) -> QuerySet[Any]:
        """Deliveries that the caller may see; bodies are read one at a time."""
        return Delivery.objects.visible_to(self.user)


class DeliveryList(mixins.ListModelMixin, DeliveryView):
    """Webhook deliveries."""

    filterset_class = DeliveryFilter
    ordering_fields: ClassVar = ["created_at"]

    @extend_schema(operation_id="webhooks_deliveries", summary="List webhook deliveries", tags=["webhooks"])
    def get(self, request: Request) -> Response:
        """Your deliveries, newest first; everyone's for whoever may view deliveries."""
        return self.list(request)

    def get_queryset(self) -> QuerySet[Any]:
        """Without the bodies."""
        return super().get_queryset().defer("body")


class DeliveryDetail(DeliveryView):
    """One webhook delivery."""

    serializer_class = DeliveryDetailSerializer

    @extend_schema(operation_id="webhooks_delivery", summary="Show a webhook delivery", tags=["webhooks"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One delivery with its body and every try."""
        return Response(self.get_serializer(self.get_object()).data)


class DeliveryReplay(DeliveryView):
    """Sending again."""

    @extend_schema(
        operation_id="webhooks_replay", summary="Replay a webhook delivery", tags=["webhooks"], request=None,
        responses={202: DeliverySerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Sends a delivery again, under the same id. 409 when it is on its way, or its endpoint is disabled."""
        delivery = self.get_object()
        if not may_replay(self.user, delivery):
            raise PermissionDenied
        row = services.replay(delivery=delivery, actor=Actor.of(request))
        return Response(self.get_serializer(row).data, status=202, headers={"Location": _address(row)})


def _overlap(request: Request) -> timedelta:
    given = RotateSecretSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    return timedelta(seconds=given.validated_data["overlap_seconds"])


def _address(delivery: Delivery) -> str:
    return reverse("webhook-delivery", kwargs={"pk": delivery.pk})
