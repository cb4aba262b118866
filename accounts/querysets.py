from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from accounts.models import ApiKey, ApiSession, User  # noqa: F401 (in strings)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self) -> Self:
        """Keys that open something now: not revoked, not expired, owner active."""
        now = timezone.now()
        return self.filter(
            Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None, owner__is_active=True, owner__erased_at=None
        )

    def visible_to(self, user: User) -> Self:
        """A person's own keys; everyone's for whoever may view keys."""
        if user.has_perm("accounts.view_apikey"):
            return self
        return self.filter(owner=user)

    def reached_with(self, key: ApiKey | None) -> Self:
        """What a key may see and change of its owner's keys: one that is narrowed to agents only those of its lineage
        (itself, what it has followed, what was made with it) that reach no further. None is a signed-in person.
        """
        if key is None or not key.agents:
            return self
        relatives = self.model.objects.filter(lineage=key.lineage).values_list("pk", "agents")
        return self.filter(pk__in=[pk for pk, agents in relatives if agents and set(agents) <= set(key.agents)])


class ApiSessionQuerySet(models.QuerySet["ApiSession"]):
    def open(self) -> Self:
        """Those that neither have ended nor are past their expiry."""
        return self.filter(ended_at=None, expires_at__gt=timezone.now())

    def over(self, moment: datetime) -> Self:
        """Those that ended, or could not be refreshed any more, before this moment."""
        return self.filter(Q(ended_at__lt=moment) | Q(expires_at__lt=moment)).order_by("expires_at")
