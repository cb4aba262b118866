"""Quotas and rate limits over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts import limits, subjects
from accounts.audit import Actor
from accounts.caller_views import CallerView
from accounts.exceptions import InvalidLimit
from accounts.limit_serializers import (
    NewQuotaSerializer,
    NewRateLimitSerializer,
    QuotaChangeSerializer,
    QuotaSerializer,
    RateLimitChangeSerializer,
    RateLimitSerializer,
)
from accounts.models import Quota, RateLimit
from foundation.pagination import TiedOrdering

LOCATION = OpenApiParameter("Location", OpenApiTypes.URI_REF, "header", response=[201])
Made = TypeVar("Made")


class LimitView(CallerView):
    """What all of these views share."""

    area = "limits"
    filter_backends = (TiedOrdering,)
    ordering_fields: ClassVar = ["created_at"]
    # Of the model that they are about.
    model_name: str

    def check_may(self, verb: str) -> None:
        """Raises PermissionDenied for whoever may not add, change or delete them."""
        if not self.user.has_perm(f"accounts.{verb}_{self.model_name}"):
            raise PermissionDenied(_("You may see limits, not set them."))

    def body(self, kind: type[Any]) -> dict[str, Any]:
        """What was sent. Raises ValidationError."""
        given = kind(data=self.request.data)
        given.is_valid(raise_exception=True)
        return cast("dict[str, Any]", given.validated_data)

    def shown(self, row: Any, **options: Any) -> Response:
        """The answer that shows it."""
        return Response(self.get_serializer(row).data, **options)


def by_field(act: Callable[..., Made], **given: Any) -> Made:
    """Carries it out; what is wrong is said by field."""
    try:
        return act(**given)
    except InvalidLimit as error:
        raise ValidationError({name: [*sentences] for name, sentences in error.errors.items()}) from error


class QuotaView(LimitView):
    """Quotas."""

    queryset = Quota.objects.none()
    serializer_class: Any = QuotaSerializer
    model_name = "quota"

    def get_queryset(self) -> QuerySet[Quota]:
        """Those that bound the caller; all for whoever may view quotas."""
        return Quota.objects.visible_to(self.user, subjects.agents().usable_by(self.user)).named()


class QuotaList(mixins.ListModelMixin, QuotaView):
    """The quotas that bound you."""

    @extend_schema(operation_id="quotas_list", summary="List quotas", tags=["limits"])
    def get(self, request: Request) -> Response:
        """The quotas that bound you, and how they stand; all of them for whoever may view quotas."""
        return self.list(request)

    @extend_schema(
        operation_id="quotas_create", summary="Set a quota", tags=["limits"], parameters=[LOCATION],
        request=NewQuotaSerializer, responses={201: QuotaSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Sets what a subject may spend in a period. Counts tasks that are accepted from now on."""
        self.check_may("add")
        row = by_field(limits.create_quota, actor=Actor.of(request), **self.body(NewQuotaSerializer))
        return self.shown(row, status=201, headers={"Location": reverse("quota", kwargs={"pk": row.pk})})


class QuotaDetail(QuotaView):
    """One quota."""

    pagination_class = None

    @extend_schema(operation_id="quotas_get", summary="Show a quota", tags=["limits"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One quota, and how it stands."""
        return self.shown(self.get_object())

    @extend_schema(
        operation_id="quotas_change", summary="Change a quota", tags=["limits"],
        request=QuotaChangeSerializer, responses={200: QuotaSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Changes the amount, what is reserved, or whether it counts. What is spent stays spent."""
        row = self.get_object()
        self.check_may("change")
        changes = self.body(QuotaChangeSerializer)
        return self.shown(by_field(limits.change_quota, quota=row, actor=Actor.of(request), changes=changes))

    @extend_schema(operation_id="quotas_delete", summary="Delete a quota", tags=["limits"], responses={204: None})
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """Forgets a quota and what was spent of it."""
        row = self.get_object()
        self.check_may("delete")
        limits.delete_quota(quota=row, actor=Actor.of(request))
        return Response(status=204)


class RateLimitView(LimitView):
    """Rate limits."""

    queryset = RateLimit.objects.none()
    serializer_class: Any = RateLimitSerializer
    model_name = "ratelimit"

    def get_queryset(self) -> QuerySet[RateLimit]:
        """Those that bound the caller; all for whoever may view rate limits."""
        return RateLimit.objects.visible_to(self.user, subjects.agents().usable_by(self.user)).named()


class RateLimitList(mixins.ListModelMixin, RateLimitView):
    """The rate limits that bound you."""

    @extend_schema(operation_id="rate_limits_list", summary="List rate limits", tags=["limits"])
    def get(self, request: Request) -> Response:
        """The rate limits that bound you; all of them for whoever may view them. Where there is none, the
        installation's own count.
        """
        return self.list(request)

    @extend_schema(
        operation_id="rate_limits_create", summary="Set a rate limit", tags=["limits"], parameters=[LOCATION],
        request=NewRateLimitSerializer, responses={201: RateLimitSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Sets how many requests a subject may make in a time."""
        self.check_may("add")
        row = by_field(limits.create_rate_limit, actor=Actor.of(request), **self.body(NewRateLimitSerializer))
        return self.shown(row, status=201, headers={"Location": reverse("rate-limit", kwargs={"pk": row.pk})})


class RateLimitDetail(RateLimitView):
    """One rate limit."""

    pagination_class = None

    @extend_schema(operation_id="rate_limits_get", summary="Show a rate limit", tags=["limits"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One rate limit."""
        return self.shown(self.get_object())

    @extend_schema(
        operation_id="rate_limits_change", summary="Change a rate limit", tags=["limits"],
        request=RateLimitChangeSerializer, responses={200: RateLimitSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Another rate; it begins to count from zero."""
        row = self.get_object()
        self.check_may("change")
        rate = self.body(RateLimitChangeSerializer)["rate"]
        return self.shown(by_field(limits.change_rate_limit, limit=row, rate=rate, actor=Actor.of(request)))

    @extend_schema(
        operation_id="rate_limits_delete", summary="Delete a rate limit", tags=["limits"], responses={204: None}
    )
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """The installation's own limits count again."""
        row = self.get_object()
        self.check_may("delete")
        limits.delete_rate_limit(limit=row, actor=Actor.of(request))
        return Response(status=204)
