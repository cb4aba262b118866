"""Tells workers that a queue has work. A courtesy: a bell that is not heard is rung again by the sweeper."""

from __future__ import annotations

import time

import structlog
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from telemetry import metrics

logger = structlog.get_logger(__name__)

JOB = "agents.worker.run_next"
# After a failure no caller tries for a while: the first one has waited for the timeout, the others need not.
QUIET_SECONDS = 5.0
_quiet_until = 0.0


def broker_queue(queue: str) -> str:
    """The queue's name at the broker, where several installations may be neighbours."""
    return f"{settings.QUEUE_PREFIX}{queue}"


def tell(queue: str) -> bool:
    """Rings once; whether that worked. Never raises for a broker that is away."""
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return False
    try:
        _send(queue)
    except (OperationalError, OSError) as error:
        _quiet_until = time.monotonic() + QUIET_SECONDS
        logger.warning("workers_not_told", queue=queue, error=str(error))
        _count("failed")
        return False
    _count("rung")
    return True


@metrics.harmless
def _count(outcome: str) -> None:
    metrics.BELLS.labels(outcome).inc()


def _send(queue: str) -> None:
    """Once more on a fresh connection when the kept one has died meanwhile."""
    current_app.send_task(
        JOB, kwargs={"queue": queue}, queue=broker_queue(queue), retry=True,
        retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0},
    )  # fmt: skip
