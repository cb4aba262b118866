"""The vectors in memory follow the rows and stay within their bounds."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from agents.cache.models import CacheEntry
from agents.cache.vectors import Matrices, Matrix
from foundation.models import new_id
from tests.cache.fakes import AGENT, OWNER, VERSION

WIDTH = 16
pytestmark = pytest.mark.django_db


def _vector(place: int) -> Any:
    vector = np.zeros(WIDTH, np.float32)
    vector[place % WIDTH] = 1.0
    return vector


def _entry(scope: str, place: int, **fields: Any) -> CacheEntry:
    later = timezone.now() + timedelta(hours=1)
    given: dict[str, Any] = {
        "id": new_id(), "scope": scope, "exact": uuid.uuid4().hex * 2, "agent_id": AGENT, "agent_version_id": VERSION,
        "owner_id": OWNER, "target": "m", "question": "q", "answer": {"message": {}, "pieces": []}, "embedding": "e",
        "vector": _vector(place).tobytes(), "stale_at": later, "expires_at": later,
    }  # fmt: skip
    return CacheEntry(**given | fields)


def _nearest(matrices: Matrices, scope: str, place: int, *, most: int = 5) -> list[uuid.UUID]:
    return [each.entry_id for each in matrices.nearest(scope, "e", _vector(place), most=most, floor=0.5)]


def test_the_nearest_of_a_scope_are_found_and_no_others() -> None:
    mine, other = _entry("s", 1), _entry("t", 1)
    hidden = [
        _entry("s", 1, embedding="another"), _entry("s", 1, is_exact_only=True), _entry("s", 1, vector=None),
        _entry("s", 1, evicted_at=timezone.now(), evicted_because="tag"),
        _entry("s", 1, stale_at=timezone.now() - timedelta(1), expires_at=timezone.now() - timedelta(1)),
    ]  # fmt: skip
    CacheEntry.objects.bulk_create([mine, other, _entry("s", 2), *hidden])
    assert _nearest(Matrices(), "s", 1) == [mine.pk]


def test_the_best_come_first_and_none_below_the_floor() -> None:
    near = _vector(1) * 0.9 + _vector(2) * np.sqrt(1 - 0.81)
    rows = [_entry("s", 1, vector=near.astype("<f4").tobytes()), _entry("s", 1), _entry("s", 3)]
    CacheEntry.objects.bulk_create(rows)
    found = Matrices().nearest("s", "e", _vector(1), most=5, floor=0.5)
    assert [each.entry_id for each in found] == [rows[1].pk, rows[0].pk]
    assert [round(each.similarity, 3) for each in found] == [1.0, 0.9]


def test_new_rows_are_seen_a_second_later(monkeypatch: pytest.MonkeyPatch) -> None:
    matrices, first = Matrices(), _entry("s", 1)
    first.save(force_insert=True)
    assert _nearest(matrices, "s", 1) == [first.pk]
    # With an id from before: it became visible late.
    late = _entry("s", 1, id=uuid.UUID(int=first.pk.int - (1_000 << 80)))
    late.save(force_insert=True)
    assert _nearest(matrices, "s", 1) == [first.pk]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1.5)
    assert {*_nearest(matrices, "s", 1)} == {first.pk, late.pk}


def test_what_is_dropped_does_not_come_back_until_all_is_read_anew() -> None:
    matrices, row = Matrices(), _entry("s", 1)
    row.save(force_insert=True)
    assert _nearest(matrices, "s", 1) == [row.pk]
    matrices.drop("s", "e", row.pk)
    assert _nearest(matrices, "s", 1) == []
    matrices.forget()
    assert _nearest(matrices, "s", 1) == [row.pk]


def test_many_small_scopes_are_bounded_by_the_memory_they_take(settings: Any) -> None:
    settings.CACHE_MOST_VECTORS = 20
    matrices, empty = Matrices(), 3
    CacheEntry.objects.bulk_create(_entry(f"s{number}", 1) for number in range(30))
    for number in range(30):
        assert len(_nearest(matrices, f"s{number}", 1)) == 1
    # Each has room for four.
    assert matrices.count == 5
    for number in range(empty):
        assert _nearest(matrices, f"none{number}", 1) == []
    assert matrices.count == 4


def test_a_scope_holds_its_newest_entries(settings: Any) -> None:
    settings.CACHE_MOST_IN_SCOPE = 20
    rows = [_entry("s", 1) for _ in range(30)]
    CacheEntry.objects.bulk_create(rows)
    matrices = Matrices()
    assert {*_nearest(matrices, "s", 1, most=50)} == {row.pk for row in rows[10:]}
    for _ in range(30):
        matrices.add("s", "e", new_id(), _vector(1).tobytes())
    assert matrices.count <= 20


def test_the_scopes_used_least_leave_when_there_are_too_many_vectors(settings: Any) -> None:
    settings.CACHE_MOST_VECTORS = 25
    for scope in "abc":
        CacheEntry.objects.bulk_create([_entry(scope, 1) for _ in range(10)])
    matrices = Matrices()
    for scope in ("a", "b", "a", "c"):
        assert len(_nearest(matrices, scope, 1)) == 5
    assert matrices.count == 20
    # The one that had left is read again.
    assert len(_nearest(matrices, "b", 1)) == 5


def test_memory_is_told_and_little_more_than_the_vectors() -> None:
    matrix = Matrix("s", "e")
    for _ in range(5_000):
        matrix.add(new_id(), np.ones(384, "<f4").tobytes())
    assert matrix.count == 5_000
    needed = 5_000 * (384 * 4 + 16)
    assert needed <= matrix.memory_bytes <= needed * 1.5


def test_vectors_of_another_width_are_left_out() -> None:
    matrix = Matrix("s", "e")
    matrix.add(new_id(), _vector(1).tobytes())
    matrix.add(new_id(), np.ones(8, "<f4").tobytes())
    assert matrix.count == 1
    assert matrix.nearest(np.ones(8, np.float32), most=5, floor=0.0) == []
