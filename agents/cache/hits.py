"""How often entries are given, written in bulk beside the calls."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from agents.cache.models import CacheEntry
from foundation.batches import Batches

Given = tuple[uuid.UUID, datetime]
"""An entry's id, and when it was given."""

WRITE_SECONDS = 5.0


def count(entry_id: uuid.UUID) -> None:
    """One more. They are for people to look at: what a killed process had not written is lost."""
    given.add((entry_id, timezone.now()))


def _write(rows: list[Given]) -> None:
    counts: dict[uuid.UUID, tuple[int, datetime]] = {}
    for entry_id, at in rows:
        counts[entry_id] = (counts.get(entry_id, (0,))[0] + 1, at)
    with transaction.atomic():
        # In one order, so that two processes do not wait for each other.
        for entry_id, (times, at) in sorted(counts.items()):
            CacheEntry.objects.filter(pk=entry_id).update(hits=F("hits") + times, last_hit_at=at)


given: Batches[Given] = Batches("cache hits", _write, seconds=lambda: WRITE_SECONDS)
