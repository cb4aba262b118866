"""The semantic tier: the entry of the same scope whose answer also serves this conversation, if there is one."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from django.utils import timezone

from agents.cache.hot import Stored
from agents.cache.meaning import Meaning, Verdict, meaning
from agents.cache.models import CacheEntry
from agents.cache.observing import Outcome
from agents.cache.reading import Asked
from agents.cache.store import COLUMNS, stored_of
from agents.cache.thresholds import Threshold, threshold_of
from agents.cache.vectors import Candidate, matrices
from agents.gateway.models import CacheWhy
from foundation.statements import Selection

# How many are read and compared. More are looked at where some of them are no more.
MOST_COMPARED: Final = 5
MOST_LOOKED_AT: Final = 25
FLOOR: Final = 0.5
# A score of that part of the threshold is a near miss; below it is none.
NEAR: Final = 0.5
MOST_PREPARED: Final = 2_000


@dataclass(frozen=True, slots=True)
class Found:
    """What came nearest. `outcome` is empty when nothing came near; `stored` is there for a hit."""

    embedding: str
    vector: bytes
    outcome: Outcome | None = None
    stored: Stored | None = None
    entry_id: uuid.UUID | None = None
    score: float = 0.0
    similarity: float = 0.0
    threshold: float = 1.0
    is_off: bool = False
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Near:
    """A live entry. `of` is whoever asked its question."""

    candidate: Candidate
    stored: Stored
    dialogue: list[dict[str, str]]
    of: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class _Seen:
    near: _Near
    verdict: Verdict


class Prepared:
    """What was made of conversations that are compared again and again, by entry."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[tuple[str, uuid.UUID], Any] = OrderedDict()

    def of(self, model: Meaning, candidate: Candidate, dialogue: Sequence[Mapping[str, str]]) -> Any:
        """Prepared now, or before."""
        key = (model.embedding(), candidate.entry_id)
        with self._guard:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        made = model.prepared(dialogue, candidate.vector)
        with self._guard:
            self._known[key] = made
            while len(self._known) > MOST_PREPARED:
                self._known.popitem(last=False)
        return made

    def forget(self) -> None:
        """Prepares anew."""
        with self._guard:
            self._known.clear()


prepared = Prepared()


def nearest(asked: Asked) -> Found:
    """Looks among the live entries of the scope; none that is stale or too old for the caller.

    The best by cosine are compared, and the first whose score reaches the threshold is the hit.
    """
    model = meaning()
    embedding, vector = model.embedding(), model.vector(asked.dialogue)
    kept = vector.astype("<f4").tobytes()
    candidates = matrices.nearest(asked.scope.digest, embedding, vector, most=MOST_LOOKED_AT, floor=FLOOR)
    if not candidates:
        return Found(embedding, kept)
    threshold = _threshold(asked)
    own, seen = model.prepared(asked.dialogue, vector), []
    for near in _living(asked, embedding, candidates):
        verdict = model.compare(own, prepared.of(model, near.candidate, near.dialogue))
        seen.append(_Seen(near, verdict))
        if not verdict.blocked_by and verdict.score >= threshold.value and not threshold.is_off:
            return _found(embedding, kept, CacheWhy.HIT, seen[-1], threshold)
    return _missed(embedding, kept, seen, threshold)


def _threshold(asked: Asked) -> Threshold:
    agent_id = asked.request.context.agent_id
    assert agent_id is not None  # noqa: S101 (reading.why_not has seen to it)
    learned = threshold_of(agent_id, meaning().kind(asked.dialogue), asked.policy.error_target)
    return Threshold(max(learned.value, asked.wishes.least_score or 0.0), learned.is_off)


def _living(asked: Asked, embedding: str, candidates: Sequence[Candidate]) -> list[_Near]:
    """The best MOST_COMPARED that are still given, as their rows are now."""
    now = timezone.now()
    living: list[_Near] = []
    # The first few are nearly always enough.
    for part in (candidates[:MOST_COMPARED], candidates[MOST_COMPARED:]):
        if not part or len(living) >= MOST_COMPARED:
            break
        rows = _rows([each.entry_id for each in part])
        for candidate in part:
            if candidate.entry_id not in rows:
                matrices.drop(asked.scope.digest, embedding, candidate.entry_id)
                continue
            *columns, dialogue, of = rows[candidate.entry_id]
            stored = stored_of(columns)
            if stored.stale_at > now and asked.is_fresh_enough(stored.age(now)):
                living.append(_Near(candidate, stored, dialogue, of))
    return living[:MOST_COMPARED]


def _rows(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Any]]:
    return {row[0]: row for row in _live(len(ids)).rows(timezone.now(), *ids)}


@lru_cache(maxsize=MOST_LOOKED_AT)
def _live(count: int) -> Selection:
    ids = ", ".join(["%s"] * count)
    condition = f"{{evicted_at}} IS NULL AND {{expires_at}} > %s AND {{id}} IN ({ids})"
    return Selection(CacheEntry, (*COLUMNS, "dialogue", "asked_by_id"), condition)


def _missed(embedding: str, vector: bytes, seen: Sequence[_Seen], threshold: Threshold) -> Found:
    open_ones = [each for each in seen if not each.verdict.blocked_by]
    best = max(open_ones, key=lambda each: each.verdict.score, default=None)
    if best is not None and best.verdict.score >= threshold.value * NEAR:
        return _found(embedding, vector, CacheWhy.NEAR_MISS, best, threshold)
    if best is None and seen:
        return _found(embedding, vector, CacheWhy.BLOCKED, seen[0], threshold)
    return Found(embedding, vector)


def _found(embedding: str, vector: bytes, outcome: Outcome, seen: _Seen, threshold: Threshold) -> Found:
    verdict, near = seen.verdict, seen.near
    evidence = {
        **verdict.evidence, "of": str(near.of or ""), "score": round(verdict.score, 4),
        "threshold": round(threshold.value, 4), "blocked_by": verdict.blocked_by, "is_off": threshold.is_off,
    }  # fmt: skip
    return Found(
        embedding, vector, outcome, near.stored if outcome == CacheWhy.HIT else None, near.stored.id, verdict.score,
        verdict.similarity, threshold.value, threshold.is_off, evidence,
    )  # fmt: skip
