"""What crosses the rooms: a task with its conversation, a message with its task."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents.memory.serializers import MessageSerializer
from agents.memory.services import SERIAL_PREFIX
from agents.tasks.models import Task, WaitingFor
from agents.tasks.questions import questions_of
from agents.tasks.serializers import (
    AnyField,
    ObjectField,
    ReviewSerializer,
    SubmissionSerializer,
    TaskOptionsSerializer,
    TaskSerializer,
)
from agents.tasks.submitting import MOST_AT_ONCE
from agents.tools.reviews import DONE, RETRY
from foundation.serializers import StrictSerializer


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


class QuestionSerializer(serializers.Serializer[dict[str, Any]]):
    """What a task asks."""

    id = serializers.CharField(help_text=_("Of several, an answer can name it."))
    value = AnyField(help_text=_("What the graph has said."))
    schema = ObjectField(required=False, help_text=_("The JSON Schema of an answer, if it has one."))


class TaskDetailSerializer(TaskWithConversationSerializer):
    """A task, and what it asks while it waits for input."""

    questions = QuestionSerializer(
        many=True, required=False, help_text=_("What it asks while it waits for input; answered with `resume`.")
    )

    class Meta:
        ref_name = "TaskDetail"

    def to_representation(self, instance: Task) -> dict[str, Any]:
        """See TaskSerializer."""
        shown = super().to_representation(instance)
        if instance.waiting_for == WaitingFor.INPUT:
            shown["questions"] = questions_of(instance.pk)
        return shown


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


class TaskReviewSerializer(ReviewSerializer):
    """What `POST /tasks/{id}/review` takes: a decision about the task, or about one of its tool calls."""

    decision = serializers.ChoiceField(
        choices=("continue", "succeed", "fail", RETRY, DONE),
        help_text=_("retry and done are about a tool call: it was not done and is made again, or it was done."),
    )
    tool_call = serializers.UUIDField(required=False, help_text=_("The tool call, with retry and done."))
    result = AnyField(
        required=False, allow_null=True, help_text=_("The task's result with succeed, the tool's with done.")
    )

    class Meta:
        ref_name = "Review"

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A decision about a tool call names it; others do not."""
        if (attrs["decision"] in (RETRY, DONE)) != ("tool_call" in attrs):
            raise serializers.ValidationError({"tool_call": [_("It is given with retry and done, and only then.")]})
        return attrs


class BulkItemSerializer(SubmissionSerializer):
    """One of several tasks."""

    idempotency_key = serializers.CharField(
        max_length=255, required=False, allow_null=True, help_text=_("As the header Idempotency-Key of a single task.")
    )


class BulkSubmissionSerializer(StrictSerializer):
    """What `POST /tasks/bulk` takes."""

    tasks = serializers.ListField(child=BulkItemSerializer(), min_length=1, max_length=MOST_AT_ONCE)


class BulkSubmittedSerializer(serializers.Serializer[dict[str, Any]]):
    """The tasks that were accepted, in the order of the request."""

    tasks = TaskWithConversationSerializer(many=True, read_only=True)


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
