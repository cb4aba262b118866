"""What this room counts, once it is committed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from django.db import DatabaseError

from agents.definitions.exceptions import UnknownAgent
from agents.definitions.services import agent_version_data
from agents.tasks.data import Claim
from telemetry import metrics
from telemetry.models import Span
from telemetry.spans import SpanRecord, attempt_span_id, record, request_span_id

UNKNOWN_AGENT = "unknown"


def slug_of(version_id: uuid.UUID) -> str:
    """The agent's slug, as a label; never raises for a database that is away."""
    try:
        return agent_version_data(version_id).slug
    except (UnknownAgent, DatabaseError):
        return UNKNOWN_AGENT


@metrics.harmless
def count_submitted(slug: str) -> None:
    """A task was accepted."""
    metrics.TASKS_SUBMITTED.labels(slug).inc()


@metrics.harmless
def count_started(claim: Claim) -> None:
    """An attempt began."""
    metrics.TASKS_STARTED.labels(slug_of(claim.agent_version_id)).inc()


@metrics.harmless
def count_finished(version_id: uuid.UUID, status: str) -> None:
    """A task ended."""
    metrics.TASKS_FINISHED.labels(slug_of(version_id), status).inc()


@metrics.harmless
def tell_of_lost_attempt(claim: Claim, started_at: datetime) -> None:
    """Counts an attempt whose worker is gone, and gives it the span that its worker cannot write any more."""
    metrics.LEASES_LOST.labels("sweeper").inc()
    record(
        SpanRecord(
            trace_id=claim.trace_id,
            span_id=attempt_span_id(claim.task_id, claim.fence),
            parent_id=parent_of(claim),
            task_id=claim.task_id,
            kind=Span.Kind.TASK,
            name=slug_of(claim.agent_version_id),
            status=Span.Status.ERROR,
            started_at=started_at,
            duration_ms=(datetime.now(UTC) - started_at).total_seconds() * 1000,
            attributes={"attempt": claim.fence, "error": "WorkerLost"},
        )
    )


def parent_of(claim: Claim) -> str:
    """The span of the request that submitted the task; empty for what no request has submitted."""
    return request_span_id(claim.trace_id, claim.request_id) if claim.request_id else ""
