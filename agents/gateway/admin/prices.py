"""What models cost, with its history: prices are added, never changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts.audit import Actor
from agents.gateway import services
from agents.gateway.admin.forms import PriceForm
from agents.gateway.models import Price
from foundation.admin import BaseAdmin


@admin.register(Price)
class PriceAdmin(BaseAdmin):
    """Of each model the latest that has begun counts."""

    form = PriceForm
    list_display = ("provider", "model", "valid_from", "input_price", "output_price", "cached_price", "source", "note")
    list_filter = ("provider", "source")
    search_fields = ("model",)
    ordering = ("provider", "model", "-valid_from")
    list_before_template = "admin/agents_gateway/prices_explained.html"
    fields = (
        "provider", "model", "valid_from", "input_price", "output_price", "cached_price", "reasoning_price", "note",
    )  # fmt: skip
    search_help_text = gettext_lazy("A part of the model's name.")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Calls were counted by it: another price is another row."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The same."""
        return False

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the service, with its audit."""
        services.save_price(price=obj, actor=Actor.of(request))
