"""What the platform is doing, as the API shows it."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents.tasks.models import Status, Task
from agents.tasks.serializers import in_json
from agents.worker.inspection import Operations, QueueState, Running
from foundation.serializers import StrictSerializer


class QueueSerializer(serializers.Serializer[QueueState]):
    """A queue and what waits in it."""

    name = serializers.CharField()
    waiting = serializers.IntegerField(help_text=_("Tasks that may run now."))
    later = serializers.IntegerField(help_text=_("Tasks that wait for their time or for other tasks."))
    oldest_seconds = serializers.FloatField(help_text=_("How long the oldest waiting task might have run."))
    running = serializers.IntegerField()
    workers = serializers.IntegerField(help_text=_("Living workers that serve it."))
    is_paused = serializers.BooleanField()
    most_waiting = serializers.IntegerField(allow_null=True, help_text=_("More are refused; null: the usual bound."))


class QueueChangeSerializer(StrictSerializer):
    """What an operator says of a queue."""

    is_paused = serializers.BooleanField(required=False)
    most_waiting = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2_147_483_647)


class BriefTaskSerializer(serializers.Serializer[Task]):
    """A task in one line."""

    id = serializers.UUIDField()
    agent = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    queue = serializers.CharField()
    created_at = serializers.DateTimeField()
    error_type = serializers.CharField(allow_null=True)

    def to_representation(self, instance: Task) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "id": str(instance.pk),
            "agent": instance.agent_version.agent.slug,
            "status": instance.status,
            "queue": instance.queue,
            "created_at": in_json(instance.created_at),
            "error_type": instance.error_type or None,
        }


class RunningSerializer(serializers.Serializer[Running]):
    """A task that runs."""

    task = BriefTaskSerializer()
    worker = serializers.CharField()
    heartbeat_seconds = serializers.FloatField(help_text=_("Age of its last sign of life."))


class StuckSerializer(serializers.Serializer[Any]):
    """A task that does not get on."""

    task = BriefTaskSerializer()
    reason = serializers.CharField()


class MinuteSerializer(serializers.Serializer[Any]):
    """One minute."""

    at = serializers.DateTimeField()
    accepted = serializers.IntegerField()
    ended = serializers.IntegerField(help_text=_("Of those accepted in this minute."))
    failed = serializers.IntegerField(help_text=_("Of those accepted in this minute."))


class OperationsSerializer(serializers.Serializer[Operations]):
    """What waits, what runs, what is stuck, what has failed for good, and how much gets done."""

    queues = QueueSerializer(many=True)
    running = RunningSerializer(many=True)
    stuck = StuckSerializer(many=True)
    reviews = BriefTaskSerializer(many=True, help_text=_("Tasks that need a decision."))
    dead_letters = BriefTaskSerializer(many=True, help_text=_("Failed in the last 7 days and not tried again."))
    dead_letter_count = serializers.IntegerField()
    minutes = MinuteSerializer(many=True)
