"""What crosses this room's borders: plain, frozen data."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agents.tasks.hooks import Ties

if TYPE_CHECKING:
    from agents.tasks.models import Task


@dataclass(frozen=True, slots=True)
class Limits:
    """What one task may spend over all its attempts; `seconds` is the time of one attempt."""

    seconds: int
    steps: int
    tokens: int | None = None
    cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What has been spent: tokens, and money in the currency of the price list."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens, self.cost + other.cost
        )


NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An entry for a task's log before it has its number. `kind` is a TaskEvent.Kind, `data` a JSON object."""

    kind: str
    data: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, in words that may be shown; `retry_after` is in seconds."""

    error_type: str
    message: str
    traceback: str = ""
    retryable: bool = True
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one task now, until the lease ends. `fence` proves it in every write."""

    task_id: uuid.UUID
    fence: int
    attempt_id: int
    agent_version_id: uuid.UUID
    owner_id: uuid.UUID
    queue: str
    input: Any
    serial_key: str | None
    limits: Limits
    run_deadline_at: datetime
    failures: int
    max_attempts: int
    trace_id: str
    request_id: str
    # By earlier attempts.
    spent: Usage = NOTHING
    webhook_url: str = ""
    # What a person, or the children it waited for, let it go on with (JSON).
    resume_with: Any = None
    # Under concurrency limits, to be given back.
    holds_slots: bool = False
    # Something is reserved for it under a quota, to be settled when it ends.
    is_metered: bool = False
    # In a process of its own, as the one before has died under it.
    is_alone: bool = False
    # What its caller wants of the answer cache, see agents.definitions.cache_policy.Wishes.
    cache: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ties(self) -> Ties:
        """What of this task may matter to others when it ends."""
        return Ties(self.serial_key, self.webhook_url, self.owner_id, self.is_metered)


@dataclass(frozen=True, slots=True)
class Submitted:
    """A task and whether this call made it (False: the idempotency key was known)."""

    task: Task
    created: bool


@dataclass(frozen=True, slots=True)
class Swept:
    """What one round of the sweeper healed, in numbers of tasks."""

    crashed: int = 0
    overdue: int = 0
    cancelled: int = 0
    late: int = 0
    expired: int = 0
    slots_freed: int = 0
    reservations_freed: int = 0
    told: int = 0
    queues_told: tuple[str, ...] = field(default=())
