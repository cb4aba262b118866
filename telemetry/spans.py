"""Where the time of a request or a run went: spans, kept in memory and written in bulk.

    with trace(trace_id, task_id=task_id), span("task", "assistant") as current:
        current.set(steps=3)
    flush_spans()

Identifiers are W3C's (hexadecimal). Spans nest by context variable, so a thread that runs in a copy of the
context continues the same trace. Recording costs a few microseconds and never fails; `flush_spans` never
fails either.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from telemetry.models import Span

logger = structlog.get_logger(__name__)

# What is not flushed in time gives way to what is newer: telemetry must not eat the memory of what it
# watches.
MOST_PENDING = 10_000
NAME_LENGTH = Span._meta.get_field("name").max_length


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One ended span."""

    trace_id: str
    span_id: str
    parent_id: str
    task_id: uuid.UUID | None
    kind: str
    name: str
    status: str
    started_at: datetime
    duration_ms: float
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in which trace the running code is."""

    trace_id: str
    task_id: uuid.UUID | None
    span_id: str


_pending: deque[SpanRecord] = deque(maxlen=MOST_PENDING)
_place: ContextVar[_Place | None] = ContextVar("mutirao_span", default=None)


def new_trace_id() -> str:
    """16 random bytes in hexadecimal."""
    return secrets.token_hex(16)


def new_span_id() -> str:
    """8 random bytes in hexadecimal."""
    return secrets.token_hex(8)


def current_trace_id() -> str:
    """The running trace, or an empty string."""
    place = _place.get()
    return place.trace_id if place else ""


def current_span_id() -> str:
    """The innermost open span, or an empty string."""
    place = _place.get()
    return place.span_id if place else ""


@contextmanager
def trace(trace_id: str = "", *, task_id: uuid.UUID | None = None, parent_id: str = "") -> Iterator[str]:
    """Spans opened inside belong to this trace (a new one when no id is given). Gives the trace's id."""
    token = _place.set(_Place(trace_id or new_trace_id(), task_id, parent_id))
    try:
        yield current_trace_id()
    finally:
        _place.reset(token)


@dataclass(slots=True)
class OpenSpan:
    """A span that has begun. `end()` may be called in another thread than the one that began it."""

    place: _Place
    parent: _Place
    kind: str
    name: str
    attributes: dict[str, Any]
    started: float = field(default_factory=time.perf_counter)

    def set(self, **attributes: Any) -> None:
        """Adds attributes (JSON values)."""
        self.attributes.update(attributes)

    def end(self, *, error: BaseException | None = None) -> None:
        """Records the span; with an error it counts as failed. What was current before is current again."""
        if error is not None:
            self.attributes["error"] = type(error).__name__
        duration = time.perf_counter() - self.started
        _pending.append(
            SpanRecord(
                trace_id=self.place.trace_id,
                span_id=self.place.span_id,
                parent_id=self.parent.span_id,
                task_id=self.place.task_id,
                kind=self.kind,
                name=self.name,
                status=Span.Status.OK if error is None else Span.Status.ERROR,
                started_at=datetime.now(UTC) - timedelta(seconds=duration),
                duration_ms=duration * 1000,
                attributes=self.attributes,
            )
        )
        if _place.get() is self.place:
            _place.set(self.parent)


def open_span(kind: str, name: str, *, parent: OpenSpan | None = None, **attributes: Any) -> OpenSpan | None:
    """Begins a span for code that has no `with` (callbacks), or gives None outside any trace. End it with
    `.end()`.

    Its parent is the innermost open span of this context, unless another one is given.
    """
    outer = parent.place if parent else _place.get()
    if outer is None:
        return None
    place = _Place(outer.trace_id, outer.task_id, new_span_id())
    _place.set(place)
    return OpenSpan(place, outer, kind, name, attributes)


@contextmanager
def span(kind: str, name: str, **attributes: Any) -> Iterator[OpenSpan]:
    """One timed piece of work; a kind of `Span.Kind`. Outside any trace it begins one of its own.

    An exception passes through and marks the span as failed.
    """
    opened = open_span(kind, name, **attributes)
    if opened is None:
        with trace(), span(kind, name, **attributes) as opened:
            yield opened
        return
    try:
        yield opened
    except BaseException as error:
        opened.end(error=error)
        raise
    opened.end()


def pending_spans() -> int:
    """How many ended spans wait to be written."""
    return len(_pending)


def flush_spans() -> int:
    """Writes all ended spans of this process in one statement; how many were written. Errors are logged
    only.
    """
    records: list[SpanRecord] = []
    try:
        while True:
            records.append(_pending.popleft())
    except IndexError:
        pass
    if not records:
        return 0
    try:
        Span.objects.bulk_create([_row(record) for record in records], ignore_conflicts=True)
    except Exception:
        logger.exception("spans_not_written", spans=len(records))
        return 0
    return len(records)


def _row(record: SpanRecord) -> Span:
    return Span(
        trace_id=record.trace_id,
        span_id=record.span_id,
        parent_id=record.parent_id,
        task_id=record.task_id,
        kind=record.kind,
        name=record.name.replace("\x00", "")[:NAME_LENGTH],
        status=record.status,
        started_at=record.started_at,
        duration_ms=record.duration_ms,
        attributes=record.attributes,
    )
