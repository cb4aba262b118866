"""Answers that are not given any more."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from agents.cache.models import CacheEntry
from foundation.pruning import Rule, register_rule


def old_answers(moment: datetime) -> QuerySet[CacheEntry]:
    """Those that expired or were evicted before the moment."""
    expired = Q(evicted_at=None, expires_at__lt=moment)
    return CacheEntry.objects.filter(expired | Q(evicted_at__lt=moment)).order_by("id")


def register_rules() -> None:
    """Called when the application starts."""
    register_rule(Rule("cached-answers", _("cached answers"), old_answers, "KEEP_CACHED_ANSWERS_DAYS"))
