"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations


class MemoryFault(Exception):
    """The conversation cannot be used like that."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UnknownConversation(MemoryFault):
    """There is no such conversation of yours."""


class UnknownMessage(MemoryFault):
    """There is no such message of yours."""


class ConversationBusy(MemoryFault):
    """An answer is still being written in this conversation; wait for it, or stop it."""


class InvalidTitle(MemoryFault):
    """A title has 1 to 200 characters."""
