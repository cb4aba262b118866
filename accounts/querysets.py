from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Self, TypeVar

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.periods import starts_of

if TYPE_CHECKING:
    from accounts.models import ApiKey, ApiSession, AuditEvent, Quota, QuotaPeriod, RateLimit, User  # noqa: F401 (in strings)

# No name in an audit event is longer.
LONGEST_NAME = 200


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


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def named(self, text: str) -> Self:
        """Events with exactly this id, request id, actor or subject (their ids), or of the person of this name; also
        when nobody has the name, and somebody tried to sign in with it. Each of these has an index.
        """
        text = text.strip()
        if not text or len(text) > LONGEST_NAME or "\x00" in text:
            return self.none()
        wanted = Q(request_id=text) | Q(actor_id=None, actor_name=text)
        try:
            found = uuid.UUID(text)
            return self.filter(wanted | Q(pk=found) | Q(actor_id=found) | Q(subject_id=found))
        except ValueError:
            people = [*get_user_model().objects.filter(username=text).values_list("pk", flat=True)]
            return self.filter(wanted | Q(actor_id__in=people) | Q(subject_id__in=people))

    def about_or_by(self, user_id: uuid.UUID) -> Self:
        """What this person did, and what was done to their account."""
        return self.filter(Q(actor_id=user_id) | Q(subject_id=user_id))


Limited = TypeVar("Limited", bound=models.Model)


class OfSubjectQuerySet(models.QuerySet[Limited]):
    """Of rows about a user, a role, a key, an agent or everybody."""

    def named(self) -> Self:
        """With what their names are made of."""
        return self.select_related("user", "role", "api_key")

    def applying_to(self, user: User, agents: Iterable[uuid.UUID]) -> Self:
        """Those that bound this person, a role or a key of theirs, one of these agents, or everybody."""
        own = Q(user=user) | Q(role__in=[*user.groups.values_list("pk", flat=True)]) | Q(api_key__owner=user)
        everybody = Q(user=None, role=None, api_key=None, agent_id=None)
        return self.filter(own | everybody | Q(agent_id__in=[*agents]))


class RateLimitQuerySet(OfSubjectQuerySet["RateLimit"]):
    def visible_to(self, user: User, agents: Iterable[uuid.UUID]) -> Self:
        """Those that bound this person, who may use these agents; all for whoever may view rate limits."""
        return self if user.has_perm("accounts.view_ratelimit") else self.applying_to(user, agents)


class QuotaQuerySet(OfSubjectQuerySet["Quota"]):
    def visible_to(self, user: User, agents: Iterable[uuid.UUID]) -> Self:
        """Those that bound this person, who may use these agents; all for whoever may view quotas."""
        if user.has_perm("accounts.view_quota"):
            return self
        return self.applying_to(user, agents).filter(is_enabled=True)


class QuotaPeriodQuerySet(models.QuerySet["QuotaPeriod"]):
    def current(self, now: datetime) -> Self:
        """Of the periods that this moment is in."""
        return self.filter(starts_at__in=starts_of(now))

    def old(self, moment: datetime) -> Self:
        """Periods that began before the moment. What has no period is never old, nor is what is reserved."""
        return self.filter(starts_at__lt=moment, reservations=None).exclude(quota__period="").order_by("pk")
