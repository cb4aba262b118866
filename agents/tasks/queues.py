"""What an operator says of queues: paused ones start nothing, full ones accept nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from agents.definitions.models import Agent
from agents.tasks.exceptions import InvalidInput, QueueFull
from agents.tasks.models import Queue, Status, Task
from agents.tasks.telling import tell
from foundation.remembered import Remembered

# With less room than this, a queue is counted for every task.
LITTLE_ROOM = 1_000
# A count that is well below the bound is good for so long.
COUNT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One queue's row, as data."""

    most_waiting: int | None
    is_paused: bool


def _standings() -> Mapping[str, Standing]:
    rows = Queue.objects.values_list("name", "most_waiting", "is_paused")
    return {name: Standing(most_waiting, is_paused) for name, most_waiting, is_paused in rows}


standings = Remembered(_standings)
_counted_at: dict[str, float] = {}


def open_queues(queues: Sequence[str]) -> tuple[str, ...]:
    """Those of these that are not paused."""
    known = standings()
    if not known:
        return tuple(queues)
    return tuple(name for name in queues if name not in known or not known[name].is_paused)


def check_room(queue: str, *, more: int = 1) -> None:
    """Raises QueueFull when the queue would have more waiting tasks than it may.

    Far from its bound a queue is counted once a second in each process; near it, for every task. Requests at the same
    moment can pass the bound by as many as they are.
    """
    found = standings().get(queue)
    most = settings.QUEUE_MOST_WAITING if found is None or found.most_waiting is None else found.most_waiting
    if more <= 1 and most and _counted_at.get(queue, 0.0) > time.monotonic() - COUNT_SECONDS:
        return
    waiting = Task.objects.filter(queue=queue, status=Status.QUEUED).order_by()[: most + 1].count()
    if waiting + more > most:
        raise QueueFull
    if most - waiting > LITTLE_ROOM:
        _counted_at[queue] = time.monotonic()


def check_known(queue: str) -> None:
    """Raises InvalidInput for a queue that is nobody's: no worker would be asked to serve it."""
    if queue in settings.WORKER_QUEUES or queue in standings():
        return
    if not Agent.objects.filter(queue=queue).exists():
        raise InvalidInput(_("There is no queue “%(name)s”.") % {"name": queue})


def known() -> list[str]:
    """The queues that somebody has named: a worker, an agent or an operator."""
    of_agents = Agent.objects.order_by().values_list("queue", flat=True).distinct()
    return sorted({*settings.WORKER_QUEUES, *standings(), *of_agents})


def change(*, name: str, actor: audit.Actor, most_waiting: int | None = None, is_paused: bool = False) -> Queue:
    """Says so of the queue; a row is made when there is none."""
    with transaction.atomic():
        before: Mapping[str, Any] = Queue.objects.filter(name=name).values("most_waiting", "is_paused").first() or {}
        row, _made = Queue.objects.update_or_create(
            name=name, defaults={"most_waiting": most_waiting, "is_paused": is_paused}
        )
        changes = audit.difference(before, {"most_waiting": most_waiting, "is_paused": is_paused})
        audit.record(verb="queue.change", actor=actor, subject=row, changes=changes)
        transaction.on_commit(forget)
        if not is_paused:
            transaction.on_commit(lambda: tell(name))
    return row


def forget() -> None:
    """This process sees a change at once."""
    standings.forget()
    _counted_at.clear()
