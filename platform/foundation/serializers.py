"""What serializers of all rooms have in common."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class StrictSerializer(serializers.Serializer[dict[str, Any]]):
    """Refuses what it does not know, so that a misspelt field is not silently ignored."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Raises ValidationError naming every unknown field."""
        value: dict[str, Any] = super().to_internal_value(data)
        unknown = [name for name in data if name not in self.fields]
        if unknown:
            raise serializers.ValidationError({name: [_("There is no such field.")] for name in unknown})
        return value


class TakenSerializer(StrictSerializer):
    """Only taken, never shown."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """There is nothing to show: a mistake of ours."""
        raise NotImplementedError
