"""Tool calls and approvals as the API shows and takes them."""

from __future__ import annotations

from typing import Any, cast

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents.tasks.serializers import AnyField, ObjectField
from agents.tools.approvals import DECISIONS
from agents.tools.models import Approval, ToolCall
from foundation.serializers import StrictSerializer
from telemetry.masking import masked


class ToolCallSerializer(serializers.ModelSerializer[ToolCall]):
    """One use of a tool that has effects, or needs approval."""

    task = serializers.UUIDField(source="task_id", read_only=True)
    attempt = serializers.IntegerField(source="fence", read_only=True)
    result = serializers.SerializerMethodField()

    class Meta:
        model = ToolCall
        fields = (
            "id", "task", "name", "arguments", "effects", "state", "attempt", "times", "result", "error",
            "created_at", "started_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_result(self, call: ToolCall) -> Any:
        """What the tool gave, without secrets."""
        return cast("Any", masked(call.value))


class ApprovalSerializer(serializers.ModelSerializer[Approval]):
    """A tool call that needs, or has had, a person's word."""

    task = serializers.UUIDField(source="task_id", read_only=True)
    tool_call = serializers.UUIDField(source="tool_call_id", read_only=True)
    agent = serializers.CharField(source="task.agent_version.agent.slug", read_only=True)
    owner = serializers.UUIDField(source="task.owner_id", read_only=True)
    is_open = serializers.BooleanField(read_only=True, help_text=_("Whether a decision still matters."))
    arguments = ObjectField(read_only=True)
    arguments_schema = ObjectField(read_only=True, help_text=_("JSON Schema of the arguments."))
    edited_arguments = ObjectField(read_only=True, allow_null=True)
    decided_by = serializers.UUIDField(source="decided_by_id", read_only=True, allow_null=True)

    class Meta:
        model = Approval
        fields = (
            "id", "task", "tool_call", "agent", "owner", "tool", "description", "arguments", "arguments_schema",
            "edited_arguments", "state", "is_open", "created_at", "expires_at", "decided_by", "decided_at", "reason",
        )  # fmt: skip
        read_only_fields = fields


class DecisionSerializer(StrictSerializer):
    """A person's word."""

    decision = serializers.ChoiceField(choices=DECISIONS)
    arguments = AnyField(required=False, help_text=_("With edit: what the tool is called with instead."))
    reason = serializers.CharField(
        max_length=2000, required=False, allow_blank=True, help_text=_("A refusal's is told to the model.")
    )
