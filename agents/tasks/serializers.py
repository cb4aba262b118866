"""Tasks as the API shows and takes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.definitions.cache_policy import LONGEST_TTL_SECONDS, Mode, Use
from agents.definitions.policy import LONGEST_WAIT_SECONDS, IfBusy
from agents.tasks.models import IfDependencyFails, Priority, Status, Task, WaitingFor
from agents.tasks.submitting import MOST_DEPENDENCIES
from foundation.serializers import StrictSerializer

MOST_METADATA_BYTES = 16_384
LONGEST_SERIAL_KEY = 120
INPUT_SCHEMA = {
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "required": ["messages"],
            "properties": {"messages": {"type": "array", "items": {"type": "object"}}},
        },
        {"type": "object", "additionalProperties": True},
    ]
}


@extend_schema_field(INPUT_SCHEMA)
class InputField(serializers.JSONField):
    """A string, `{"messages": […]}` or the agent's own object."""


@extend_schema_field({"type": "object", "additionalProperties": True})
class ObjectField(serializers.DictField):
    """Any JSON object."""


@extend_schema_field({})
class AnyField(serializers.JSONField):
    """Any JSON value."""


def in_json(moment: datetime | str | None) -> str | None:
    """A time as the API writes it: ISO 8601 in UTC."""
    if isinstance(moment, str):
        moment = parse_datetime(moment)
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class LimitsSerializer(StrictSerializer):
    """What a task may spend; what is not given is the agent's."""

    seconds = serializers.IntegerField(min_value=1, required=False, help_text=_("Time of one attempt."))
    tokens = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    cost = serializers.DecimalField(max_digits=14, decimal_places=6, min_value=0, required=False, allow_null=True)
    steps = serializers.IntegerField(min_value=1, required=False, help_text=_("Steps of the graph."))


class CacheWishesSerializer(StrictSerializer):
    """What the caller wants of the answer cache; it can only be stricter than the agent."""

    use = serializers.ChoiceField(
        choices=get_args(Use), required=False,
        help_text=_("“bypass” neither reads nor keeps anything, “refresh” asks anew and keeps the answer."),
    )  # fmt: skip
    mode = serializers.ChoiceField(choices=get_args(Mode), required=False, help_text=_("At most this tier."))
    least_score = serializers.FloatField(
        min_value=0, max_value=1, required=False, help_text=_("Of an answer to a question with the same meaning.")
    )
    max_age = serializers.FloatField(
        min_value=0, max_value=LONGEST_TTL_SECONDS, required=False, help_text=_("Of an earlier answer, in seconds.")
    )


class TaskOptionsSerializer(serializers.Serializer[dict[str, Any]]):
    """How a task is to be run."""

    priority = serializers.ChoiceField(
        choices=[priority.name.lower() for priority in Priority], required=False, default="normal"
    )
    not_before = serializers.DateTimeField(required=False, allow_null=True, help_text=_("Not started earlier."))
    max_attempts = serializers.IntegerField(min_value=1, max_value=100, required=False, allow_null=True)
    queue = serializers.CharField(max_length=32, required=False, help_text=_("Instead of the agent's queue."))
    queue_seconds = serializers.IntegerField(
        min_value=1, max_value=LONGEST_WAIT_SECONDS, required=False, allow_null=True,
        help_text=_("Fails when no worker has started it in this time."),
    )  # fmt: skip
    if_busy = serializers.ChoiceField(
        choices=get_args(IfBusy), required=False, allow_null=True,
        help_text=_("What happens to an unfinished task of the same conversation or serial key."),
    )  # fmt: skip
    webhook_url = serializers.URLField(
        max_length=2000, required=False, allow_blank=True, help_text=_("Is told when the task has ended.")
    )
    limits = LimitsSerializer(required=False)
    cache = CacheWishesSerializer(required=False)
    metadata = ObjectField(required=False, help_text=_("Your own labels; at most 16 kB. Given back as they are."))

    def validate_priority(self, value: str) -> Priority:
        """The priority of this name."""
        return Priority[value.upper()]

    def validate_metadata(self, value: dict[str, Any]) -> dict[str, Any]:
        """Labels are small."""
        if len(str(value)) > MOST_METADATA_BYTES:
            raise serializers.ValidationError(_("The metadata are too large."))
        return value


class SubmissionSerializer(TaskOptionsSerializer, StrictSerializer):
    """A request to run an agent."""

    agent = serializers.CharField(max_length=63, help_text=_("The agent's slug."))
    input = InputField(help_text=_('A string, {"messages": […]}, or the agent\'s own object.'))
    serial_key = serializers.CharField(
        max_length=LONGEST_SERIAL_KEY, required=False, allow_null=True,
        help_text=_("Of your tasks with the same key one runs at a time."),
    )  # fmt: skip
    depends_on = serializers.ListField(
        child=serializers.UUIDField(), max_length=MOST_DEPENDENCIES, required=False,
        help_text=_("Not started before these tasks have succeeded."),
    )  # fmt: skip
    if_dependency_fails = serializers.ChoiceField(
        choices=IfDependencyFails.choices, required=False, help_text=_("Fail too, or be skipped (cancelled).")
    )
    parent = serializers.UUIDField(  # type: ignore[assignment]  # the stubs know a property of fields by this name
        required=False, allow_null=True, help_text=_("The task that this one is a part of; cancelled with it.")
    )

    def validate_input(self, value: Any) -> Any:
        """A string or an object; services.submit looks closer."""
        if not isinstance(value, str | dict):
            raise serializers.ValidationError(_("The input is a string or an object."))
        return value


