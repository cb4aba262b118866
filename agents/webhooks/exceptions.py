"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations


class WebhookError(Exception):
    """That cannot be done with this webhook."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InvalidEndpoint(WebhookError):
    """The address, or what the endpoint wants to hear of, is not acceptable."""


class TooManyEndpoints(WebhookError):
    """There are as many endpoints as one person may have."""


class EndpointDisabled(WebhookError):
    """The endpoint is disabled; enable it first."""


class NotReplayable(WebhookError):
    """The delivery is on its way, or about to be."""
