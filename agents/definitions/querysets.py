from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models

if TYPE_CHECKING:
    from agents.definitions.models import Agent


class AgentQuerySet(models.QuerySet["Agent"]):
    def usable(self) -> Self:
        """Agents that a task may be submitted to."""
        return self.filter(is_enabled=True, current_version__isnull=False)
