"""Who has spent what, over HTTP."""

from __future__ import annotations

from typing import Any, cast

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from agents.gateway.usage import spending_by_model
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


class SpendingReportSerializer(serializers.Serializer[Any]):
    """Sums, the dearest first; of days in their order."""

    by = serializers.ChoiceField([(name, name) for name in BY])
    since = serializers.DateField()
    until = serializers.DateField()
    results = SpendingSerializer(many=True)


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
        found = (
            spending_by_model(user, days, mine=mine)
            if by == "model"
            else spending_of(tasks_of(user, days, mine=mine), by)
        )
        return Response(
            SpendingReportSerializer({"by": by, "since": days.since, "until": days.until, "results": found}).data
        )
