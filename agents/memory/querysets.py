from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models

if TYPE_CHECKING:
    from accounts.models import User
    from agents.memory.models import Conversation


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: User) -> Self:
        """A person's own conversations; everyone's for whoever may view conversations."""
        if user.has_perm("agents_memory.view_conversation"):
            return self
        return self.filter(owner=user)
