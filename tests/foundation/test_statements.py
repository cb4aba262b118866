"""Statements that are made once give what the ORM gives."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agents.cache.models import CacheEntry
from foundation.statements import Selection

pytestmark = pytest.mark.django_db
COLUMNS = (
    "id",
    "exact",
    "owner_id",
    "answer",
    "vector",
    "cost",
    "latency_ms",
    "is_exact_only",
    "stale_at",
    "expires_at",
)
LIVE = Selection(CacheEntry, COLUMNS, "{exact} = %s AND {evicted_at} IS NULL AND {expires_at} > %s")
NOW = datetime(2026, 11, 27, 12, 0, 0, 123456, tzinfo=UTC)


def _entry(**given: Any) -> CacheEntry:
    usual: dict[str, Any] = {
        "scope": "s", "exact": "e", "agent_id": uuid.uuid4(), "agent_version_id": uuid.uuid4(), "target": "m",
        "answer": {"pieces": [{"content": "naïve “%s” {x}", "n": [1, None, 0.5]}]}, "latency_ms": 1.5, "stale_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
    }  # fmt: skip
    return CacheEntry.objects.create(**usual | given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"owner_id": uuid.uuid4(), "cost": Decimal("0.001234"), "vector": b"\x00\x01%s", "is_exact_only": True},
    ],
)
def test_every_kind_of_value_is_the_orms(given: dict[str, Any]) -> None:
    _entry(**given)
    [found] = LIVE.rows("e", NOW)
    [expected] = CacheEntry.objects.values_list(*COLUMNS)
    assert [_plain(value) for value in found] == [_plain(value) for value in expected]
    assert {type(value) for value in found} >= {uuid.UUID, dict, datetime, float, bool}


def test_the_condition_holds(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    _entry(exact="other")
    _entry(evicted_at=timezone.now(), evicted_because="tag")
    live = _entry()
    with django_assert_num_queries(3):
        assert [row[0] for row in LIVE.rows("e", NOW)] == [live.pk]
        assert LIVE.rows("e", NOW + timedelta(hours=2)) == []
        assert LIVE.rows("e' OR 1=1 --", NOW) == []


@pytest.mark.parametrize("is_there", [lambda ids: ids[:2], lambda _ids: [uuid.uuid4(), uuid.uuid4()]])
def test_uuids_are_given_as_the_database_takes_them(is_there: Callable[[list[uuid.UUID]], list[uuid.UUID]]) -> None:
    ids = [_entry(exact=str(number)).pk for number in range(3)]
    asked = is_there(ids)
    rows = Selection(CacheEntry, ("id",), "{id} IN (%s, %s)").rows(*asked)
    assert {row[0] for row in rows} == {*asked} & {*ids}


def _plain(value: Any) -> Any:
    """Bytes come as a memoryview from PostgreSQL."""
    return bytes(value) if isinstance(value, memoryview) else value
