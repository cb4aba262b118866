"""What an operator looks at first: queues, what runs, what is stuck, what has failed for good, how much gets done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents.tasks.models import Attempt, Queue, Status, Task
from agents.worker.models import WorkerProcess
from foundation.intervals import counts_between

MOST_ROWS = 20
# More dead letters than this are "more than".
MOST_COUNTED = 10_000
DEAD_LETTERS_SINCE = timedelta(days=7)
MINUTES = 15
# Leases are renewed every second.
SILENT = timedelta(seconds=10)
# A run that was asked to stop does so at its next step.
STUBBORN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue. `waiting` may run now, `later` waits for its time or for other tasks; ages in seconds."""

    name: str
    waiting: int = 0
    later: int = 0
    oldest_seconds: float = 0.0
    running: int = 0
    workers: int = 0
    is_paused: bool = False
    most_waiting: int | None = None

    @property
    def is_unserved(self) -> bool:
        """Work waits and no living worker takes it."""
        return self.waiting > 0 and self.workers == 0


@dataclass(frozen=True, slots=True)
class Running:
    """A task that runs; `heartbeat_seconds` is the age of its last sign of life, as its lease tells it."""

    task: Task
    worker: str
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class Stuck:
    """A task that does not get on, and why not."""

    task: Task
    reason: Any


@dataclass(frozen=True, slots=True)
class Minute:
    """What was accepted in one minute, and how much of that has ended and failed."""

    at: datetime
    accepted: int
    ended: int
    failed: int


@dataclass(frozen=True, slots=True)
class Operations:
    """All of it, at one moment."""

    queues: list[QueueState]
    running: list[Running]
    stuck: list[Stuck]
    reviews: list[Task]
    dead_letters: list[Task]
    dead_letter_count: int
    minutes: list[Minute]


def operations() -> Operations:
    """The state of things, in about ten queries whatever there is."""
    now = timezone.now()
    states = queue_states(now)
    dead = dead_letters(now)
    return Operations(
        queues=states,
        running=running(now),
        stuck=stuck(now, [state.name for state in states if state.is_unserved]),
        reviews=[*_rows(Task.objects.filter(status=Status.NEEDS_REVIEW)).order_by("-created_at", "-id")[:MOST_ROWS]],
        dead_letters=[*_rows(dead).order_by("-created_at", "-id")[:MOST_ROWS]],
        dead_letter_count=dead.order_by()[:MOST_COUNTED].count(),
        minutes=minutes(now),
    )


def queue_states(now: datetime) -> list[QueueState]:
    """Every queue that has work, a worker, or a row of its own, by name."""
    due = Q(not_before=None) | Q(not_before__lte=now)
    due &= Q(dependencies_left=0)
    since = Greatest("created_at", Coalesce("not_before", "created_at"))
    queued = Task.objects.filter(status=Status.QUEUED).order_by().values("queue")
    waiting: dict[str, Any] = {
        row["queue"]: row
        for row in queued.annotate(
            due=Count("pk", filter=due), later=Count("pk", filter=~due), oldest=Min(since, filter=due)
        )
    }
    busy = dict(Task.objects.filter(status=Status.RUNNING).order_by().values_list("queue").annotate(count=Count("pk")))
    rows = {row.name: row for row in Queue.objects.all()}
    served = [name for queues in WorkerProcess.objects.alive().values_list("queues", flat=True) for name in queues]
    names = sorted({*waiting, *busy, *rows, *served, *settings.WORKER_QUEUES})
    return [_state(name, waiting.get(name, {}), busy, rows.get(name), served.count(name), now) for name in names]


def _state(
    name: str, waiting: dict[str, Any], busy: dict[str, int], row: Queue | None, workers: int, now: datetime
) -> QueueState:
    oldest = waiting.get("oldest")
    return QueueState(
        name=name,
        waiting=waiting.get("due", 0),
        later=waiting.get("later", 0),
        oldest_seconds=round((now - oldest).total_seconds(), 1) if oldest else 0.0,
        running=busy.get(name, 0),
        workers=workers,
        is_paused=row is not None and row.is_paused,
        most_waiting=row.most_waiting if row is not None else None,
    )


def running(now: datetime) -> list[Running]:
    """What runs, the longest silent first."""
    worker = Attempt.objects.filter(task=OuterRef("pk"), fence=OuterRef("fence")).values("worker")[:1]
    tasks = _rows(Task.objects.filter(status=Status.RUNNING)).annotate(worker=Subquery(worker))
    lease = timedelta(seconds=settings.LEASE_SECONDS)
    return [
        Running(task, task.worker or "", max(0.0, round((now - task.lease_expires_at + lease).total_seconds(), 1)))
        for task in tasks.order_by("lease_expires_at")[:MOST_ROWS]
        if task.lease_expires_at is not None
    ]


def stuck(now: datetime, unserved: list[str]) -> list[Stuck]:
    """Tasks that do not get on by themselves, at most MOST_ROWS for each reason."""
    tasks = Task.objects.order_by("created_at", "id")
    paused = Queue.objects.filter(is_paused=True).values("name")
    reasons: list[tuple[Any, QuerySet[Task]]] = [
        (_("its worker is silent"), tasks.filter(status=Status.RUNNING, lease_expires_at__lt=now - SILENT)),
        (
            _("it was asked to stop and does not"),
            tasks.filter(status=Status.RUNNING, cancel_requested_at__lt=now - STUBBORN),
        ),
        (_("no living worker serves its queue"), tasks.due(now).filter(queue__in=unserved)),
        (_("its queue is paused"), tasks.due(now).filter(queue__in=paused)),
        (_("what it waits for is overdue"), tasks.filter(status=Status.WAITING, waits_until__lt=now - STUBBORN)),
    ]
    found = [Stuck(task, reason) for reason, rows in reasons for task in _rows(rows)[:MOST_ROWS]]
    return list({each.task.pk: each for each in reversed(found)}.values())[::-1]


def dead_letters(now: datetime) -> QuerySet[Task]:
    """Tasks that have failed for good in the last days and that nobody has tried again."""
    again = Task.objects.filter(retry_of=OuterRef("pk"))
    failed = Task.objects.filter(status=Status.FAILED, created_at__gte=now - DEAD_LETTERS_SINCE)
    return failed.filter(~Exists(again))


def minutes(now: datetime) -> list[Minute]:
    """The last MINUTES minutes, the oldest first."""
    this_minute = now.replace(second=0, microsecond=0)
    edges = [this_minute - timedelta(minutes=MINUTES - 1 - number) for number in range(MINUTES + 1)]
    tasks = Task.objects.all()
    ended, failed = tasks.filter(finished_at__isnull=False), tasks.filter(status=Status.FAILED)
    counts = counts_between("created_at", edges, tasks, ended, failed)
    return [Minute(*of_minute) for of_minute in zip(edges, *counts, strict=False)]


def _rows(tasks: QuerySet[Task]) -> QuerySet[Task]:
    return tasks.select_related("agent_version__agent", "owner").defer("input", "result", "metadata")
