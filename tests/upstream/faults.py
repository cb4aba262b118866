"""Ways in which a provider goes wrong."""

from __future__ import annotations

from tests.upstream.script import Fault


def rate_limited(retry_after: float | None = None, *, as_date: bool = False) -> Fault:
    """429: too many requests, with Retry-After in seconds or as a date."""
    return Fault("status", status=429, code="rate_limit_exceeded", retry_after=retry_after, as_date=as_date)


def out_of_quota() -> Fault:
    """429: nothing is left to pay with."""
    return Fault("status", status=429, code="insufficient_quota")


def failing(status: int = 500, *, retry_after: float | None = None) -> Fault:
    """500, 502, 503, 529."""
    return Fault("status", status=status, retry_after=retry_after)


def unauthorized() -> Fault:
    """401: the key is wrong."""
    return Fault("status", status=401, code="invalid_api_key")


def too_long() -> Fault:
    """400: the messages are longer than the model's context."""
    return Fault("status", status=400, code="context_length_exceeded")


def refused_by_policy() -> Fault:
    """400: the prompt was filtered."""
    return Fault("status", status=400, code="content_filter")


def unknown_model() -> Fault:
    """404: there is no such model."""
    return Fault("status", status=404, code="model_not_found")


def filtered(*, after: int = 1) -> Fault:
    """The answer ends with the finish reason `content_filter`."""
    return Fault("filtered", after=after)


def proxy_page(status: int = 502) -> Fault:
    """What a proxy in between says, in HTML."""
    return Fault("page", status=status)


def dropped() -> Fault:
    """The connection is reset before there is an answer."""
    return Fault("drop")


def cut(*, after: int = 1, reset: bool = True) -> Fault:
    """The answer breaks off: by a TCP reset, or as if it were over, without `[DONE]`."""
    return Fault("cut", after=after, reset=reset)


def stalled(*, after: int = 1, pings: bool = False, seconds: float = 0) -> Fault:
    """Silence until the client leaves, or until the connection ends after so many seconds; comments go on, or not."""
    return Fault("stall", after=after, pings=pings, seconds=seconds)


def malformed(*, after: int = 1) -> Fault:
    """A piece that is no JSON."""
    return Fault("malformed", after=after)


def error_inside(*, after: int = 1) -> Fault:
    """An error object where a piece should be."""
    return Fault("error_inside", after=after)


def slow(seconds: float) -> Fault:
    """The first token comes so many seconds later."""
    return Fault("slow", seconds=seconds)


def wrong_json() -> Fault:
    """JSON that is no answer."""
    return Fault("wrong_json")


def truncated() -> Fault:
    """Half of the body that was announced."""
    return Fault("truncated")


def no_choices() -> Fault:
    """An answer with nothing in it."""
    return Fault("no_choices")
