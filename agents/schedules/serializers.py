"""Schedules as the API shows and takes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents.schedules.models import LEAST_SECONDS, MOST_SECONDS, Schedule, ScheduledRun
from agents.schedules.services import next_runs
from agents.tasks.models import Priority
from agents.tasks.serializers import MOST_METADATA_BYTES, InputField, ObjectField
from foundation.serializers import TakenSerializer

PRIORITIES = [priority.name.lower() for priority in Priority]
SHOWN = 5


class ScheduleSerializer(serializers.ModelSerializer[Schedule]):
    """What runs when, with whose rights."""

    agent = serializers.CharField(source="agent.slug", read_only=True, help_text=_("The agent's slug."))
    owner = serializers.UUIDField(source="owner_id", read_only=True)
    input = InputField(read_only=True)
    metadata = ObjectField(read_only=True)
    priority = serializers.SerializerMethodField()
    is_paused = serializers.SerializerMethodField()

    class Meta:
        model = Schedule
        fields: ClassVar = [
            "id", "name", "owner", "agent", "input", "priority", "queue", "metadata", "cron", "every_seconds",
            "timezone", "starts_at", "ends_at", "if_missed", "if_overlapping", "is_paused", "next_run_at",
            "last_run_at", "last_error", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_priority(self, schedule: Schedule) -> str:
        """By name."""
        return Priority(schedule.priority).name.lower()

    def get_is_paused(self, schedule: Schedule) -> bool:
        """Whether nothing is due at the moment."""
        return schedule.paused_at is not None


class ScheduleWithNextRunsSerializer(ScheduleSerializer):
    """A schedule, and when it runs next."""

    next_runs = serializers.SerializerMethodField(
        help_text=_("The next five due times, from now on, as if it were not paused.")
    )

    class Meta(ScheduleSerializer.Meta):
        fields: ClassVar = [*ScheduleSerializer.Meta.fields, "next_runs"]
        read_only_fields = fields

    def get_next_runs(self, schedule: Schedule) -> list[datetime]:
        """In UTC."""
        return next_runs(schedule, SHOWN)


class ScheduleChangeSerializer(TakenSerializer):
    """What may be said of a schedule. `cron` and `every_seconds` exclude each other."""

    name = serializers.CharField(max_length=100, required=False)
    agent = serializers.CharField(max_length=63, required=False, help_text=_("The agent's slug."))
    input = InputField(required=False, help_text=_('A string, {"messages": […]}, or the agent\'s own object.'))
    priority = serializers.ChoiceField(choices=PRIORITIES, required=False, help_text=_("normal, if not given."))
    queue = serializers.CharField(
        max_length=32, required=False, allow_blank=True, help_text=_("Empty: the queue of the agent.")
    )
    metadata = ObjectField(required=False, help_text=_("Your own labels; every task of the schedule gets them."))
    cron = serializers.CharField(
        max_length=100, required=False, allow_blank=True,
        help_text=_("Minute, hour, day, month, weekday: “0 8 * * 1-5” is 8:00 on workdays."),
    )  # fmt: skip
    every_seconds = serializers.IntegerField(
        min_value=LEAST_SECONDS, max_value=MOST_SECONDS, required=False, allow_null=True,
        help_text=_("Counted from `starts_at`, or from when the schedule was made."),
    )  # fmt: skip
    timezone = serializers.CharField(max_length=64, required=False, help_text=_("Of the cron expression."))
    starts_at = serializers.DateTimeField(required=False, allow_null=True, help_text=_("Nothing is due earlier."))
    ends_at = serializers.DateTimeField(required=False, allow_null=True, help_text=_("Nothing is due later."))
    if_missed = serializers.ChoiceField(
        choices=Schedule.Missed.choices, required=False,
        help_text=_("Due times that nobody could fire: skip them, run once for all, run each (at most 100)."),
    )  # fmt: skip
    if_overlapping = serializers.ChoiceField(
        choices=Schedule.Overlap.choices, required=False,
        help_text=_("While a run has not ended: allow the next beside it, skip it, or queue it."),
    )  # fmt: skip

    def validate_priority(self, value: str) -> Priority:
        """The priority of this name."""
        return Priority[value.upper()]

    def validate_metadata(self, value: dict[str, Any]) -> dict[str, Any]:
        """Labels are small."""
        if len(str(value)) > MOST_METADATA_BYTES:
            raise serializers.ValidationError(_("The metadata are too large."))
        return value


class NewScheduleSerializer(ScheduleChangeSerializer):
    """What makes a schedule."""

    name = serializers.CharField(max_length=100)
    agent = serializers.CharField(max_length=63, help_text=_("The agent's slug."))
    input = InputField(help_text=_('A string, {"messages": […]}, or the agent\'s own object.'))


class ScheduledRunSerializer(serializers.ModelSerializer[ScheduledRun]):
    """What came of a due time; `times` are more than one for due times that were missed in a row."""

    task = serializers.UUIDField(source="task_id", read_only=True, allow_null=True)

    class Meta:
        model = ScheduledRun
        fields: ClassVar = [
            "id", "due_at", "last_due_at", "times", "is_manual", "outcome", "reason", "task", "created_at",
        ]  # fmt: skip
        read_only_fields = fields
