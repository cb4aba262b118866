"""How a run is told to stop."""

from __future__ import annotations

from typing import Literal

from agents.tasks.data import NOTHING, Usage

Reason = Literal["", "cancelled", "lease_lost", "deadline", "stopping", "failed"]
"""The last one is the run's own: its events cannot be written, and it ends with that error."""


class RunInterrupted(BaseException):
    """The run was told to stop.

    Not an `Exception`, for the same reason as asyncio's CancelledError: an agent's own `except Exception`, a
    tool's error handling or a retry may not swallow it.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class RunControl:
    """Shared by the run and by whoever may stop it, from any thread. The first reason stays."""

    __slots__ = ("_reason", "usage")

    def __init__(self) -> None:
        self._reason: Reason = ""
        # What the run has spent so far; also right after it has failed or was interrupted.
        self.usage: Usage = NOTHING

    @property
    def reason(self) -> Reason:
        """Why the run has to stop; empty while it may go on."""
        return self._reason

    def cancel(self, reason: Reason) -> None:
        """Tells the run to stop; it does at its next step or message piece."""
        if not self._reason:
            self._reason = reason

    def check(self) -> None:
        """Raises RunInterrupted when the run has to stop."""
        if self._reason:
            raise RunInterrupted(self._reason)
