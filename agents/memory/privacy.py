"""What conversations keep of a person."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.privacy import Holding, delete, ids_of, register_holding, rows_of
from agents.memory.models import Conversation, Message


def register_holdings() -> None:
    """Called when the application starts."""
    register_holding(
        Holding(
            "conversations", _("conversations"), lambda user: rows_of(Conversation.objects.filter(owner=user)),
            lambda user: delete(Conversation.objects.filter(owner=user)), order=310,
            things=lambda user: ids_of(Conversation.objects.filter(owner=user)),
        )
    )  # fmt: skip
    register_holding(
        Holding(
            "messages", _("messages"), lambda user: rows_of(Message.objects.filter(conversation__owner=user)),
            lambda user: delete(Message.objects.filter(conversation__owner=user)), order=300,
        )
    )  # fmt: skip
