"""What this room counts, once it is committed."""

from __future__ import annotations

from collections.abc import Iterable

from agents.schedules.models import Schedule, ScheduledRun
from telemetry import metrics


@metrics.harmless
def count(schedule: Schedule, runs: Iterable[ScheduledRun]) -> None:
    """What came of due times, and how late it came."""
    for run in runs:
        metrics.SCHEDULED_RUNS.labels(run.outcome).inc(run.times)
        if run.outcome == ScheduledRun.Outcome.FIRED:
            late = (run.created_at - run.due_at).total_seconds()
            metrics.SCHEDULE_LATENESS.labels(schedule.agent.slug).observe(max(late, 0.0))
