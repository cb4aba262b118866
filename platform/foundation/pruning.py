"""What grows old: rules that the rooms register in AppConfig.ready, and `manage.py prune` applies.

What must stay has no rule, or one that keeps it for ever unless somebody says otherwise: audit events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

# Few enough that a batch holds SQLite's one write lock for some tens of milliseconds.
BATCH = 200


def delete_in_batches(rows: models.QuerySet[Any], *, size: int = BATCH) -> Iterator[int]:
    """Deletes the rows, `size` in a transaction, giving after each how many of them are gone.

    What hangs on them goes with them. Safe beside a running platform and beside itself.
    """
    while ids := list(rows.values_list("pk", flat=True)[:size]):
        with transaction.atomic():
            # The rule again: a row that was touched in between is not old any more.
            _all, by_model = rows.order_by().filter(pk__in=ids).delete()
        yield by_model.get(rows.model._meta.label, 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows of one kind that are deleted when old.

    `setting` names the number of days they are kept (0: for ever); without one, rows expire by themselves.
    `old(moment)` gives what is older than a moment, the oldest first. `title` is translatable. `delete` deletes them a
    batch at a time, giving after each how many of them are gone.
    """

    name: str
    title: Any
    old: Callable[[datetime], models.QuerySet[Any]]
    setting: str = ""
    delete: Callable[[models.QuerySet[Any]], Iterator[int]] = delete_in_batches

    def days(self) -> int | None:
        """How many days its rows are kept; None when they expire by themselves."""
        return int(getattr(settings, self.setting)) if self.setting else None

    def due(self, *, days: int | None = None, now: datetime | None = None) -> models.QuerySet[Any] | None:
        """The rows to delete; None when they are kept for ever. `days` counts instead of the setting."""
        kept = self.days() if days is None else days
        if kept == 0:
            return None
        return self.old((now or timezone.now()) - timedelta(days=kept or 0))


_rules: dict[str, Rule] = {}


def register_rule(rule: Rule) -> None:
    """Makes a rule known; the order of registration is the order of deleting."""
    _rules[rule.name] = rule


def rules() -> list[Rule]:
    """Every rule."""
    return [*_rules.values()]


def prune(*, within: float) -> dict[str, int]:
    """Deletes what is due by every rule, a batch at a time, for at most so many seconds; how many rows, by rule."""
    until = time.monotonic() + within
    done: dict[str, int] = {}
    for rule in rules():
        due = rule.due()
        if due is None:
            continue
        for count in rule.delete(due):
            done[rule.name] = done.get(rule.name, 0) + count
            if time.monotonic() > until:
                return done
    return done
