"""Cached answers as JSON."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents.cache.models import CacheEntry, Calibration

WANTED = ("tag", "agent", "person", "knowledge")


class CacheEntrySerializer(serializers.ModelSerializer[CacheEntry]):
    """One entry, without its answer."""

    is_shared = serializers.SerializerMethodField(help_text="Whether all users of the agent may be given it.")

    class Meta:
        model = CacheEntry
        fields = (
            "id", "agent_id", "agent_version_id", "owner_id", "task_id", "target", "question", "is_shared",
            "is_exact_only", "input_tokens", "output_tokens", "cost", "hits", "last_hit_at", "answered_at", "stale_at",
            "expires_at", "evicted_at", "evicted_because",
        )  # fmt: skip
        read_only_fields = fields

    def get_is_shared(self, entry: CacheEntry) -> bool:
        """See the help text."""
        return entry.owner_id is None


class CacheEntryDetailSerializer(CacheEntrySerializer):
    """With what was asked and answered."""

    class Meta:
        model = CacheEntry
        fields = (*CacheEntrySerializer.Meta.fields, "dialogue", "answer")
        read_only_fields = fields


class EvictionSerializer(serializers.Serializer[Any]):
    """What is to be removed: exactly one of these."""

    tag = serializers.CharField(max_length=100, required=False, help_text="All answers with this tag.")
    agent = serializers.SlugField(required=False, help_text="All answers of this agent.")
    version = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, required=False, help_text="With `agent`: those of this version of it alone."
    )
    person = serializers.CharField(
        max_length=150, required=False, help_text="Name of a user: all answers that come from their requests."
    )
    knowledge = serializers.CharField(
        max_length=100, required=False, help_text="All answers made from this knowledge, which has changed."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one, the version apart."""
        if len(attrs.keys() - {"version"}) != 1 or ("version" in attrs and "agent" not in attrs):
            raise serializers.ValidationError(_("Say one of: %(names)s.") % {"names": ", ".join(WANTED)})
        return attrs


class EvictedSerializer(serializers.Serializer[Any]):
    """How many answers are not given any more."""

    evicted = serializers.IntegerField()


class SavedSerializer(serializers.Serializer[Any]):
    """What one tier has answered."""

    tier = serializers.CharField(allow_blank=True, help_text="Empty: the provider.")
    calls = serializers.IntegerField()
    tokens = serializers.IntegerField(help_text="Saved.")
    cost = serializers.DecimalField(max_digits=20, decimal_places=6, help_text="Saved.")
    seconds = serializers.FloatField(help_text="Saved.")


class StatisticsSerializer(serializers.Serializer[Any]):
    """The cache over some days."""

    hit_rate = serializers.FloatField(
        help_text="Of the calls that the cache was asked for: not those where it is off or left out, a new answer is "
        "wanted, or no answer is ever kept."
    )
    tiers = SavedSerializer(many=True)
    reasons = serializers.DictField(child=serializers.IntegerField(), help_text="Why calls were answered or not.")
    live_entries = serializers.IntegerField()
    vectors = serializers.IntegerField(help_text="In the memory of the process that answers.")
    vector_bytes = serializers.IntegerField()


class CalibrationSerializer(serializers.ModelSerializer[Calibration]):
    """What was learned about the semantic tier of one agent."""

    class Meta:
        model = Calibration
        fields = (
            "id", "agent_id", "kind", "verifier", "threshold", "error_target", "bound", "trials", "errors", "is_off",
            "off_because", "changed_at",
        )  # fmt: skip
        read_only_fields = fields