class RetrySerializer(StrictSerializer):
    """How a task is tried again."""

    input = InputField(required=False, help_text=_("Instead of the input that it had."))


class ResumeSerializer(StrictSerializer):
    """An answer to what a task asks."""

    value = AnyField(help_text=_("What the agent's graph is given."))


class ReviewSerializer(StrictSerializer):
    """A decision about a task that needs review."""

    decision = serializers.ChoiceField(choices=("continue", "succeed", "fail"))
    result = AnyField(required=False, allow_null=True, help_text=_("The task's result, when it succeeds."))
    reason = serializers.CharField(max_length=2000, required=False, help_text=_("Why it fails."))


class UsageSerializer(serializers.Serializer[dict[str, Any]]):
    """What a task has spent."""

    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = serializers.DecimalField(max_digits=14, decimal_places=6)


class TaskErrorSerializer(serializers.Serializer[dict[str, Any]]):
    """Why a task failed."""

    type = serializers.CharField()
    message = serializers.CharField()


class TaskSerializer(serializers.Serializer[Task]):
    """One task. Written out by hand: it is on the path of every request."""

    id = serializers.UUIDField(read_only=True)
    agent = serializers.CharField(read_only=True, help_text=_("The agent's slug."))
    agent_version = serializers.IntegerField(read_only=True)
    owner = serializers.UUIDField(read_only=True)
    status = serializers.ChoiceField(choices=Status.choices, read_only=True)
    input = InputField(read_only=True)
    result = AnyField(read_only=True, allow_null=True)
    error = TaskErrorSerializer(read_only=True, allow_null=True)
    usage = UsageSerializer(read_only=True)
    metadata = ObjectField(read_only=True)
    priority = serializers.ChoiceField(choices=[priority.name.lower() for priority in Priority], read_only=True)
    queue = serializers.CharField(read_only=True)
    not_before = serializers.DateTimeField(read_only=True, allow_null=True)
    max_attempts = serializers.IntegerField(read_only=True)
    attempts = serializers.IntegerField(read_only=True, help_text=_("Attempts begun so far."))
    limits = LimitsSerializer(read_only=True)
    retry_of = serializers.UUIDField(read_only=True, allow_null=True)
    parent = serializers.UUIDField(read_only=True, allow_null=True)  # type: ignore[assignment]
    dependencies_left = serializers.IntegerField(
        read_only=True, help_text=_("Tasks that it depends on, or waits for, and that have not ended.")
    )
    waiting_for = serializers.ChoiceField(choices=WaitingFor.choices, read_only=True, allow_null=True)
    waits_until = serializers.DateTimeField(read_only=True, allow_null=True)
    start_by = serializers.DateTimeField(read_only=True, allow_null=True)
    webhook_url = serializers.CharField(read_only=True, allow_null=True)
    idempotency_key = serializers.CharField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)
    started_at = serializers.DateTimeField(read_only=True, allow_null=True)
    finished_at = serializers.DateTimeField(read_only=True, allow_null=True)
    cancel_requested_at = serializers.DateTimeField(read_only=True, allow_null=True)
    request_id = serializers.CharField(read_only=True)
    trace_id = serializers.CharField(read_only=True)

    def to_representation(self, instance: Task) -> dict[str, Any]:
        """JSON-ready. Needs `agent_version` and its `agent` on the row."""
        return {
            "id": str(instance.pk),
            "agent": instance.agent_version.agent.slug,
            "agent_version": instance.agent_version.number,
            "owner": str(instance.owner_id),
            "status": str(instance.status),
            "input": instance.input,
            **outcome(instance),
            "metadata": instance.metadata,
            "priority": Priority(instance.priority).name.lower(),
            "queue": instance.queue,
            "not_before": in_json(instance.not_before),
            "max_attempts": instance.max_attempts,
            "attempts": instance.fence,
            "limits": _limits(instance),
            "retry_of": str(instance.retry_of_id) if instance.retry_of_id else None,
            "parent": str(instance.parent_id) if instance.parent_id else None,
            "dependencies_left": instance.dependencies_left,
            "waiting_for": instance.waiting_for or None,
            "waits_until": in_json(instance.waits_until),
            "start_by": in_json(instance.start_by),
            "webhook_url": instance.webhook_url or None,
            "idempotency_key": instance.idempotency_key,
            "created_at": in_json(instance.created_at),
            "started_at": in_json(instance.started_at),
            "finished_at": in_json(instance.finished_at),
            "cancel_requested_at": in_json(instance.cancel_requested_at),
            "request_id": instance.request_id,
            "trace_id": instance.trace_id,
        }


def _error_of(task: Task) -> dict[str, str] | None:
    """Why it failed, or None."""
    if not task.error_type and not task.error_message:
        return None
    return {"type": task.error_type, "message": task.error_message}


def _usage_of(task: Task) -> dict[str, Any]:
    """What it has spent."""
    return {
        "input_tokens": task.input_tokens,
        "output_tokens": task.output_tokens,
        "cost": f"{task.cost:.6f}",
    }


def outcome(task: Task) -> dict[str, Any]:
    """Result, error and usage."""
    return {"result": task.result, "error": _error_of(task), "usage": _usage_of(task)}


def _limits(task: Task) -> dict[str, Any]:
    cost = None if task.limit_cost is None else f"{task.limit_cost:.6f}"
    return {
        "seconds": task.limit_seconds, "tokens": task.limit_tokens, "cost": cost, "steps": task.limit_steps,
    }  # fmt: skip
