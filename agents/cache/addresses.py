"""Where people look at what the cache keeps: in the admin."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.urls import reverse

from accounts.models import User
from agents.cache.models import CacheEntry
from agents.cache.querysets import SEES_ALL


def of_entries(user: User, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Of those that are still there; of none for whoever may not see everybody's answers, or not the admin."""
    if not ids or not user.is_staff or not user.has_perm(SEES_ALL):
        return {}
    known = CacheEntry.objects.filter(pk__in=ids).order_by().values_list("pk", flat=True)
    return {entry_id: reverse("admin:agents_cache_cacheentry_change", args=[entry_id]) for entry_id in known}


def of_entry(user: User, entry_id: uuid.UUID) -> str:
    """Of one; empty for none."""
    return of_entries(user, [entry_id]).get(entry_id, "")
