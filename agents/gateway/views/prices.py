"""Prices of models over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from agents.gateway import services
from agents.gateway.models import Price
from agents.gateway.serializers import NewPriceSerializer, PriceSerializer
from agents.gateway.views.settings import SettingView, by_field


class PriceList(mixins.ListModelMixin, SettingView):
    """Prices of models."""

    queryset = Price.objects.all()
    serializer_class: Any = PriceSerializer
    filterset_fields: ClassVar = ["provider", "model", "source"]
    model_name = "price"

    @extend_schema(operation_id="prices_list", summary="List prices of models", tags=["models"])
    def get(self, request: Request) -> Response:
        """Every price that was ever set: of each model the one counts that began last."""
        return self.list(request)

    @extend_schema(
        operation_id="prices_set", summary="Set the price of a model", tags=["models"], request=NewPriceSerializer,
        responses={201: PriceSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """A new row beside the old ones. What was counted before stays as it is."""
        self.check_may("add")
        row = by_field(services.set_price, actor=Actor.of(request), **self.body(NewPriceSerializer))
        return self.shown(row, status=201)
