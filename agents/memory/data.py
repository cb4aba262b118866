"""What crosses this room's borders: plain, frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from agents.definitions.policy import IfBusy
    from agents.memory.models import Message
    from agents.tasks.models import Priority, Task


Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Posted:
    """A message, the task that answers it, and whether this call made them (False: the idempotency key was
    known).
    """

    message: Message
    task: Task
    created: bool


class TaskOptions(TypedDict, total=False):
    """What else may be said of a message's task; see agents.tasks.services.submit."""

    priority: Priority | str
    not_before: datetime | None
    max_attempts: int | None
    limits: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    trace_id: str
    queue: str
    queue_seconds: int | None
    if_busy: IfBusy | None
    webhook_url: str
    cache: Mapping[str, Any]
