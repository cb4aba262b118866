"""What was spent on which model, and what the cache has saved, by the ledger of model calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum, Value
from django.db.models.functions import Concat

from accounts.models import User
from agents.gateway.models import ModelCall
from agents.gateway.models.calls import Tier
from agents.tasks.usage import MOST_ROWS, SUMS, Days, Spending, sees_all

NOTHING = Decimal(0)
IS_HIT = ~Q(tier="")
SAVED: Mapping[str, Any] = {
    "hits": Count("pk", filter=IS_HIT),
    "saved_read": Sum("saved_input_tokens"),
    "saved_written": Sum("saved_output_tokens"),
    "saved_money": Sum("saved_cost"),
    "unpriced": Count("pk", filter=Q(cost=None)),
}


@dataclass(frozen=True, slots=True)
class ModelSpending(Spending):
    """What was spent on one model. Of `count` calls the cache answered `hits`, which cost nothing; the cost of
    `unpriced` is not known, and not in the sum.
    """

    hits: int = 0
    saved_tokens: int = 0
    saved_cost: Decimal = NOTHING
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Savings:
    """What the cache did for some calls: how many it answered, by tier, and what those would have come to."""

    calls: int
    hits: int
    by_tier: Mapping[str, int]
    saved_tokens: int
    saved_cost: Decimal
    saved_seconds: float
    unpriced: int

    @property
    def percent(self) -> float:
        """How many of a hundred calls the cache answered."""
        return 100 * self.hits / self.calls if self.calls else 0.0


def calls_of(user: User, days: Days, *, mine: bool = False) -> QuerySet[ModelCall]:
    """One's own calls of these days, or everybody's for whoever may see them."""
    calls = ModelCall.objects.filter(started_at__gte=days.begins_at, started_at__lt=days.ends_at).order_by()
    return calls if sees_all(user) and not mine else calls.filter(owner_id=user.pk)


def spending_by_model(user: User, days: Days, *, mine: bool = False) -> list[ModelSpending]:
    """Sums by `provider:model`, the dearest first."""
    calls = calls_of(user, days, mine=mine).annotate(key=Concat("provider", Value(":"), "model"))
    rows = calls.values("key").annotate(**SUMS, **SAVED)
    ordered = rows.order_by(F("money").desc(nulls_last=True), F("count").desc(), "key")
    return [_spending(row) for row in ordered[:MOST_ROWS]]


def savings(user: User, days: Days, *, mine: bool = False) -> Savings:
    """Over all models, in one query."""
    tiers = {f"tier_{tier}": Count("pk", filter=Q(tier=tier)) for tier in Tier.values}
    row = calls_of(user, days, mine=mine).aggregate(count=Count("pk"), ms=Sum("saved_ms"), **SAVED, **tiers)
    return Savings(
        calls=row["count"],
        hits=row["hits"],
        by_tier={tier: row[f"tier_{tier}"] for tier in Tier.values},
        saved_tokens=_saved_tokens(row),
        saved_cost=row["saved_money"] or NOTHING,
        saved_seconds=(row["ms"] or 0) / 1000,
        unpriced=row["unpriced"],
    )


def _spending(row: Mapping[str, Any]) -> ModelSpending:
    return ModelSpending(
        key=row["key"], label=row["key"], count=row["count"], input_tokens=row["read"] or 0,
        output_tokens=row["written"] or 0, cost=row["money"] or NOTHING, hits=row["hits"],
        saved_tokens=_saved_tokens(row), saved_cost=row["saved_money"] or NOTHING, unpriced=row["unpriced"],
    )  # fmt: skip


def _saved_tokens(row: Mapping[str, Any]) -> int:
    return int((row["saved_read"] or 0) + (row["saved_written"] or 0))
