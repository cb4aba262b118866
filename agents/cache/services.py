"""What is said of cached answers: these are not to be given any more."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import audit
from agents.cache import epochs, observing, store, tags
from agents.cache.models import CacheEntry, CacheEpoch
from agents.definitions.models import AgentVersion
from agents.gateway.models import ModelCall

Evicted = CacheEntry.Evicted
LONGEST_EPOCH: Final = 100


def evict(*, entry_ids: Iterable[uuid.UUID], actor: audit.Actor) -> int:
    """Gives none of these answers any more, in any process a second from now on; how many were live."""
    ids = [*entry_ids]
    with transaction.atomic():
        count = store.evict(CacheEntry.objects.filter(pk__in=ids), Evicted.OPERATOR)
        _record("cache.evict", actor, {"entries": [str(each) for each in ids[:100]], "evicted": count})
    return count


def evict_tag(*, tag: str, actor: audit.Actor) -> int:
    """The same for all answers with this tag."""
    with transaction.atomic():
        count = store.evict(CacheEntry.objects.filter(tags__tag=tag), Evicted.TAG)
        _record("cache.evict", actor, {"tag": tag, "evicted": count})
    return count


def evict_agent(*, agent_id: uuid.UUID, actor: audit.Actor, version: AgentVersion | None = None) -> int:
    """The same for all answers of an agent, or for those of one of its versions."""
    rows, which = CacheEntry.objects.filter(agent_id=agent_id), {"agent": str(agent_id)}
    if version is not None:
        rows, which = rows.filter(agent_version_id=version.pk), {**which, "version": str(version.number)}
    with transaction.atomic():
        count = store.evict(rows, Evicted.OPERATOR if version is None else Evicted.VERSION)
        _record("cache.evict", actor, {**which, "evicted": count})
    return count


def evict_person(*, user_id: uuid.UUID, actor: audit.Actor) -> int:
    """The same for all answers that come from this person's requests; what is on record of them stays."""
    with transaction.atomic():
        count = store.evict(store.of_person(user_id), Evicted.PERSON)
        _record("cache.evict", actor, {"person": str(user_id), "evicted": count})
    return count


@dataclass(frozen=True, slots=True)
class Bumped:
    """The number of a piece of knowledge, and how many answers are not given any more because it has changed."""

    number: int
    evicted: int


def bump_epoch(*, name: str, actor: audit.Actor = audit.SYSTEM) -> Bumped:
    """The knowledge of this name has changed: answers that were made from it are not given any more, a second from now
    on at the latest. Raises ValueError for a name that is empty or too long.
    """
    if not 0 < len(name) <= LONGEST_EPOCH:
        raise ValueError(name)
    with transaction.atomic():
        row, is_new = CacheEpoch.objects.select_for_update().get_or_create(name=name)
        if not is_new:
            CacheEpoch.objects.filter(pk=name).update(number=F("number") + 1, changed_at=timezone.now())
            row.refresh_from_db()
        count = store.evict(CacheEntry.objects.filter(tags__tag=tags.of_knowledge(name)), Evicted.EPOCH)
        _record("cache.epoch", actor, {"knowledge": name, "number": row.number, "evicted": count})
    epochs.forget()
    return Bumped(row.number, count)


def reject(*, entry_ids: Iterable[uuid.UUID], actor: audit.Actor, task_id: uuid.UUID | None = None) -> int:
    """Somebody says that these answers are wrong: they are not given any more, and whoever learns is told. `task_id` is
    the task that they were given to. How many were live.
    """
    ids = [*entry_ids]
    with transaction.atomic():
        # One after the other, so that what is said twice is learned once.
        [*CacheEntry.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk")]
        for entry_id in ids:
            observing.tell_rejected(_rejected(entry_id, task_id))
        count = store.evict(CacheEntry.objects.filter(pk__in=ids), Evicted.REJECTED)
        _record("cache.reject", actor, {"entries": [str(each) for each in ids[:100]], "evicted": count})
    return count


def reject_of_task(*, task_id: uuid.UUID, actor: audit.Actor, parts: Sequence[uuid.UUID] = ()) -> int:
    """The same for all that the cache gave to this task, or kept of it: a thumbs-down for its answer.

    What it gave to the tasks that are `parts` of this one is not given any more either, but nothing is learned from
    them: which of them was wrong, if any was, nobody has said.
    """
    own = _entries_of([task_id])
    count = reject(entry_ids=own, actor=actor, task_id=task_id) if own else 0
    return count + _evict_parts(_entries_of(parts), actor)


def _entries_of(task_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    given = ModelCall.objects.filter(task_id__in=task_ids).values_list("cache_entry_id", flat=True)
    kept = CacheEntry.objects.filter(task_id__in=task_ids, evicted_at=None).values_list("pk", flat=True)
    return sorted({*kept, *(each for each in given if each)})


def _evict_parts(entry_ids: Sequence[uuid.UUID], actor: audit.Actor) -> int:
    with transaction.atomic():
        count = store.evict(CacheEntry.objects.filter(pk__in=entry_ids), Evicted.REJECTED)
        if count:
            _record("cache.reject", actor, {"parts": [str(each) for each in entry_ids[:100]], "evicted": count})
    return count


def _rejected(entry_id: uuid.UUID, task_id: uuid.UUID | None) -> observing.Rejected:
    calls = ModelCall.objects.filter(cache_entry_id=entry_id, task_id=task_id) if task_id else ModelCall.objects.none()
    call = calls.order_by("-started_at").first()
    if call is None:
        return observing.Rejected(entry_id, None, None, {})
    return observing.Rejected(entry_id, call.pk, call.similarity, call.cache_evidence or {})


def _record(verb: str, actor: audit.Actor, changes: dict[str, object]) -> None:
    audit.record(verb=verb, actor=actor, changes=changes)
