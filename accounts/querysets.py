from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Self

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from accounts.models import ApiKey, AuditEvent, User  # noqa: F401 (in a string)

# No name in an audit event is longer.
LONGEST_NAME = 200


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
