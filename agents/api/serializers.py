"""What crosses the rooms: a task with its conversation, a message with its task."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents.memory.serializers import MessageSerializer
from agents.memory.services import SERIAL_PREFIX
from agents.tasks.models import Task
from agents.tasks.serializers import (
    StrictSerializer,
    SubmissionSerializer,
    TaskOptionsSerializer,
    TaskSerializer,
)


class TaskWithConversationSerializer(TaskSerializer):
    """A task, and the conversation it is a turn of."""

    conversation = serializers.UUIDField(
        read_only=True, allow_null=True, help_text=_("The conversation whose message this task answers.")
    )

    class Meta:
        ref_name = "Task"

    def to_representation(self, instance: Task) -> dict[str, Any]:
        """See TaskSerializer."""
        serial_key = instance.serial_key or ""
        is_turn = serial_key.startswith(SERIAL_PREFIX)
        conversation = serial_key.removeprefix(SERIAL_PREFIX) if is_turn else None
        return super().to_representation(instance) | {"conversation": conversation}


_TASK = TaskWithConversationSerializer()


def task_document(task: Task) -> dict[str, Any]:
    """The task as the API shows it: JSON-ready."""
    return _TASK.to_representation(task)


class TaskSubmissionSerializer(SubmissionSerializer):
    """What `POST /tasks` takes."""

    conversation = serializers.UUIDField(
        required=False, allow_null=True,
        help_text=_("Submits the input, a text, as the next message of this conversation with the same agent."),
    )  # fmt: skip


class MessageSubmissionSerializer(TaskOptionsSerializer, StrictSerializer):
    """What `POST /conversations/{id}/messages` takes."""

    text = serializers.CharField(trim_whitespace=False, max_length=200_000, help_text=_("What is said."))


class PostedMessageSerializer(serializers.Serializer[dict[str, Any]]):
    """A message and the task that answers it."""

    message = MessageSerializer(read_only=True)
    reply = MessageSerializer(
        read_only=True,
        allow_null=True,
        help_text=_("The answer, when the request waited for it and it came."),
    )
    task = TaskWithConversationSerializer(read_only=True)
