"""Conversations and messages as the API shows and takes them."""

from __future__ import annotations

from typing import ClassVar

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents.memory.models import Conversation, Message
from foundation.serializers import TakenSerializer


class MessageSerializer(serializers.ModelSerializer[Message]):
    """One turn of a conversation."""

    task = serializers.UUIDField(source="task_id", read_only=True, allow_null=True)

    class Meta:
        model = Message
        fields: ClassVar = ["id", "position", "role", "content", "is_stopped", "rejected_at", "task", "created_at"]
        read_only_fields = fields


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    """A dialogue with one agent."""

    agent = serializers.CharField(source="agent.slug", read_only=True, help_text=_("The agent's slug."))
    owner = serializers.UUIDField(source="owner_id", read_only=True)

    class Meta:
        model = Conversation
        fields: ClassVar = ["id", "agent", "owner", "title", "created_at", "updated_at"]
        read_only_fields = fields


class ConversationRenameSerializer(TakenSerializer):
    """What may be changed of a conversation."""

    title = serializers.CharField(max_length=200)


class ConversationStartSerializer(TakenSerializer):
    """What begins a conversation."""

    agent = serializers.CharField(max_length=63, help_text=_("The agent's slug."))
    title = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
