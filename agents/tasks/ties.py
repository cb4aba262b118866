"""The tasks that one has to do with, as pages show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents.tasks.models import Task

MOST_ROWS = 20


@dataclass(frozen=True, slots=True)
class Tie:
    """Another task, and what it is to this one."""

    label: Any
    task: Task


def ties_of(task: Task, user: User) -> list[Tie]:
    """Its parent, what it waits for, what waits for it, its children and retries; at most MOST_ROWS of each, and only
    those that this person may see: somebody who sees all tasks can let one of theirs wait for anybody's.
    """
    return [*_ties(task, user)]


def _ties(task: Task, user: User) -> Iterator[Tie]:
    related = Task.objects.visible_to(user).select_related("agent_version__agent").defer("input", "result", "metadata")
    groups: list[tuple[Any, QuerySet[Task] | None]] = [
        (_("part of"), related.filter(pk=task.parent_id) if task.parent_id else None),
        (_("waits for"), related.filter(dependents__task=task) if task.dependencies_left else None),
        (_("is waited for by"), related.filter(dependencies__on=task) if task.has_dependents else None),
        (_("child"), related.filter(parent=task)),
        (_("tried again as"), related.filter(retry_of=task) if task.is_terminal else None),
    ]
    for label, rows in groups:
        if rows is not None:
            for each in rows.order_by("created_at", "id")[:MOST_ROWS]:
                yield Tie(label, each)
