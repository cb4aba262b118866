from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models

from accounts.sharing import granted_ids

if TYPE_CHECKING:
    from accounts.models import User
    from agents.definitions.models import Agent  # noqa: F401 (named in a string)

USE_AGENT = "agents_definitions.use_agent"


class AgentQuerySet(models.QuerySet["Agent"]):
    def usable(self) -> Self:
        """Agents that a task may be submitted to."""
        return self.filter(is_enabled=True, current_version__isnull=False)

    def usable_by(self, user: User) -> Self:
        """Usable agents that this person may use: all of them with the right for agents, else those granted
        one by one. With a key that is narrowed to agents, these of them.
        """
        usable = self.usable() if user.narrowed_to is None else self.usable().filter(slug__in=user.narrowed_to)
        if user.has_perm(USE_AGENT):
            return usable
        return usable.filter(pk__in=granted_ids(user, USE_AGENT))
