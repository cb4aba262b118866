"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations


class ToolError(Exception):
    """The tool cannot be used."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UnknownTool(ToolError):
    """No such tool is installed."""


class InvalidTool(ToolError):
    """The function cannot be a tool."""


class NoToolCall(ToolError):
    """This is not called by a tool with effects that an agent uses in a task."""


class AlreadyDecided(ToolError):
    """Somebody has decided this already, or it matters no more."""


class InvalidArguments(ToolError):
    """These arguments do not fit the tool."""


class UnknownToolCall(ToolError):
    """There is no such tool call."""
