"""What saved steps keep of a person: they go when a task has ended, so there are those of a moment ago."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.privacy import Holding, register_holding, rows_of
from agents.runtime.housekeeping import forget
from agents.runtime.models import Checkpoint, CheckpointWrite
from agents.tasks.privacy import task_ids


def _export(user: User) -> Iterator[Mapping[str, Any]]:
    for ids in task_ids(user):
        threads = [str(pk) for pk in ids]
        yield from rows_of(Checkpoint.objects.filter(thread_id__in=threads))
        yield from rows_of(CheckpointWrite.objects.filter(thread_id__in=threads))


def _erase(user: User) -> int:
    count = 0
    for ids in task_ids(user):
        count += Checkpoint.objects.filter(thread_id__in=[str(pk) for pk in ids]).count()
        forget(task_ids=ids)
    return count


def register_holdings() -> None:
    """Called when the application starts."""
    register_holding(Holding("checkpoints", _("saved steps"), _export, _erase, order=420))
