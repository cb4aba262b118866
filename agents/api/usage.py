"""Who has spent what, over HTTP."""

from __future__ import annotations

from typing import Any, cast

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from agents.gateway.usage import savings, spending_by_model
from agents.tasks.usage import KEYS, Days, spending_of, tasks_of
from foundation.async_views import AsyncAPIView

BY = (*KEYS, "model")


class UsageQuerySerializer(serializers.Serializer[Any]):
    """What is asked for."""

    by = serializers.ChoiceField([(name, name) for name in BY], default="day")
    since = serializers.DateField(required=False, help_text=_("The first day (UTC); 30 days ago when not said."))
    until = serializers.DateField(required=False, help_text=_("The last day (UTC); today when not said."))
    mine = serializers.BooleanField(default=False, help_text=_("Your own only, also for who may see everybody's."))


class SpendingSerializer(serializers.Serializer[Any]):
    """What was spent for one key."""

    key = serializers.CharField(help_text=_("A day, a name, a key's lineage; empty for what has none."))
    label = serializers.CharField()  # type: ignore[assignment]  # the name of an attribute of fields
    count = serializers.IntegerField(help_text=_("Tasks accepted; by model, calls."))
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = serializers.DecimalField(20, 6)
    hits = serializers.IntegerField(required=False, help_text=_("By model: calls that the cache answered."))
    saved_tokens = serializers.IntegerField(required=False, help_text=_("By model: by the cache."))
    saved_cost = serializers.DecimalField(20, 6, required=False, help_text=_("By model: by the cache."))
    unpriced = serializers.IntegerField(
        required=False, help_text=_("By model: calls whose cost is not known, and not in the sum.")
    )


class SavingsSerializer(serializers.Serializer[Any]):
    """What the cache has saved, over all models."""

    calls = serializers.IntegerField()
    hits = serializers.IntegerField()
    by_tier = serializers.DictField(child=serializers.IntegerField())
    saved_tokens = serializers.IntegerField()
    saved_cost = serializers.DecimalField(20, 6)
    saved_seconds = serializers.FloatField()
    unpriced = serializers.IntegerField(help_text=_("Calls whose cost is not known, and in no sum."))


class SpendingReportSerializer(serializers.Serializer[Any]):
    """Sums, the dearest first; of days in their order."""

    by = serializers.ChoiceField([(name, name) for name in BY])
    since = serializers.DateField()
    until = serializers.DateField()
    results = SpendingSerializer(many=True)
    cache = SavingsSerializer(required=False, help_text=_("By model only."))


class Usage(AsyncAPIView):
    """What was spent."""

    required_scope = "usage:read"

    @extend_schema(
        operation_id="usage", summary="Show what was spent", tags=["limits"], parameters=[UsageQuerySerializer],
        responses={200: SpendingReportSerializer},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """What your tasks of some days have spent, by day, user, role, agent, key or model; everybody's for whoever
        may view quotas or tasks. At most 92 days and 200 rows.
        """
        asked = UsageQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        by, mine = asked.validated_data["by"], asked.validated_data["mine"]
        days = Days.between(asked.validated_data.get("since"), asked.validated_data.get("until"))
        user = cast("User", request.user)
        report: dict[str, Any] = {"by": by, "since": days.since, "until": days.until}
        if by == "model":
            report["results"] = spending_by_model(user, days, mine=mine)
            report["cache"] = savings(user, days, mine=mine)
        else:
            report["results"] = spending_of(tasks_of(user, days, mine=mine), by)
        return Response(SpendingReportSerializer(report).data)
