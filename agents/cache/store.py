"""Entries in the database: found, kept, evicted."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from agents.cache import hot
from agents.cache.hot import Stored
from agents.cache.models import CacheEntry, EntryTag
from foundation.pruning import delete_in_batches
from foundation.statements import Selection

BATCH: Final = 500
LONGEST_QUESTION: Final = 4_000
LARGEST_ANSWER: Final = 512 * 1024

# What `stored_of` takes.
COLUMNS: Final = (
    "id", "agent_id", "answer", "is_exact_only", "input_tokens", "output_tokens", "cost", "latency_ms", "answered_at",
    "stale_at", "expires_at",
)  # fmt: skip

_LIVE: Final = Selection(CacheEntry, COLUMNS, "{exact} = %s AND {evicted_at} IS NULL AND {expires_at} > %s")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """An answer to be kept. `vector` is float32, little-endian; `answer` is `{"message", "pieces"}`."""

    scope: str
    exact: str
    agent_id: uuid.UUID
    agent_version_id: uuid.UUID
    owner_id: uuid.UUID | None
    asked_by_id: uuid.UUID | None
    task_id: uuid.UUID | None
    target: str
    epoch: str
    question: str
    dialogue: Sequence[dict[str, str]]
    answer: dict[str, Any]
    is_exact_only: bool
    embedding: str = ""
    vector: bytes | None = None
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    latency_ms: float
    ttl: int
    stale: int
    tags: Sequence[str] = field(default=())


def find(exact: str, number: int | None) -> Stored | None:
    """The live answer to this very request that has not expired. It is hot from now on, under the `number` of a look
    that found none there.
    """
    # There is one at most (cache_one_live_answer).
    rows = _LIVE.rows(exact, timezone.now())
    if not rows:
        return None
    stored = stored_of(rows[0])
    hot.put(exact, stored, number, replaces=False)
    return stored


def stored_of(row: Sequence[Any]) -> Stored:
    """Of the values of COLUMNS."""
    name, agent, answer, *others = row
    return Stored(name, agent, answer["pieces"], *others)


def keep(new: NewEntry) -> CacheEntry | None:
    """Puts the answer in the place of the one there was; None when another process was quicker."""
    number, now = hot.number_of(new.agent_id), timezone.now()
    row = _row(new, now)
    try:
        with transaction.atomic():
            _make_way(new.exact, now)
            row.save(force_insert=True)
            EntryTag.objects.bulk_create(EntryTag(entry=row, tag=tag) for tag in dict.fromkeys(new.tags))
    except IntegrityError:
        return None
    stored = stored_of([getattr(row, name) for name in COLUMNS])
    transaction.on_commit(lambda: hot.put(new.exact, stored, number, replaces=True))
    return row


def _make_way(exact: str, now: datetime) -> None:
    live = CacheEntry.objects.filter(exact=exact, evicted_at=None)
    live.filter(expires_at__lte=now).update(evicted_at=now, evicted_because=CacheEntry.Evicted.EXPIRED)
    live.update(evicted_at=now, evicted_because=CacheEntry.Evicted.REPLACED)


def _row(new: NewEntry, now: datetime) -> CacheEntry:
    stale_at = now + timedelta(seconds=new.ttl)
    given = ("scope", "exact", "agent_id", "agent_version_id", "owner_id", "asked_by_id", "task_id", "target", "epoch")
    made = ("answer", "is_exact_only", "embedding", "vector", "input_tokens", "output_tokens", "cost", "latency_ms")
    return CacheEntry(
        **{name: getattr(new, name) for name in (*given, *made)},
        question=new.question.replace("\x00", "")[:LONGEST_QUESTION],
        dialogue=[*new.dialogue],
        created_at=now,
        answered_at=now,
        stale_at=stale_at,
        expires_at=stale_at + timedelta(seconds=new.stale),
    )


def evict(rows: QuerySet[CacheEntry], because: CacheEntry.Evicted) -> int:
    """Gives none of these entries any more; how many of them were live. A batch in a transaction."""
    live, count = rows.filter(evicted_at=None).order_by(), 0
    agents: set[uuid.UUID] = set()
    while batch := [*live.values_list("pk", "agent_id")[:BATCH]]:
        ids = [pk for pk, _agent in batch]
        gone = {"evicted_at": timezone.now(), "evicted_because": because}
        count += CacheEntry.objects.filter(pk__in=ids, evicted_at=None).update(**gone)
        agents |= {agent for _pk, agent in batch}
    if agents:
        transaction.on_commit(lambda: hot.evicted(agents))
    return count


def of_person(user_id: uuid.UUID) -> QuerySet[CacheEntry]:
    """What this person asked for or owns, also what others share."""
    return CacheEntry.objects.filter(Q(owner_id=user_id) | Q(asked_by_id=user_id))


def erase_person(user_id: uuid.UUID) -> int:
    """Deletes all of that, and lets none of it be given again; how many entries."""
    rows = of_person(user_id)
    evict(rows, CacheEntry.Evicted.PERSON)
    return sum(delete_in_batches(rows.order_by("pk")))
