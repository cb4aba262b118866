"""What limits and quotas know of agents (accounts.subjects)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

from accounts.models import User
from agents.definitions.models import Agent


class AgentSubjects:
    """See accounts.subjects.Agents."""

    def slugs(self, ids: Iterable[uuid.UUID] | None = None) -> Mapping[uuid.UUID, str]:
        """The slugs of these agents, or of all."""
        rows = Agent.objects.order_by("slug")
        return dict((rows if ids is None else rows.filter(pk__in=[*ids])).values_list("pk", "slug"))

    def usable_by(self, user: User) -> Iterable[uuid.UUID]:
        """The agents that this person may use."""
        return Agent.objects.usable_by(user).values_list("pk", flat=True)
