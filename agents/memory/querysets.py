from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from accounts.sharing import granted_ids
from agents.definitions.narrowing import narrowed

if TYPE_CHECKING:
    from accounts.models import User
    from agents.memory.models import Conversation, Message


VIEW_CONVERSATION = "agents_memory.view_conversation"


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: User) -> Self:
        """A person's own conversations and those shared with them; everyone's for whoever may view conversations.
        Within what their key is narrowed to.
        """
        if user.has_perm(VIEW_CONVERSATION):
            return narrowed(self, user)
        shared = granted_ids(user, VIEW_CONVERSATION)
        # Without any, the index of one's own gives the list in its order.
        seen = self.filter(Q(owner=user) | Q(pk__in=shared)) if shared else self.filter(owner=user)
        return narrowed(seen, user)

    def shared_with(self, user: User) -> Self:
        """Those of others that somebody has shared with this person, or with a role of theirs."""
        return narrowed(self.filter(pk__in=granted_ids(user, VIEW_CONVERSATION)).exclude(owner=user), user)

    def matching(self, text: str) -> Self:
        """Conversations whose title or one of whose messages has this text, in capitals or not."""
        messages: Any = self.model._meta.get_field("messages").related_model
        in_messages = messages.objects.filter(conversation=OuterRef("pk"), content__icontains=text)
        return self.filter(Q(title__icontains=text) | Exists(in_messages))

    def older_than(self, last: Conversation) -> Self:
        """Those after this one in a list with the newest first."""
        return self.filter(Q(updated_at__lt=last.updated_at) | Q(updated_at=last.updated_at, pk__lt=last.pk))


class MessageQuerySet(models.QuerySet["Message"]):
    def said_before(self, question: Message) -> Self:
        """What comes before this message in its conversation, latest first, every answer after its question.

        Answers come when they come: of two messages posted at once, the second stands before the answer to
        the first. So what counts is the position of the message that is answered: the turn.
        """
        return self._with_turns(question).filter(turn__lt=question.position).order_by("-turn", "-position")

    def said_since(self, question: Message) -> Self:
        """The answer to this message and all later turns, in no particular order."""
        return self._with_turns(question).filter(turn__gte=question.position).exclude(pk=question.pk)

    def _with_turns(self, question: Message) -> Self:
        asked = self.model.objects.filter(task=OuterRef("task"), role="user").values("position")
        turn = Coalesce(Subquery(asked[:1]), F("position"))
        return self.filter(conversation=question.conversation_id).annotate(turn=turn)
