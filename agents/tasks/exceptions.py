"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class TaskError(Exception):
    """The task cannot do that."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class LeaseLost(TaskError):
    """The task is no longer running under this attempt's fence."""


class IdempotencyConflict(TaskError):
    """This Idempotency-Key was used for a different request."""


class IllegalTransition(TaskError):
    """The task is not in a state that allows this."""


class SerialKeyBusy(TaskError):
    """Another task of this serial key has not ended."""


class QueueFull(TaskError):
    """The queue has as many waiting tasks as it may have; try again later."""

    retry_after = 10


class NoQuotaLeft(TaskError):
    """A quota has too little left for this task. In `retry_after` seconds there may be more."""

    def __init__(
        self, message: str | None = None, *, retry_after: int = 60, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.extra = dict(extra or {})


class InvalidInput(TaskError):
    """The input, or a limit of the task, is not acceptable."""
