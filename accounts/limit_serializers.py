"""Quotas and rate limits as JSON. Amounts are decimal strings."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.models import Quota, RateLimit
from accounts.standing import Standing, standings_of
from accounts.subjects import names_of

DIGITS: dict[str, Any] = {"max_digits": 20, "decimal_places": 6, "min_value": Decimal(0)}
SUBJECT = _("“user:NAME”, “role:NAME”, “key:ID”, “agent:SLUG” or “everybody”.")


class NewQuotaSerializer(serializers.Serializer[Any]):
    """What a quota is made of."""

    subject = serializers.CharField(max_length=200, help_text=SUBJECT)
    unit = serializers.ChoiceField(Quota.Unit.choices)
    period = serializers.ChoiceField(
        Quota.Period.choices, allow_blank=True, default="", help_text=_("Empty for unfinished tasks.")
    )
    amount = serializers.DecimalField(**DIGITS)
    each_member = serializers.BooleanField(
        default=False, help_text=_("Of a role or of everybody: each person has the amount.")
    )
    reserve = serializers.DecimalField(
        **DIGITS, allow_null=True, default=None, help_text=_("For a task without a limit of its own.")
    )
    is_enabled = serializers.BooleanField(default=True)


class QuotaChangeSerializer(serializers.Serializer[Any]):
    """What of a quota can be changed."""

    amount = serializers.DecimalField(**DIGITS, required=False)
    reserve = serializers.DecimalField(**DIGITS, required=False, allow_null=True)
    is_enabled = serializers.BooleanField(required=False)


class _Standings(serializers.ListSerializer[Any]):
    """All of a page at once."""

    def to_representation(self, data: Any) -> list[dict[str, Any]]:
        """See Serializer."""
        return super().to_representation(standings_of(data, user=self.context["request"].user))


class QuotaSerializer(serializers.Serializer[Any]):
    """A quota, and how it stands for the caller."""

    id = serializers.UUIDField(source="quota.id", read_only=True)
    subject = serializers.CharField(read_only=True)
    unit = serializers.ChoiceField(Quota.Unit.choices, source="quota.unit", read_only=True)
    period = serializers.ChoiceField(Quota.Period.choices, source="quota.period", read_only=True, allow_blank=True)
    amount = serializers.DecimalField(20, 6, source="quota.amount", read_only=True)
    each_member = serializers.BooleanField(source="quota.each_member", read_only=True)
    reserve = serializers.DecimalField(20, 6, source="quota.reserve", read_only=True, allow_null=True)
    is_enabled = serializers.BooleanField(source="quota.is_enabled", read_only=True)
    spent = serializers.DecimalField(20, 6, read_only=True, help_text=_("In the current period."))
    reserved = serializers.DecimalField(20, 6, read_only=True, help_text=_("For tasks that have not ended."))
    left = serializers.DecimalField(20, 6, read_only=True)
    starts_at = serializers.DateTimeField(read_only=True)
    resets_at = serializers.DateTimeField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(source="quota.created_at", read_only=True)

    class Meta:
        list_serializer_class = _Standings

    def to_representation(self, instance: Quota | Standing) -> dict[str, Any]:
        """Of a row or of how it stands."""
        if isinstance(instance, Quota):
            (instance,) = standings_of([instance], user=self.context["request"].user)
        return super().to_representation(instance)


class RateLimitSerializer(serializers.ModelSerializer[RateLimit]):
    """How many requests a subject may make in a time."""

    subject = serializers.SerializerMethodField()

    class Meta:
        model = RateLimit
        fields = ("id", "subject", "rate", "created_at")

    def get_subject(self, limit: RateLimit) -> str:
        """Whose it is."""
        return names_of([limit])[0]


class NewRateLimitSerializer(serializers.Serializer[Any]):
    """What a rate limit is made of."""

    subject = serializers.CharField(max_length=200, help_text=SUBJECT)
    rate = serializers.CharField(max_length=20, help_text=_("How many in which time: 100/m, 5/s, 20/10s."))


class RateLimitChangeSerializer(serializers.Serializer[Any]):
    """Another rate."""

    rate = serializers.CharField(max_length=20, help_text=_("How many in which time: 100/m, 5/s, 20/10s."))
