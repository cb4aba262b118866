"""What ends a run, other than the agent's own errors. The docstring of an exception is its message."""

from __future__ import annotations


class RuntimeRoomError(Exception):
    """The run cannot go on."""

    retryable = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class StepLimitReached(RuntimeRoomError):
    """The agent has used all the steps it may use."""


class InputRequired(RuntimeRoomError):
    """The agent asked a person for input, which tasks do not offer."""


class UnusableInput(RuntimeRoomError):
    """The agent cannot do anything with this input."""


class UnusableGraph(RuntimeRoomError):
    """The agent's factory did not return a LangGraph graph."""


class NoRun(RuntimeRoomError):
    """A model of an agent's graph was called outside any task."""
