"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations


class CircuitError(Exception):
    """That cannot be done with this circuit breaker."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UnknownCircuit(CircuitError):
    """There is no such circuit breaker."""


class NotForced(CircuitError):
    """Nobody holds this circuit breaker open or closed."""
