"""Conversations can be shared by their owner, to be read."""

from __future__ import annotations

import uuid

from accounts.models import User
from accounts.resources import Verb
from accounts.sharing import Shareable, register_shareable
from accounts.sharing_views import GrantDetail, GrantList, described
from agents.memory.models import Conversation
from agents.memory.querysets import VIEW_CONVERSATION


def find_conversation(user: User, key: str) -> Conversation | None:
    """One's own: who reads what others have shared learns nothing of with whom else."""
    try:
        return Conversation.objects.visible_to(user).filter(owner=user, pk=uuid.UUID(key)).first()
    except ValueError:
        return None


def may_see(user: User, conversation: Conversation) -> bool:
    """Its title: whoever may read it."""
    return Conversation.objects.visible_to(user).filter(pk=conversation.pk).exists()


def may_share(user: User, conversation: Conversation, verb: Verb) -> bool:
    """Its owner alone, also not somebody who may view all."""
    return conversation.owner_id == user.pk


@described("conversations")
class ConversationGrantList(GrantList):
    """With whom a conversation is shared."""

    area = "conversations"


@described("conversations")
class ConversationGrantDetail(GrantDetail):
    """One grant on a conversation."""

    area = "conversations"


def register() -> None:
    """Called when the application starts."""
    label, verbs = Conversation._meta.verbose_name, {Verb.VIEW: VIEW_CONVERSATION}
    register_shareable(Shareable("conversations", label, Conversation, verbs, find_conversation, may_see, may_share))
