"""What is true of the whole system, asked of the database when Prometheus looks: one query for each question."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Min, Q
from django.db.models.functions import Coalesce, Greatest
from django.utils.timezone import now
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from agents.schedules.models import Schedule
from agents.tasks.models import Status, Task
from agents.worker.models import WorkerProcess
from agents.worker.querysets import ALIVE
from telemetry.metrics import register_system


def queues() -> Iterator[Metric]:
    """How much waits in each queue, and how long the oldest has been due."""
    moment = now()
    due = (Q(not_before=None) | Q(not_before__lte=moment)) & Q(dependencies_left=0)
    since = Greatest("created_at", Coalesce("not_before", "created_at"))
    rows = (
        Task.objects.filter(status=Status.QUEUED)
        .order_by()
        .values("queue")
        .annotate(due=Count("pk", filter=due), later=Count("pk", filter=~due), oldest=Min(since, filter=due))
    )
    depth = GaugeMetricFamily("mutirao_queue_depth", "Tasks that wait and may run now.", labels=["queue"])
    later = GaugeMetricFamily(
        "mutirao_queue_later", "Tasks that wait for their time or for other tasks.", labels=["queue"]
    )
    age = GaugeMetricFamily(
        "mutirao_queue_oldest_age_seconds", "How long the oldest waiting task may have run.", labels=["queue"]
    )
    for row in rows:
        name = [row["queue"]]
        depth.add_metric(name, row["due"])
        later.add_metric(name, row["later"])
        age.add_metric(name, (moment - row["oldest"]).total_seconds() if row["oldest"] else 0)
    yield from (depth, later, age)


def oldest_due(moment: datetime) -> float:
    """For how many seconds the task that has waited longest might have run; zero when none waits."""
    since = Greatest("created_at", Coalesce("not_before", "created_at"))
    oldest: datetime | None = Task.objects.due(moment).aggregate(oldest=Min(since))["oldest"]
    return (moment - oldest).total_seconds() if oldest else 0.0


def schedules() -> Iterator[Metric]:
    """How long the schedule that waits longest has been due: some seconds, unless nobody can fire it."""
    oldest: datetime | None = Schedule.objects.aggregate(oldest=Min("next_run_at"))["oldest"]
    late = (now() - oldest).total_seconds() if oldest else 0.0
    gauge = GaugeMetricFamily(
        "mutirao_schedule_oldest_due_seconds", "How long the schedule that waits longest has been due."
    )
    gauge.add_metric([], max(late, 0.0))
    yield gauge


def leases() -> Iterator[Metric]:
    """How many tasks run, and how many of them under a lease that is over."""
    over = Q(lease_expires_at__lt=now())
    found = Task.objects.filter(status=Status.RUNNING).aggregate(
        held=Count("pk", filter=~over), over=Count("pk", filter=over)
    )
    gauge = GaugeMetricFamily("mutirao_leases", "Running tasks by the state of their lease.", labels=["state"])
    for state in ("held", "over"):
        gauge.add_metric([state], found[state])
    yield gauge


def workers() -> Iterator[Metric]:
    """Which workers have shown a sign of life in the last 30 seconds, and how much each can do at a time."""
    alive_since = now() - ALIVE
    up = GaugeMetricFamily("mutirao_worker_up", "1 for a worker that lives, 0 for a missing one.", labels=["worker"])
    threads = GaugeMetricFamily("mutirao_worker_threads", "Tasks a living worker runs at a time.", labels=["worker"])
    for name, polled_at, count in WorkerProcess.objects.values_list("name", "polled_at", "threads"):
        is_alive = polled_at >= alive_since
        up.add_metric([name], int(is_alive))
        if is_alive:
            threads.add_metric([name], count)
    yield from (up, threads)


def register() -> None:
    """Tells telemetry."""
    for name, collect in (("queues", queues), ("schedules", schedules), ("leases", leases), ("workers", workers)):
        register_system(name, collect)
