"""Changes of long ago."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.circuits.models import CircuitChange
from foundation.pruning import Rule, register_rule


def old_changes(moment: datetime) -> QuerySet[CircuitChange]:
    """The oldest first."""
    return CircuitChange.objects.filter(at__lt=moment).order_by("at")


def register_rules() -> None:
    """Called when the application starts."""
    register_rule(Rule("circuit-changes", _("changes of circuit breakers"), old_changes, "KEEP_MODEL_CALLS_DAYS"))
