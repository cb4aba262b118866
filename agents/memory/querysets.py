from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Coalesce

if TYPE_CHECKING:
    from accounts.models import User
    from agents.memory.models import Conversation, Message  # noqa: F401 (Conversation is named in a string)


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: User) -> Self:
        """A person's own conversations; everyone's for whoever may view conversations."""
        if user.has_perm("agents_memory.view_conversation"):
            return self
        return self.filter(owner=user)


class MessageQuerySet(models.QuerySet["Message"]):
    def said_before(self, question: Message) -> Self:
        """What comes before this message in its conversation, latest first, every answer after its question.

        Answers come when they come: of two messages posted at once, the second stands before the answer to
        the first. So what counts is the position of the message that is answered: the turn.
        """
        asked = self.model.objects.filter(task=OuterRef("task"), role="user").values("position")
        return (
            self.filter(conversation=question.conversation_id)
            .annotate(turn=Coalesce(Subquery(asked[:1]), F("position")))
            .filter(turn__lt=question.position)
            .order_by("-turn", "-position")
        )
