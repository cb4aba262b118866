"""By what lists of cached answers can be narrowed."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet

from agents.cache.models import CacheEntry
from agents.cache.querysets import CacheEntryQuerySet


class CacheEntryFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """Entries."""

    agent = django_filters.UUIDFilter(field_name="agent_id", help_text="Its id.")
    task = django_filters.UUIDFilter(field_name="task_id", help_text="The task that it was made for.")
    live = django_filters.BooleanFilter(method="narrow_live", help_text="Whether it may be given now.")

    class Meta:
        model = CacheEntry
        fields: tuple[str, ...] = ()

    def narrow_live(self, rows: CacheEntryQuerySet, _name: str, value: Any) -> QuerySet[CacheEntry]:
        """See the help text."""
        return rows.live() if value else rows.exclude(pk__in=rows.live().values("pk"))
