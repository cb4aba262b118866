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
