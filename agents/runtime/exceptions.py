"""What ends a run, other than the agent's own errors. The docstring of an exception is its message."""

from __future__ import annotations

import uuid

from agents.tasks.data import Failure, NewEvent


class RuntimeRoomError(Exception):
    """The run cannot go on."""

    retryable = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class StepLimitReached(RuntimeRoomError):
    """The agent has used all the steps it may use."""


class ReviewWanted(RuntimeRoomError):
    """A person has to decide before the run can go on."""

    def __init__(self, failure: Failure, *, events: tuple[NewEvent, ...] = ()) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.events = events


class ChildFailed(RuntimeRoomError):
    """A task that this one has delegated to another agent did not succeed."""

    def __init__(self, task_id: uuid.UUID, status: str, error: str) -> None:
        super().__init__(f"The task {task_id} is {status}: {error}" if error else f"The task {task_id} is {status}.")
        self.task_id = task_id
        self.status = status
        self.error = error


class UnusableInput(RuntimeRoomError):
    """The agent cannot do anything with this input."""


class UnusableGraph(RuntimeRoomError):
    """The agent's factory did not return a LangGraph graph."""


class NoRun(RuntimeRoomError):
    """A model of an agent's graph was called outside any task."""
