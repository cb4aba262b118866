"""Deliveries that came to their end long ago, with the log of their attempts."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.webhooks.models import Delivery
from foundation.pruning import Rule, register_rule


def old_deliveries(moment: datetime) -> QuerySet[Delivery]:
    """Those that were delivered or given up before the moment; what still waits is never old."""
    return Delivery.objects.filter(ended_at__lt=moment).order_by("ended_at", "id")


def register_rules() -> None:
    """Called when the application starts."""
    register_rule(Rule("webhook-deliveries", _("webhook deliveries"), old_deliveries, "KEEP_WEBHOOK_DELIVERIES_DAYS"))
