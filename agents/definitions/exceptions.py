"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations

from collections.abc import Mapping


class AgentError(Exception):
    """The agent cannot be used like that."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UnknownAgent(AgentError):
    """There is no such agent, or you may not use it."""


class UnknownGraphKind(AgentError):
    """No such kind of graph is installed."""


class SlugTaken(AgentError):
    """Another agent has this slug."""


class VersionIsImmutable(AgentError):
    """A version of an agent never changes; publish a new one."""


class InvalidAgent(AgentError):
    """The agent's configuration is not valid.

    `errors` maps the names of fields to sentences, in the shape of a form's or a serializer's errors.
    """

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        self.errors = dict(errors)
        super().__init__(" ".join(f"{field}: {' '.join(found)}" for field, found in self.errors.items()))
