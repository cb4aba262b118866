"""Spans of long ago."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from foundation.pruning import Rule, register_rule
from telemetry.models import Span


def old_spans(moment: datetime) -> QuerySet[Span]:
    """By their number, which grows with time and has an index."""
    return Span.objects.filter(started_at__lt=moment).order_by("pk")


def register_rules() -> None:
    """Called when the application starts."""
    register_rule(Rule("spans", _("spans"), old_spans, "KEEP_SPANS_DAYS"))
