"""Model calls of long ago."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.gateway.models import ModelCall
from foundation.pruning import Rule, register_rule


def old_calls(moment: datetime) -> QuerySet[ModelCall]:
    """The oldest first."""
    return ModelCall.objects.filter(started_at__lt=moment).order_by("started_at")


def register_rules() -> None:
    """Called when the application starts."""
    register_rule(Rule("model-calls", _("model calls"), old_calls, "KEEP_MODEL_CALLS_DAYS"))
