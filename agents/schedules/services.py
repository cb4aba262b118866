"""Making, changing, pausing and running schedules. What fires them when they are due is `tick`."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Unpack

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from agents.definitions.services import get_usable_agent
from agents.schedules import validators
from agents.schedules.data import TOLD, WHEN, ScheduleFields
from agents.schedules.exceptions import InvalidSchedule, ScheduleBusy, UnknownSchedule
from agents.schedules.firing import may_begin, submit_for, tick
from agents.schedules.models import Schedule, ScheduledRun
from agents.tasks import storage

__all__ = [
    "create_schedule", "delete_schedule", "next_runs", "pause_schedule", "resume_schedule", "run_now", "tick",
    "update_schedule",
]  # fmt: skip

MOST_SHOWN = 100


def create_schedule(*, owner: User, actor: audit.Actor, **fields: Unpack[ScheduleFields]) -> Schedule:
    """Makes a schedule that runs with the owner's rights. Raises InvalidSchedule; UnknownAgent for an agent that the
    owner may not use.
    """
    schedule = Schedule(owner=owner, created_at=storage.read_clock())
    _apply(schedule, fields)
    validators.check(schedule)
    _set_next_run(schedule)
    with _names_are_unique(), transaction.atomic():
        schedule.save(force_insert=True)
        changes = _difference({}, schedule, fields)
        audit.record(verb="schedule.create", actor=actor, subject=schedule, changes=changes)
    return schedule


def update_schedule(*, schedule: Schedule, actor: audit.Actor, **changes: Unpack[ScheduleFields]) -> Schedule:
    """Changes what is given, and gives the row as it is then. A new time counts from now.

    A cron expression takes the place of an interval, and the other way round. Raises InvalidSchedule; UnknownAgent.
    """
    with _names_are_unique(), transaction.atomic():
        current = _locked(schedule.pk)
        before = _values(current)
        changed = _apply(current, changes)
        if not changed:
            return current
        validators.check(current)
        if not changed.isdisjoint(WHEN) and current.paused_at is None:
            _set_next_run(current)
        current.last_error = ""
        current.save(update_fields=[*changed, "next_run_at", "last_error"])
        difference = _difference(before, current, changed)
        audit.record(verb="schedule.update", actor=actor, subject=current, changes=difference)
    return current


def pause_schedule(*, schedule: Schedule, actor: audit.Actor) -> Schedule:
    """Nothing is due while it is paused. What runs already goes on."""
    with transaction.atomic():
        current = _locked(schedule.pk)
        if current.paused_at is None:
            current.paused_at, current.next_run_at = storage.read_clock(), None
            current.save(update_fields=["paused_at", "next_run_at"])
            audit.record(verb="schedule.pause", actor=actor, subject=current)
    return current


def resume_schedule(*, schedule: Schedule, actor: audit.Actor) -> Schedule:
    """Goes on with the next due time from now on: what fell into the pause was not missed."""
    with transaction.atomic():
        current = _locked(schedule.pk)
        if current.paused_at is not None:
            current.paused_at, current.next_run_at = None, current.timing.after(storage.read_clock())
            current.save(update_fields=["paused_at", "next_run_at"])
            audit.record(verb="schedule.resume", actor=actor, subject=current)
    return current


def run_now(*, schedule: Schedule, actor: audit.Actor) -> ScheduledRun:
    """Submits its task at once, for its owner, also while it is paused; its due times stay as they are.

    Raises ScheduleBusy where runs may not overlap, and Refused.
    """
    with transaction.atomic():
        current = _locked(schedule.pk)
        if not may_begin(current):
            raise ScheduleBusy(_("A run of this schedule has not ended yet, and its runs may not overlap."))
        now = storage.read_clock()
        task = submit_for(current, due=now)
        run = ScheduledRun.objects.create(
            schedule=current, created_at=now, due_at=now, last_due_at=now, is_manual=True, task=task,
            outcome=ScheduledRun.Outcome.FIRED,
        )  # fmt: skip
        audit.record(verb="schedule.run", actor=actor, subject=current, changes={"task": str(task.pk)})
    return run


def delete_schedule(*, schedule: Schedule, actor: audit.Actor) -> None:
    """Forgets it and what came of its due times. The tasks that it submitted stay."""
    with transaction.atomic():
        audit.record(verb="schedule.delete", actor=actor, subject=schedule)
        schedule.delete()


def next_runs(schedule: Schedule, count: int = 5) -> list[datetime]:
    """The next due times, from now on, as if nothing were paused; at most MOST_SHOWN."""
    return [*schedule.timing.upcoming(storage.read_clock(), min(count, MOST_SHOWN))]


def _values(schedule: Schedule) -> dict[str, Any]:
    """As the record tells them."""
    return {name: schedule.agent.slug if name == "agent" else getattr(schedule, name) for name in TOLD}


def _difference(before: Mapping[str, Any], schedule: Schedule, changed: Collection[str]) -> dict[str, Any]:
    """What an agent is asked may be long and private: of it the record says only that it has changed."""
    untold = {name: {"before": "…", "after": "…"} for name in ("input", "metadata") if name in changed}
    return audit.difference(before, _values(schedule)) | untold


def _locked(pk: uuid.UUID) -> Schedule:
    """Raises UnknownSchedule when somebody has deleted it meanwhile."""
    rows = Schedule.objects.select_for_update(of=("self",)).select_related("owner", "agent")
    found = rows.filter(pk=pk).first()
    if found is None:
        raise UnknownSchedule(_("There is no such schedule any more."))
    return found


def _apply(schedule: Schedule, fields: ScheduleFields) -> set[str]:
    """Sets the fields; the names of those that have changed."""
    given: dict[str, Any] = dict(fields)
    if given.get("cron") and "every_seconds" not in given:
        given["every_seconds"] = None
    if given.get("every_seconds") is not None and "cron" not in given:
        given["cron"] = ""
    if (slug := given.pop("agent", None)) is not None and not _runs(schedule, slug):
        given["agent"] = get_usable_agent(slug=slug, user=schedule.owner)
    changed = {name for name, value in given.items() if name == "agent" or getattr(schedule, name) != value}
    for name in changed:
        setattr(schedule, name, given[name])
    return changed


def _runs(schedule: Schedule, slug: str) -> bool:
    return not schedule._state.adding and schedule.agent.slug == slug


def _set_next_run(schedule: Schedule) -> None:
    schedule.next_run_at = schedule.timing.after(storage.read_clock())
    if schedule.next_run_at is None:
        raise InvalidSchedule({"ends_at": [_("It would never run: nothing is due before its end.")]})


@contextmanager
def _names_are_unique() -> Iterator[None]:
    """Two of one name at the same moment: the second is told what it would have been told a moment later."""
    try:
        yield
    except IntegrityError as error:
        raise InvalidSchedule({"name": [_("There is a schedule of this name already.")]}) from error
