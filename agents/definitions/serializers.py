"""Agents as the API shows them."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.definitions.models import Agent, AgentVersion


class AgentVersionSerializer(serializers.ModelSerializer[AgentVersion]):
    """What an agent is made of, at one moment. The system prompt is its author's business and not shown."""

    tools = serializers.ListField(child=serializers.CharField(), read_only=True)
    limits = serializers.DictField(read_only=True)
    cache = serializers.DictField(read_only=True)

    class Meta:
        model = AgentVersion
        fields: ClassVar = [
            "number",
            "kind",
            "model",
            "tools",
            "limits",
            "memory_messages",
            "cache",
            "digest",
            "created_at",
        ]
        read_only_fields = fields


class AgentSerializer(serializers.ModelSerializer[Agent]):
    """An agent that the caller may use."""

    version = serializers.SerializerMethodField()

    class Meta:
        model = Agent
        fields: ClassVar = ["id", "slug", "name", "description", "source", "queue", "version", "created_at"]
        read_only_fields = fields

    @extend_schema_field(AgentVersionSerializer)
    def get_version(self, agent: Agent) -> dict[str, Any]:
        """The version that tasks submitted now will run."""
        return AgentVersionSerializer(agent.current_version).data
