"""How long one try of a model may take: an end that is shared by the whole call, and shorter waits inside it.

Whatever waits for bytes asks the guard of its thread how long. What counts as progress is what the model says, not what
the connection carries: comments (`: ping`) and empty pieces keep nothing alive.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from agents.gateway.exceptions import FirstTokenLate, ModelTimeout, StreamStalled

# How soon a wait notices that nobody waits for it any more.
SLICE_SECONDS: Final = 0.1
# What a stream may still take to end after its last event, so that its connection can be used again.
ENDING_SECONDS: Final = 0.05

_local = threading.local()


class Overdue(Exception):
    """The guard's time is over."""


class Abandoned(BaseException):
    """Nobody waits for the answer any more."""


class Leaving:
    """Whether somebody still waits: told from any thread."""

    def __init__(self, check: Callable[[], None] | None = None) -> None:
        self._check = check
        self._has_left = False

    def leave(self) -> None:
        """Nobody waits any more."""
        self._has_left = True

    def look(self) -> None:
        """Raises Abandoned, or what stops the run."""
        if self._has_left:
            raise Abandoned
        if self._check is not None:
            self._check()


class Guard:
    """Of one try. Moments are `time.monotonic()` seconds: `ends` of the call, `until` of this try; waits are seconds,
    None for an answer that comes as a whole.
    """

    __slots__ = ("_first_token", "_is_begun", "_leaving", "_stall", "_until", "ends", "has_answered", "until")

    def __init__(
        self, *, ends: float, leaving: Leaving, until: float | None = None, first_token: float | None = None,
        stall: float | None = None,
    ) -> None:  # fmt: skip
        self.ends = ends
        self.until = ends if until is None else min(ends, until)
        self._first_token, self._stall, self._leaving = first_token, stall, leaving
        self._is_begun = False
        # Whether the provider has begun to answer, however badly.
        self.has_answered = False
        self._until = self.until

    def asked(self) -> None:
        """The provider is asked now."""
        if self._first_token is not None:
            self._until = min(self.until, time.monotonic() + self._first_token)

    def left(self) -> float:
        """Seconds to wait for bytes. Raises Overdue, Abandoned, or what stops the run."""
        self._leaving.look()
        left = self._until - time.monotonic()
        if left <= 0:
            raise Overdue
        return left

    def progress(self) -> None:
        """The model has said something."""
        self._is_begun = True
        self._until = self.until if self._stall is None else min(self.until, time.monotonic() + self._stall)

    def resumed(self, after: float) -> None:
        """The reader was away for so many seconds, which are not the provider's."""
        self._until = min(self.until, self._until + after)

    def ending(self) -> None:
        """All has been said."""
        self._until = min(self._until, time.monotonic() + ENDING_SECONDS)

    @property
    def is_over(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() >= self._until

    def error(self) -> ModelTimeout:
        """Why it is over."""
        if time.monotonic() >= self.until or self._stall is None:
            return ModelTimeout()
        return StreamStalled() if self._is_begun else FirstTokenLate()


def current() -> Guard | None:
    """The guard of what this thread does now."""
    return getattr(_local, "guard", None)


def watch(guard: Guard | None) -> Guard | None:
    """From now on this is the guard of what this thread does; gives the one before."""
    before = current()
    _local.guard = guard
    return before
