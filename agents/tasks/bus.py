"""Wakes whoever waits for a task, in any process. The rows remain the truth: what is lost here is found there."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import redis
import structlog
from django.conf import settings

logger = structlog.get_logger(__name__)

# After a failure nobody is told for a moment, so that a dead Redis does not hold up every step of every run.
QUIET_SECONDS = 1.0
_quiet_until = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A numbered event as it stands in the log."""

    number: int
    kind: str
    fence: int
    at: datetime
    data: dict[str, Any]


def channel(task_id: uuid.UUID) -> str:
    """Where a task's events are announced."""
    return f"{settings.REDIS_PREFIX}:task:{task_id}"


def publish(task_id: uuid.UUID, entries: Sequence[Entry]) -> None:
    """Announces events that are committed; a failure is logged and never raised.

    The message: `{"events": [{"number", "kind", "fence", "at", "data"}]}`, times in ISO 8601.
    """
    global _quiet_until
    if not entries or time.monotonic() < _quiet_until:
        return
    events = [
        {"number": each.number, "kind": each.kind, "fence": each.fence, "at": each.at.isoformat(), "data": each.data}
        for each in entries
    ]
    try:
        _client(settings.REDIS_URL).publish(channel(task_id), json.dumps({"events": events}))
    except redis.RedisError as error:
        _quiet_until = time.monotonic() + QUIET_SECONDS
        logger.warning("waiters_not_woken", task_id=str(task_id), error=str(error))


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, health_check_interval=30)
