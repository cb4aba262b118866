"""Questions about many entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from accounts.models import User
    from agents.cache.models import CacheEntry  # noqa: F401 (named in the class below)

SEES_ALL = "agents_cache.view_cacheentry"


class CacheEntryQuerySet(models.QuerySet["CacheEntry"]):
    """Entries."""

    def live(self) -> Self:
        """Those that may be given now."""
        return self.filter(evicted_at=None, expires_at__gt=timezone.now())

    def visible_to(self, user: User) -> Self:
        """Everybody's for whoever may see them; else those that come from one's own requests."""
        if user.has_perm(SEES_ALL):
            return self
        return self.filter(Q(owner_id=user.pk) | Q(asked_by_id=user.pk))
