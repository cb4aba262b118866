from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from django.db import models
from django.db.models import Q

from accounts.models import User
from agents.definitions.narrowing import narrowed

if TYPE_CHECKING:
    from agents.gateway.models import ModelCall  # noqa: F401 (in a string)

# Given an answer by meaning, or near one. By the values of Tier and CacheWhy, which the model's index knows too.
COMPARED: Final = Q(tier="semantic") | Q(cache_why__in=["near_miss", "blocked", "turned_off"])


class ModelCallQuerySet(models.QuerySet["ModelCall"]):
    def visible_to(self, user: User) -> Self:
        """Calls on a person's own account; everyone's for whoever may view calls. Within what their key is narrowed
        to.
        """
        own = self if user.has_perm("agents_gateway.view_modelcall") else self.filter(owner_id=user.pk)
        return narrowed(own, user, "agent_id")

    def compared(self) -> Self:
        """Calls that were given an answer by meaning, or came near one."""
        return self.filter(COMPARED)

    def unpriced(self) -> Self:
        """Calls whose cost is not known."""
        return self.filter(cost=None)
