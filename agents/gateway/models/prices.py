"""What models cost."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from foundation.models import BaseModel


class Price(BaseModel):
    """What a million tokens of a model cost from a moment on, until the next row of that model begins.

    Rows are not changed once calls were counted by them: a new price is a new row. An empty price of cached or
    reasoning tokens means that of other input or output tokens.
    """

    class Source(models.TextChoices):
        SHIPPED = "shipped", _("came with Mutirão")
        OPERATOR = "operator", _("entered here")

    provider = models.CharField(_("provider"), max_length=50)
    model = models.CharField(_("model"), max_length=200)
    valid_from = models.DateTimeField(_("valid from"))
    input_price = models.DecimalField(_("input, per million tokens"), max_digits=14, decimal_places=6)
    output_price = models.DecimalField(_("output, per million tokens"), max_digits=14, decimal_places=6)
    cached_price = models.DecimalField(
        _("cached input, per million tokens"), max_digits=14, decimal_places=6, null=True, blank=True
    )
    reasoning_price = models.DecimalField(
        _("reasoning, per million tokens"), max_digits=14, decimal_places=6, null=True, blank=True
    )
    source = models.CharField(
        _("source"), max_length=8, choices=Source.choices, default=Source.OPERATOR, editable=False
    )
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        ordering: ClassVar = ["provider", "model", "-valid_from"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "model", "valid_from"], name="gateway_one_price_at_a_time"),
            models.CheckConstraint(
                condition=Q(input_price__gte=0)
                & Q(output_price__gte=0)
                & (Q(cached_price=None) | Q(cached_price__gte=0))
                & (Q(reasoning_price=None) | Q(reasoning_price__gte=0)),
                name="gateway_no_negative_price",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model} ({self.valid_from:%Y-%m-%d})"
