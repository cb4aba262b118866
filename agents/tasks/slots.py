"""Concurrency limits: a task runs only while it has a slot of every limit that applies to it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from accounts import audit
from agents.tasks import storage
from agents.tasks.models import ConcurrencyLimit, Slot, Status, Task
from agents.tasks.storage import Excluded, Wanted
from foundation.remembered import Remembered

# Slots that were free when we looked can be taken by others; after so many disappointments somebody else is at it.
TRIES = 5
SUBJECTS = ("agent", "owner", "api_key")


class _NoSlotError(Exception):
    def __init__(self, limit: ConcurrencyLimit) -> None:
        self.limit = limit


exist = Remembered(lambda: ConcurrencyLimit.objects.exists())


def claim(*, wanted: Wanted, worker: str, celery_id: str) -> dict[str, Any] | None:
    """Claims as `storage.claim` does, and takes the slots that the task needs: `holds_slots` says whether any.

    While there is no limit at all it is that one statement, which sees to it itself that there is none.
    """
    claimed: dict[str, Any] = {"worker": worker, "celery_id": celery_id, "lease_seconds": settings.LEASE_SECONDS}
    if not exist():
        return storage.claim(wanted=wanted, **claimed)
    limits = [*ConcurrencyLimit.objects.all()]
    wanted = replace(wanted, excluded=_without_free_slots())
    for _try in range(TRIES):
        try:
            with transaction.atomic():
                found = storage.claim(wanted=wanted, **claimed)
                return None if found is None else found | {"holds_slots": _take(found, limits)}
        except _NoSlotError as refused:
            assert wanted.excluded is not None  # noqa: S101 (set above)
            wanted = replace(wanted, excluded=_and(wanted.excluded, refused.limit))
    return None


def free_what_nobody_holds() -> int:
    """Slots whose task does not run any more: what a process that died at the wrong moment left taken."""
    running = Task.objects.filter(pk=OuterRef("task"), status=Status.RUNNING)
    return Slot.objects.filter(~Exists(running), task__isnull=False).update(task=None)


def set_limit(*, most_running: int, actor: audit.Actor, **subject: Any) -> ConcurrencyLimit:
    """Limits how many tasks of this `agent`, `owner` or `api_key` run at the same time. What runs goes on."""
    with transaction.atomic():
        before: Mapping[str, Any] = ConcurrencyLimit.objects.filter(**subject).values("most_running").first() or {}
        limit, _made = ConcurrencyLimit.objects.select_for_update().update_or_create(
            **subject, defaults={"most_running": most_running}
        )
        fit_slots(limit)
        changes = audit.difference(before, {"most_running": most_running})
        audit.record(verb="limit.set", actor=actor, subject=limit, changes=changes)
        transaction.on_commit(exist.forget)
    return limit


def remove_limit(*, limit: ConcurrencyLimit, actor: audit.Actor) -> None:
    """The subject may again run as many as there are workers for."""
    with transaction.atomic():
        changes = audit.difference({"most_running": limit.most_running}, {})
        audit.record(verb="limit.remove", actor=actor, subject=limit, changes=changes)
        limit.delete()
        transaction.on_commit(exist.forget)


def fit_slots(limit: ConcurrencyLimit) -> None:
    """Makes the limit have exactly as many slots as it allows tasks; a taken one that is too many is let go."""
    numbers = set(Slot.objects.filter(limit=limit).values_list("number", flat=True))
    wanted = range(1, limit.most_running + 1)
    Slot.objects.bulk_create(Slot(limit=limit, number=number) for number in wanted if number not in numbers)
    Slot.objects.filter(limit=limit, number__gt=limit.most_running).delete()


def _without_free_slots() -> Excluded:
    free = Slot.objects.filter(limit=OuterRef("pk"), task=None)
    full = Excluded()
    for limit in ConcurrencyLimit.objects.filter(~Exists(free)):
        full = _and(full, limit)
    return full


def _and(excluded: Excluded, limit: ConcurrencyLimit) -> Excluded:
    if limit.agent_id:
        return replace(excluded, agents=(*excluded.agents, limit.agent_id))
    if limit.owner_id:
        return replace(excluded, owners=(*excluded.owners, limit.owner_id))
    assert limit.api_key_id is not None  # noqa: S101 (a constraint says so)
    return replace(excluded, api_keys=(*excluded.api_keys, limit.api_key_id))


def _take(found: Mapping[str, Any], limits: list[ConcurrencyLimit]) -> bool:
    """Takes a slot of each limit that applies. Raises _NoSlotError for one that has none left."""
    applying = [limit for limit in limits if any(_same(found[f"{s}_id"], getattr(limit, f"{s}_id")) for s in SUBJECTS)]
    for limit in applying:
        free = Slot.objects.filter(limit=limit, task=None).order_by("number")
        if connection.features.has_select_for_update_skip_locked:
            free = free.select_for_update(skip_locked=True)
        slot = free.first()
        if slot is None or not Slot.objects.filter(pk=slot.pk, task=None).update(task=_uuid(found["id"])):
            raise _NoSlotError(limit)
    return bool(applying)


def _same(found: Any, wanted: uuid.UUID | None) -> bool:
    return found is not None and wanted is not None and _uuid(found) == wanted


def _uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
