"""The beginning of every story: a request gets its trace, its span, one log line and its place in the metrics.

Written for both kinds of stack, so that an API call visits no thread for it; django-structlog's and django-prometheus'
middleware each visit one twice a request (docs/adr/0010-telemetry.md).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from telemetry import metrics, traceparent
from telemetry.context import current_request, user_id_of
from telemetry.models import Span
from telemetry.spans import OpenSpan, new_trace_id, open_span, request_span_id, trace

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

logger = structlog.get_logger(__name__)

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
PROBES = frozenset({"healthz", "readyz", "metrics"})
# What nginx calls it: the client left before there was an answer.
CLIENT_LEFT = 499
UNKNOWN_ROUTE = "unknown"


@dataclass(slots=True)
class Story:
    """One request while it is answered."""

    request: HttpRequest
    span: OpenSpan
    is_sampled: bool
    status: int = CLIENT_LEFT
    started: float = field(default_factory=time.perf_counter)

    @property
    def method(self) -> str:
        """One of a few, whatever the client has sent: metrics may not grow with what strangers make up."""
        return self.request.method if self.request.method in METHODS else "OTHER"

    @property
    def route(self) -> str:
        """The pattern of the address, not the address: it holds no ids and no secrets."""
        match = self.request.resolver_match
        return match.route if match is not None else UNKNOWN_ROUTE

    @property
    def is_told(self) -> bool:
        """Whether its span is kept: of what changed something, broke, or belongs to a caller's recorded trace.

        Not of what was refused, or strangers could fill the database.
        """
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return True
        if self.status >= HTTPStatus.BAD_REQUEST:
            return False
        return self.method not in READING or (self.is_sampled and bool(user_id_of(self.request)))

    @metrics.harmless
    def end(self) -> None:
        """Counts it, writes its line, ends its span."""
        seconds, method, route = time.perf_counter() - self.started, self.method, self.route
        metrics.REQUESTS.labels(method, route, self.status).inc()
        metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)
        if route in PROBES:
            return
        milliseconds = round(seconds * 1000, 1)
        logger.info("request_answered", method=method, route=route, status=self.status, duration_ms=milliseconds)
        if self.is_told:
            self.span.name = f"{method} /{route}"
            self.span.set(status=self.status, request_id=getattr(self.request, "request_id", ""))
            self.span.end(failed=self.status >= HTTPStatus.INTERNAL_SERVER_ERROR)


class StoryMiddleware:
    """Right inside RequestIdMiddleware, whose `request.request_id` it builds on."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self.__acall__(request)
        with _told(request) as story:
            response: HttpResponseBase = self.get_response(request)  # type: ignore[assignment]
            story.status = response.status_code
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        with _told(request) as story:
            response: HttpResponseBase = await self.get_response(request)  # type: ignore[misc]
            story.status = response.status_code
        return response


@contextmanager
def _told(request: HttpRequest) -> Iterator[Story]:
    caller = traceparent.parse(request.headers.get("traceparent", ""))
    trace_id = caller.trace_id if caller else new_trace_id()
    structlog.contextvars.bind_contextvars(trace_id=trace_id)
    token = current_request.set(request)
    try:
        with trace(trace_id, parent_id=caller.span_id if caller else ""):
            span_id = request_span_id(trace_id, getattr(request, "request_id", ""))
            opened = open_span(Span.Kind.REQUEST, UNKNOWN_ROUTE, span_id=span_id)
            assert opened is not None  # noqa: S101 (a trace has just begun)
            story = Story(request, opened, caller is not None and caller.is_sampled)
            try:
                yield story
            finally:
                story.end()
    finally:
        current_request.reset(token)
