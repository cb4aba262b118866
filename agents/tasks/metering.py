"""Quotas and tasks: what a task reserves when it is accepted, and what it has spent when it ends.

Quotas are a room below, which knows no tasks: here is said what one takes, and what it came to.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts import ledger, quotas
from accounts.exceptions import QuotaExceeded
from accounts.ledger import Spent
from accounts.models import Reservation
from accounts.quotas import Allowance, Share, Spender
from agents.tasks.data import NOTHING, Usage
from agents.tasks.exceptions import NoQuotaLeft
from agents.tasks.models import TERMINAL, Task

AT_ONCE = 100
Record = Callable[[uuid.UUID, int], Usage]

_records: list[Record] = []


def register_record(record: Record) -> None:
    """`record(task_id, fence)` gives what a room above has on record of an attempt that cannot say itself any more what
    it has spent.
    """
    if record not in _records:
        _records.append(record)


def on_record(task_id: uuid.UUID, fence: int) -> Usage:
    """All of that."""
    return sum((record(task_id, fence) for record in _records), NOTHING)


@contextmanager
def together() -> Iterator[None]:
    """For a transaction that accepts or ends several tasks: their quotas are written at its end, in one order.

    Raises NoQuotaLeft there, and the transaction has to be undone.
    """
    try:
        with ledger.together():
            yield
    except QuotaExceeded as error:
        raise NoQuotaLeft(str(error), retry_after=error.retry_after, extra=error.extra) from error


def shares_of(task: Task) -> list[Share]:
    """What the task will take of the quotas that apply to it; nothing, at no cost, where there are none."""
    lineage = task.api_key.lineage if task.api_key is not None else None
    rules = quotas.rules_for(Spender(task.owner, lineage, task.agent_id))
    if not rules:
        return []
    allowance = Allowance(task.limit_tokens, task.limit_cost)
    return quotas.shares_of(rules, user=task.owner, allowance=allowance, now=task.created_at)


def reserve(task: Task, shares: Sequence[Share]) -> None:
    """Takes them for a task that is being accepted. Raises NoQuotaLeft, now or at the end of `together`."""
    with together():
        ledger.reserve(task.pk, shares)


def settle(task_ids: Iterable[uuid.UUID]) -> None:
    """The tasks have ended in this transaction, whatever the end: what they have spent counts, the rest of what was
    reserved is free. Last in the transaction, as everybody locks tasks before quotas.
    """
    ids = [*task_ids]
    rows = Task.objects.filter(pk__in=ids).values_list("pk", "input_tokens", "output_tokens", "cost")
    spent = {pk: Spent(read + written, cost) for pk, read, written, cost in rows}
    ledger.settle({task_id: spent.get(task_id, Spent()) for task_id in ids})


def release_abandoned() -> int:
    """A safety net: settles what is still reserved for tasks that have ended or are gone. How many there were."""
    if not quotas.exist():
        return 0
    unfinished = Task.objects.filter(pk=OuterRef("task_id")).exclude(status__in=TERMINAL)
    found = Reservation.objects.filter(~Exists(unfinished)).order_by().values_list("task_id", flat=True)
    ids = [*found.distinct()[:AT_ONCE]]
    if ids:
        with transaction.atomic():
            settle(ids)
    return len(ids)
