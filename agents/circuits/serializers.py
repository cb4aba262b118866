"""Circuit breakers as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from agents.circuits.models import CircuitChange, State
from agents.circuits.services import LONGEST_REASON

FORCED = [(State.OPEN.value, State.OPEN.label), (State.CLOSED.value, State.CLOSED.label)]


class CircuitSerializer(serializers.Serializer[Any]):
    """One breaker as it stands."""

    key = serializers.CharField(source="protected.key")
    kind = serializers.CharField(
        source="protected.kind", help_text="What it protects, such as deployment, credential or model."
    )
    name = serializers.CharField(source="protected.name")
    state = serializers.ChoiceField(choices=State.choices)
    why = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True, help_text="When an open one lets a probe through.")
    failures = serializers.IntegerField(help_text="In its window.")
    calls = serializers.IntegerField(help_text="In its window.")
    forced = serializers.ChoiceField(choices=FORCED, allow_blank=True, help_text="How an operator holds it.")
    forced_reason = serializers.CharField(allow_blank=True)


class ForceSerializer(serializers.Serializer[Any]):
    """How it is to be held, and why."""

    state = serializers.ChoiceField(choices=FORCED)
    reason = serializers.CharField(max_length=LONGEST_REASON, allow_blank=True, default="")


class CircuitChangeSerializer(serializers.ModelSerializer[CircuitChange]):
    """One step of a breaker."""

    class Meta:
        model = CircuitChange
        fields = ("id", "key", "at", "before", "after", "why", "opens_until")
        read_only_fields = fields
