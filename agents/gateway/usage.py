"""What was spent on which model, by the ledger of model calls."""

from __future__ import annotations

from django.db.models import F, Value
from django.db.models.functions import Concat

from accounts.models import User
from agents.gateway.models import ModelCall
from agents.tasks.usage import MOST_ROWS, SUMS, Days, Spending, sees_all, spending


def spending_by_model(user: User, days: Days, *, mine: bool = False) -> list[Spending]:
    """Sums by `provider:model`, the dearest first: one's own calls, or everybody's for whoever may see them."""
    calls = ModelCall.objects.filter(started_at__gte=days.begins_at, started_at__lt=days.ends_at).order_by()
    if mine or not sees_all(user):
        calls = calls.filter(owner_id=user.pk)
    rows = calls.annotate(key=Concat("provider", Value(":"), "model")).values("key").annotate(**SUMS)
    return [
        spending(row) for row in rows.order_by(F("money").desc(nulls_last=True), F("count").desc(), "key")[:MOST_ROWS]
    ]
