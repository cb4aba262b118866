"""The ids, the lines and the figures of one attempt: what its request began goes on here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from agents.tasks.data import Claim
from agents.tasks.measuring import slug_of
from telemetry import metrics

logger = structlog.get_logger(__name__)

# What an attempt ends with that has left its task in no status of its own: another has it, or its end was not written.
LOST = "lease_lost"
NOT_WRITTEN = "not_written"


@dataclass(slots=True)
class Story:
    """One attempt; `outcome` is the status in which it leaves the task."""

    agent: str
    outcome: str = NOT_WRITTEN
    started: float = field(default_factory=time.perf_counter)

    @metrics.harmless
    def lost(self) -> None:
        """The task has meanwhile gone to another attempt."""
        self.outcome = LOST
        logger.warning("lease_lost")
        metrics.LEASES_LOST.labels("worker").inc()

    @metrics.harmless
    def begin(self) -> None:
        """Its first line."""
        logger.info("attempt_started")
        metrics.ATTEMPTS_RUNNING.labels(self.agent).inc()

    @metrics.harmless
    def end(self) -> None:
        """Its last line."""
        seconds = time.perf_counter() - self.started
        logger.info("attempt_ended", outcome=self.outcome, duration_ms=round(seconds * 1000, 1))
        metrics.ATTEMPTS_RUNNING.labels(self.agent).dec()
        metrics.ATTEMPT_SECONDS.labels(self.agent, self.outcome).observe(seconds)


@contextmanager
def story_of(claim: Claim) -> Iterator[Story]:
    """Every line written inside carries the ids of the task, of its request and of its owner.

    A bell carries none: it wakes a worker for a queue, not for a task, so the ids are those of what was claimed.
    """
    story = Story(slug_of(claim.agent_version_id))
    with structlog.contextvars.bound_contextvars(
        task_id=str(claim.task_id), request_id=claim.request_id, trace_id=claim.trace_id,
        user_id=str(claim.owner_id), agent=story.agent, attempt=claim.fence,
    ):  # fmt: skip
        story.begin()
        try:
            yield story
        finally:
            story.end()
