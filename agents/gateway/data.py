"""What crosses this room's borders."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from agents.tasks.data import NOTHING, Usage


class UsageMeter:
    """Adds up what a run spends, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = NOTHING

    def add(self, *, input_tokens: int, output_tokens: int, cost: Decimal | None) -> Usage:
        """Counts one model call in; gives the new total."""
        with self._lock:
            self._total += Usage(input_tokens, output_tokens, cost or Decimal(0))
            return self._total

    @property
    def total(self) -> Usage:
        """What has been spent so far."""
        return self._total


@dataclass(frozen=True, slots=True)
class CallContext:
    """On whose behalf models are called: what a ModelCall row says about its origin."""

    task_id: uuid.UUID | None = None
    fence: int = 0
    agent_id: uuid.UUID | None = None
    agent_version_id: uuid.UUID | None = None
    owner_id: uuid.UUID | None = None
    trace_id: str = ""
    request_id: str = ""
    # A call's timeout never reaches past this (time.monotonic() seconds).
    deadline: float | None = None
    # What the task may spend, and what its earlier attempts have spent of it.
    token_limit: int | None = None
    cost_limit: Decimal | None = None
    spent: Usage = NOTHING
    # The agent's cache policy and what the caller wants of the cache, see agents.definitions.cache_policy.
    cache_policy: Mapping[str, Any] = field(default_factory=dict)
    cache_wishes: Mapping[str, Any] = field(default_factory=dict)
    meter: UsageMeter = field(default_factory=UsageMeter)
    # Raises when the run has to stop; asked by what waits.
    check: Callable[[], None] | None = None

    @property
    def total(self) -> Usage:
        """What the task has spent so far, over all its attempts."""
        return self.spent + self.meter.total
