"""Schedules as plain data, named `owner/name`: what they run, and when. Times are ISO 8601."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware
from django.utils.translation import gettext as _

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.exceptions import UnknownAgent
from agents.schedules.data import ScheduleFields
from agents.schedules.exceptions import InvalidSchedule
from agents.schedules.models import Schedule
from agents.schedules.services import create_schedule, pause_schedule, resume_schedule, update_schedule
from agents.tasks.exceptions import InvalidInput
from agents.tasks.inputs import priority_of
from agents.tasks.models import Priority
from foundation.portable import Entry, NotApplicable, register_kind, text_of

TEXTS = ("agent", "queue", "cron", "timezone", "if_missed", "if_overlapping", "priority")
MOMENTS = ("starts_at", "ends_at")


class Schedules:
    """People are in no file: an owner has to be there before."""

    name = "schedules"
    fields: Sequence[str] = (
        "agent", "input", "priority", "queue", "metadata", "cron", "every_seconds", "timezone", "starts_at", "ends_at",
        "if_missed", "if_overlapping", "is_paused",
    )  # fmt: skip

    def read(self) -> dict[str, Entry]:
        """Every schedule, by its owner's name and its own."""
        rows = Schedule.objects.select_related("owner", "agent").order_by("owner__username", "name")
        return {f"{row.owner.username}/{row.name}": _entry(row) for row in rows}

    def apply(self, name: str, entry: Entry) -> None:
        """Makes the schedule or changes it, as its owner could."""
        fields = _fields(entry)
        person, _slash, own_name = name.partition("/")
        owner = User.objects.filter(username=person).first()
        if owner is None or not own_name:
            raise NotApplicable(
                _("There is no person “%(name)s”; schedules are named “owner/name”.") % {"name": person}
            )
        schedule = Schedule.objects.filter(owner=owner, name=own_name).first()
        try:
            if schedule is None:
                schedule = create_schedule(owner=owner, actor=SYSTEM, **_complete(fields, own_name))
            else:
                schedule = update_schedule(schedule=schedule, actor=SYSTEM, **fields)
        except (InvalidSchedule, UnknownAgent) as error:
            raise NotApplicable(str(error)) from error
        if "is_paused" in entry:
            (pause_schedule if entry["is_paused"] else resume_schedule)(schedule=schedule, actor=SYSTEM)


def _entry(schedule: Schedule) -> dict[str, Any]:
    return {
        "agent": schedule.agent.slug,
        "input": schedule.input,
        "priority": Priority(schedule.priority).name.lower(),
        **{name: getattr(schedule, name) for name in ("queue", "metadata", "cron", "every_seconds", "timezone")},
        **{name: _written(getattr(schedule, name)) for name in MOMENTS},
        "if_missed": schedule.if_missed,
        "if_overlapping": schedule.if_overlapping,
        "is_paused": schedule.paused_at is not None,
    }


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _complete(fields: ScheduleFields, name: str) -> ScheduleFields:
    """With its name. A new one cannot do without agent and input."""
    for field in ("agent", "input"):
        if field not in fields:
            raise NotApplicable(_("“%(field)s” is missing.") % {"field": field})
    return {**fields, "name": name}


def _fields(entry: Entry) -> ScheduleFields:
    """The kinds of values; what they may say is the services' to judge."""
    for field in TEXTS:
        text_of(entry, field)
    given = {name: value for name, value in entry.items() if name != "is_paused"}
    if not isinstance(entry.get("is_paused", False), bool):
        raise NotApplicable(_("“%(field)s” has to be true or false.") % {"field": "is_paused"})
    seconds = entry.get("every_seconds")
    if seconds is not None and (not isinstance(seconds, int) or isinstance(seconds, bool)):
        raise NotApplicable(_("“%(field)s” has to be a whole number.") % {"field": "every_seconds"})
    given |= {name: _moment(name, entry[name]) for name in MOMENTS if name in entry}
    if "priority" in given:
        given["priority"] = _priority(given["priority"])
    return cast("ScheduleFields", given)


def _moment(field: str, value: Any) -> datetime | None:
    """Raises NotApplicable."""
    if value is None:
        return None
    try:
        found = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or not is_aware(found):
        raise NotApplicable(
            _("“%(field)s” has to be a time with its zone, as in 2026-11-25T08:00:00+00:00.") % {"field": field}
        )
    return found


def _priority(name: str) -> Priority:
    try:
        return priority_of(name)
    except InvalidInput as error:
        raise NotApplicable(str(error)) from error


def register_kinds() -> None:
    """Called when the application starts."""
    register_kind(Schedules())
