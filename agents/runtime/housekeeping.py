"""Deletes the checkpoints of tasks that have ended.

Not when a task ends: two more statements would cost the hot path a tenth of its time, and a worker that dies
in between would leave the rows behind anyway. The sweeper does it, for many tasks with each statement.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable

from django.db import transaction

from agents.runtime.models import Checkpoint, CheckpointWrite
from agents.tasks.models import TERMINAL, Task

THREADS_AT_ONCE = 500


def forget_finished(*, most: int = 10_000) -> int:
    """Deletes what the runs of ended (or deleted) tasks have left; of how many tasks. Safe in any number of
    processes.

    Looks at the threads of up to `most` tasks that have checkpoints; those that are left are the few
    that run or wait to, so it stays cheap.
    """
    threads = Checkpoint.objects.order_by().values_list("thread_id", flat=True).distinct()[:most]
    found = [thread for thread in threads if _task_id(thread) is not None]
    return sum(_forget_ended(found[start : start + THREADS_AT_ONCE]) for start in range(0, len(found), THREADS_AT_ONCE))


def forget(*, task_ids: Collection[uuid.UUID]) -> None:
    """Deletes all checkpoints of these tasks: a later attempt would begin from the input."""
    threads = [str(task_id) for task_id in task_ids]
    with transaction.atomic():
        CheckpointWrite.objects.filter(thread_id__in=threads).delete()
        Checkpoint.objects.filter(thread_id__in=threads).delete()


def _forget_ended(threads: Iterable[str]) -> int:
    task_ids = {uuid.UUID(thread) for thread in threads}
    alive = Task.objects.filter(pk__in=task_ids).exclude(status__in=TERMINAL)
    ended = task_ids - set(alive.values_list("pk", flat=True))
    if ended:
        forget(task_ids=ended)
    return len(ended)


def _task_id(thread: str) -> uuid.UUID | None:
    """The task whose thread this is; threads of other makers are not this module's."""
    try:
        return uuid.UUID(thread)
    except ValueError:
        return None
