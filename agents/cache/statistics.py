"""What the cache has done with the calls of some time: by who answered them and why, by day, by agent; what was
compared by meaning, and what was learned of it.

Sums are made by the database, one query for each question, over the calls that the index of their time finds.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, Q, QuerySet, Sum

from agents.cache.meaning import meaning
from agents.cache.models import CacheEntry, Calibration
from agents.cache.vectors import matrices
from agents.definitions.models import Agent
from agents.gateway.models import CacheWhy, ModelCall, Tier
from agents.tasks.usage import Days
from foundation.intervals import UtcDay

# What the cache was asked for. The others could not have been answered: it was off or left out, a new answer was
# wanted, or answers to them are never kept.
ASKED: Final = (
    CacheWhy.HIT, CacheWhy.STALE, CacheWhy.MISS, CacheWhy.NEAR_MISS, CacheWhy.BLOCKED, CacheWhy.TURNED_OFF,
)  # fmt: skip
IS_HIT: Final = ~Q(tier="")
WAS_ASKED: Final = IS_HIT | Q(cache_why__in=ASKED)
SUMS: Final[Mapping[str, Any]] = {
    "calls": Count("pk"), "read": Sum("saved_input_tokens"), "written": Sum("saved_output_tokens"),
    "cost": Sum("saved_cost"), "ms": Sum("saved_ms"),
}  # fmt: skip
MOST_AGENTS: Final = 20
MOST_CALIBRATIONS: Final = 50
MOST_COMPARED: Final = 12
# What a page tells of a call.
_TOLD: Final = (
    "started_at", "task_id", "agent_id", "provider", "model", "tier", "cache_why", "cache_entry_id", "cache_evidence",
    "similarity", "age_seconds", "saved_input_tokens", "saved_output_tokens", "saved_cost", "saved_ms", "cost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Saved:
    """What one tier (empty: the provider) has answered: calls, and the tokens, money and seconds that it saved."""

    tier: str
    calls: int
    tokens: int
    cost: Decimal
    seconds: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """The cache over some time, by tier and by the reason that calls carry, and what is kept now.

    Of `asked` calls the cache might have answered each; `unanswered` are those of the provider, by reason.
    """

    tiers: tuple[Saved, ...]
    reasons: Mapping[str, int]
    unanswered: Mapping[str, int]
    asked: int
    live_entries: int
    vectors: int
    vector_bytes: int

    @property
    def calls(self) -> int:
        """All of them."""
        return sum(each.calls for each in self.tiers)

    @property
    def hits(self) -> int:
        """Those that needed no provider."""
        return sum(each.calls for each in self.tiers if each.tier)

    @property
    def hit_rate(self) -> float:
        """The share of calls that needed no provider, of those that the cache was asked for."""
        return _share(self.hits, self.asked)

    @property
    def saved(self) -> Saved:
        """By all tiers."""
        return Saved(
            "", self.hits, sum(each.tokens for each in self.tiers), sum((each.cost for each in self.tiers), Decimal(0)),
            sum(each.seconds for each in self.tiers),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OneDay:
    """The calls of a day of UTC, and how many of them the cache has answered."""

    day: date
    calls: int
    hits: int


@dataclass(frozen=True, slots=True)
class OfAgent:
    """The calls of one agent (None: of none), of which the cache was asked for `asked`, and what it has saved."""

    agent_id: uuid.UUID | None
    asked: int
    calls: int
    hits: int
    tokens: int
    cost: Decimal

    @property
    def hit_rate(self) -> float:
        """See Statistics."""
        return _share(self.hits, self.asked)


def statistics(since: datetime, *, agent_id: uuid.UUID | None = None) -> Statistics:
    """Of all calls since then, or of one agent's. Vectors are those in this process's memory."""
    calls = _calls(since)
    live = CacheEntry.objects.live()
    if agent_id is not None:
        calls, live = calls.filter(agent_id=agent_id), live.filter(agent_id=agent_id)
    rows = [*calls.values("tier", "cache_why").annotate(**SUMS)]
    return Statistics(
        tiers=tuple(_saved(tier, rows) for tier in _in_order({row["tier"] for row in rows})),
        reasons=_counts(rows),
        unanswered=_counts(row for row in rows if not row["tier"]),
        asked=sum(row["calls"] for row in rows if row["tier"] or row["cache_why"] in ASKED),
        live_entries=live.count(), vectors=matrices.count, vector_bytes=matrices.memory_bytes,
    )  # fmt: skip


def by_day(days: Days) -> list[OneDay]:
    """Every day, also those without calls."""
    calls = _calls(days.begins_at).filter(started_at__lt=days.ends_at).annotate(day=UtcDay("started_at"))
    rows = calls.values_list("day").annotate(calls=Count("pk"), hits=Count("pk", filter=IS_HIT))
    known = {day: (counted, hits) for day, counted, hits in rows}
    return [OneDay(day, *known.get(day, (0, 0))) for day in days.each()]


def by_agent(since: datetime, *, most: int = MOST_AGENTS) -> list[OfAgent]:
    """Those with the most calls, in that order."""
    calls = _calls(since)
    sums = {**SUMS, "hits": Count("pk", filter=IS_HIT), "asked": Count("pk", filter=WAS_ASKED)}
    rows = calls.values("agent_id").annotate(**sums).order_by("-calls", "agent_id")[:most]
    return [
        OfAgent(row["agent_id"], row["asked"], row["calls"], row["hits"], _tokens(row), row["cost"] or Decimal(0))
        for row in rows
    ]


def compared(since: datetime, *, most: int = MOST_COMPARED) -> list[ModelCall]:
    """The latest calls that were given an answer by meaning, or came near one."""
    calls = ModelCall.objects.compared().filter(started_at__gte=since)
    return [*calls.only(*_TOLD).order_by("-started_at", "-pk")[:most]]


def calibrations(*, most: int = MOST_CALIBRATIONS) -> QuerySet[Calibration]:
    """What was learned under the verifier in use, what is off first."""
    rows = Calibration.objects.filter(verifier=meaning().verifier())
    return rows.order_by("-is_off", "-trials", "agent_id")[:most]


def names_of(agents: Iterable[uuid.UUID | None]) -> dict[uuid.UUID, str]:
    """The names of these agents, as far as there are such; one query."""
    return dict(Agent.objects.filter(pk__in={each for each in agents if each}).values_list("pk", "name"))


def _calls(since: datetime) -> QuerySet[Any]:
    return ModelCall.objects.filter(started_at__gte=since).order_by()


def _in_order(tiers: Iterable[str]) -> list[str]:
    """The provider first, then as they are asked."""
    order = ["", *Tier.values]
    return sorted(tiers, key=lambda tier: order.index(tier) if tier in order else len(order))


def _saved(tier: str, rows: Iterable[Mapping[str, Any]]) -> Saved:
    own = [row for row in rows if row["tier"] == tier]
    return Saved(
        tier, sum(row["calls"] for row in own), sum(_tokens(row) for row in own),
        sum((row["cost"] or Decimal(0) for row in own), Decimal(0)), sum(row["ms"] for row in own) / 1000,
    )  # fmt: skip


def _counts(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["cache_why"]] = counts.get(row["cache_why"], 0) + row["calls"]
    return counts


def _tokens(row: Mapping[str, Any]) -> int:
    return int(row["read"] + row["written"])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
