"""Conversations that nobody has gone on with for long; kept for ever unless the installation says otherwise."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy as _

from agents.memory.models import Conversation, Message
from agents.tasks.models import TERMINAL
from foundation.pruning import Rule, register_rule


def old_conversations(moment: datetime) -> QuerySet[Conversation]:
    """Those without a turn since the moment, and with no answer under way."""
    under_way = Message.objects.filter(conversation=OuterRef("pk"), task__isnull=False).exclude(
        task__status__in=TERMINAL
    )
    return Conversation.objects.filter(~Exists(under_way), updated_at__lt=moment).order_by("updated_at", "id")


def register_rules() -> None:
    """Called when the application starts."""
    register_rule(Rule("conversations", _("conversations"), old_conversations, "KEEP_CONVERSATIONS_DAYS"))
