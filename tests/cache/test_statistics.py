"""What the cache has done, in numbers."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from agents.cache import statistics
from agents.cache.models import Calibration
from agents.definitions.models import Agent
from agents.gateway.models import CacheWhy, ModelCall
from agents.tasks.usage import Days
from tests.conftest import Api

pytestmark = pytest.mark.django_db
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
SAVED: dict[str, Any] = {
    "cost": 0, "saved_input_tokens": 7, "saved_output_tokens": 3, "saved_cost": Decimal("0.25"), "saved_ms": 1500.0,
}  # fmt: skip


def _call(why: str, tier: str = "", *, agent_id: uuid.UUID | None = ONE, days: int = 0, **given: Any) -> ModelCall:
    return ModelCall(
        agent_id=agent_id, provider="p", model="m", started_at=timezone.now() - timedelta(days=days), latency_ms=1,
        outcome="succeeded", cache_why=why, tier=tier, **(SAVED if tier else {}) | given,
    )  # fmt: skip


def test_the_hit_rate_counts_what_the_cache_was_asked_for() -> None:
    asked = ["miss", "near_miss", "blocked", "turned_off"]
    others = ["off", "bypass", "refresh", "", "shadow", *(why for why in CacheWhy if why.startswith("uncacheable:"))]
    given = [_call("hit", "exact"), _call("stale", "exact"), _call("hit", "flight")]
    ModelCall.objects.bulk_create([*map(_call, asked), *map(_call, others), *given])
    found = statistics.statistics(LONG_AGO)
    assert (found.hits, found.asked, found.calls) == (3, 7, 3 + len(asked) + len(others))
    assert found.hit_rate == 3 / 7
    assert {*statistics.ASKED} == {"hit", "stale", *asked}


def test_tiers_and_reasons_are_summed_up() -> None:
    ModelCall.objects.bulk_create([
        _call("miss"), _call("miss"), _call("hit", "semantic"), _call("hit", "exact"), _call("stale", "exact"),
        _call("hit", "exact", agent_id=OTHER, saved_cost=None), _call("hit", "exact", days=40),
    ])  # fmt: skip
    found = statistics.statistics(timezone.now() - timedelta(days=30))
    assert [(each.tier, each.calls, each.tokens, each.cost, each.seconds) for each in found.tiers] == [
        ("", 2, 0, 0, 0), ("exact", 3, 30, Decimal("0.5"), 4.5), ("semantic", 1, 10, Decimal("0.25"), 1.5),
    ]  # fmt: skip
    assert (found.saved.calls, found.saved.tokens, found.saved.cost) == (4, 40, Decimal("0.75"))
    assert found.reasons == {"miss": 2, "hit": 3, "stale": 1}
    assert found.unanswered == {"miss": 2}
    assert statistics.statistics(LONG_AGO, agent_id=OTHER).calls == 1


def test_nothing_at_all_is_no_error() -> None:
    found = statistics.statistics(LONG_AGO)
    assert (found.hit_rate, found.calls, float(found.saved.cost), len(found.tiers)) == (0.0, 0, 0.0, 0)
    assert statistics.by_agent(LONG_AGO) == []


def test_days_and_agents_are_told_apart() -> None:
    ModelCall.objects.bulk_create([
        _call("miss"), _call("hit", "exact", days=1), _call("miss", days=1), _call("off", agent_id=OTHER, days=1),
        _call("hit", "exact", days=9),
    ])  # fmt: skip
    today = datetime.now(UTC).date()
    days = Days.between(today - timedelta(days=2), today)
    assert [(each.calls, each.hits) for each in statistics.by_day(days)] == [(0, 0), (3, 1), (1, 0)]
    found = statistics.by_agent(days.begins_at)
    assert [(each.agent_id, each.calls, each.asked, each.hits, each.cost) for each in found] == [
        (ONE, 3, 3, 1, Decimal("0.25")), (OTHER, 1, 0, 0, 0),
    ]  # fmt: skip
    assert found[0].hit_rate == 1 / 3


def test_the_latest_that_were_compared_come_first() -> None:
    whys = ["near_miss", "blocked", "turned_off"]
    calls = [_call(why, days=days) for days, why in enumerate(whys, start=2)]
    given = _call("hit", "semantic", days=1)
    ModelCall.objects.bulk_create([*calls, given, _call("hit", "exact"), _call("miss"), _call("near_miss", days=50)])
    found = statistics.compared(timezone.now() - timedelta(days=30))
    assert [call.pk for call in found] == [given.pk, *(call.pk for call in calls)]
    assert len(statistics.compared(LONG_AGO, most=2)) == 2


def test_only_what_counts_now_is_shown_of_what_was_learned() -> None:
    usual = {"error_target": 0.01, "threshold": 0.9}
    on = Calibration.objects.create(agent_id=ONE, verifier="words-1", **usual)
    off = Calibration.objects.create(agent_id=OTHER, verifier="words-1", is_off=True, **usual)
    Calibration.objects.create(agent_id=ONE, verifier="an older one", **usual)
    assert [*statistics.calibrations()] == [off, on]


def test_the_number_of_queries_does_not_grow(django_assert_num_queries: Any) -> None:
    agents = [Agent.objects.create(slug=f"a{number}", name=f"A {number}") for number in range(25)]
    ModelCall.objects.bulk_create([_call("miss", agent_id=agent.pk) for agent in agents for _ in range(3)])
    with django_assert_num_queries(2):
        statistics.statistics(LONG_AGO)
    with django_assert_num_queries(2):
        rows = statistics.by_agent(LONG_AGO)
        names = statistics.names_of(row.agent_id for row in rows)
    assert len(names) == statistics.MOST_AGENTS


def test_the_api_keeps_its_shape(api: Api, operator: User) -> None:
    ModelCall.objects.bulk_create([_call("miss"), _call("hit", "exact"), _call("off")])
    found = api(operator).get("/api/v1/cache/statistics").json()
    assert {*found} == {"hit_rate", "tiers", "reasons", "live_entries", "vectors", "vector_bytes"}
    assert (found["hit_rate"], found["reasons"]) == (0.5, {"miss": 1, "hit": 1, "off": 1})
    assert found["tiers"][1] == {"tier": "exact", "calls": 1, "tokens": 10, "cost": "0.250000", "seconds": 1.5}
