from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from accounts.models import ApiKey, User  # noqa: F401 (in a string)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self) -> Self:
        """Keys that open something now: not revoked, not expired, owner active."""
        now = timezone.now()
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None, owner__is_active=True)

    def visible_to(self, user: User) -> Self:
        """A person's own keys; everyone's for whoever may view keys."""
        if user.has_perm("accounts.view_apikey"):
            return self
        return self.filter(owner=user)
