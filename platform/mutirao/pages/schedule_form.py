"""A schedule as a form: what it runs, when, and what happens when a due time is missed or comes too early."""

from __future__ import annotations

import json
import zoneinfo
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from django import forms
from django.conf import settings
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from agents.definitions.models import Agent
from agents.schedules.data import ScheduleFields
from agents.schedules.models import Schedule, Unit
from agents.schedules.timing import time_zones
from agents.schedules.validators import when_errors
from agents.tasks.models import Priority

CRON, INTERVAL = "cron", "interval"
MOMENTS = ("starts_at", "ends_at")
MOMENT = "%Y-%m-%dT%H:%M"
# Our names of what the services call otherwise.
FIELDS = {"input": "text", "every_seconds": "every"}
MOST_CHARACTERS = 200_000
MOST_AGENTS = 500


def _moment_field(label: Any, help_text: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MOMENT)
    return forms.DateTimeField(label=label, help_text=help_text, required=False, widget=widget)


class ScheduleForm(forms.Form):
    """For a new schedule of somebody, or for one that there is."""

    WHEN = ("kind", "cron", "every", "unit", "timezone", *MOMENTS)

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=100, help_text=gettext_lazy("What it is for: “weekly report”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    agent = forms.ChoiceField(label=gettext_lazy("Agent"))
    text = forms.CharField(
        label=gettext_lazy("What shall it do?"), max_length=MOST_CHARACTERS, widget=forms.Textarea(attrs={"rows": 4})
    )
    as_object = forms.BooleanField(
        label=gettext_lazy("This is a JSON object, for an agent with an input of its own"), required=False
    )

    kind = forms.ChoiceField(
        label=gettext_lazy("It runs"), initial=CRON, widget=forms.RadioSelect,
        choices=[(CRON, gettext_lazy("at certain times")), (INTERVAL, gettext_lazy("at an interval"))],
    )  # fmt: skip
    cron = forms.CharField(
        label=gettext_lazy("Cron expression"), max_length=100, required=False, initial="0 8 * * 1-5",
        help_text=gettext_lazy("Minute, hour, day, month, weekday: “0 8 * * 1-5” is 8:00 on workdays."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    every = forms.IntegerField(label=gettext_lazy("Every"), min_value=1, required=False, initial=15)
    unit = forms.TypedChoiceField(
        label=gettext_lazy("Unit"), choices=Unit.choices, coerce=int, initial=Unit.MINUTES, required=False
    )
    timezone = forms.CharField(
        label=gettext_lazy("Time zone"), max_length=64,
        widget=forms.TextInput(attrs={"list": "time-zones", "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    starts_at = _moment_field(gettext_lazy("Not before"), gettext_lazy("In its time zone. An interval counts from it."))
    ends_at = _moment_field(gettext_lazy("Not after"), gettext_lazy("In its time zone."))

    if_overlapping = forms.ChoiceField(
        label=gettext_lazy("While a run has not ended"), choices=Schedule.Overlap.choices, initial=Schedule.Overlap.SKIP
    )
    if_missed = forms.ChoiceField(
        label=gettext_lazy("Due times missed, while nothing worked"), choices=Schedule.Missed.choices,
        initial=Schedule.Missed.ONCE,
    )  # fmt: skip
    priority = forms.TypedChoiceField(
        label=gettext_lazy("Priority"), choices=Priority.choices, coerce=int, initial=Priority.NORMAL
    )
    queue = forms.CharField(
        label=gettext_lazy("Queue"), max_length=32, required=False,
        help_text=gettext_lazy("Empty: the queue of the agent."),
    )  # fmt: skip
    metadata = forms.JSONField(
        label=gettext_lazy("Metadata"), required=False, initial=dict, widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy('Your own labels, such as {"team": "post"}; every task gets them.'),
    )  # fmt: skip

    def __init__(self, data: Mapping[str, Any] | None, *, owner: User, schedule: Schedule | None = None) -> None:
        self.schedule = schedule
        super().__init__(data, initial=_initial_of(schedule) if schedule else {"timezone": _zone_of(owner)})
        self.fields["agent"].choices = [*_agents_of(owner, schedule)]  # type: ignore[attr-defined]

    @property
    def zones(self) -> list[str]:
        """What may be chosen; more names are understood."""
        return ["UTC", *sorted(name for name in time_zones() if "/" in name and not name.startswith("Etc/"))]

    @property
    def has_more(self) -> bool:
        """Whether something is said, or wrong, that most people leave as it is."""
        names = ("priority", "queue", "metadata")
        return any(self[name].errors or self[name].value() not in _USUAL for name in names)

    def clean(self) -> dict[str, Any]:
        """With `input`, and with moments in the schedule's time zone."""
        given: dict[str, Any] = super().clean() or {}
        if "text" in given:
            given["input"] = self._object(given["text"]) if given.get("as_object") else given["text"]
        for name in MOMENTS:
            if given.get(name) and given.get("timezone") in time_zones():
                given[name] = given[name].replace(tzinfo=zoneinfo.ZoneInfo(given["timezone"]))
        for field, sentences in when_errors(self.as_schedule(given)):
            if field in {"cron", "every_seconds"}:
                field = "every" if given.get("kind") == INTERVAL else "cron"
            if field not in self.errors:
                self.add_error(field, sentences)
        return given

    def beginning(self) -> dict[str, Any]:
        """What the form of a new schedule says of when it is due."""
        return {name: self.get_initial_for_field(self.fields[name], name) for name in self.WHEN}

    def as_schedule(self, given: Mapping[str, Any]) -> Schedule:
        """What has been said of when it is due, as a schedule that is not stored."""
        made = Schedule(created_at=self.schedule.created_at if self.schedule else now())
        for name, value in _when(given).items():
            setattr(made, name, value)
        return made

    def fields_given(self) -> ScheduleFields:
        """For the services. Moments that nobody has touched stay to the second."""
        given = self.cleaned_data
        names = ("name", "agent", "input", "priority", "queue", "if_missed", "if_overlapping")
        fields = {name: given[name] for name in names} | {"metadata": given["metadata"] or {}} | _when(given)
        if self.schedule is not None and "timezone" not in self.changed_data:
            fields = {name: value for name, value in fields.items() if name not in MOMENTS or name in self.changed_data}
        return cast("ScheduleFields", fields)

    def refuse(self, errors: Mapping[str, Iterable[str]]) -> None:
        """Puts what a service has refused beside the fields."""
        for field, sentences in errors.items():
            place = FIELDS.get(field, field)
            self.add_error(place if place in self.fields else None, [*sentences])

    def _object(self, text: str) -> Any:
        try:
            found = json.loads(text)
        except ValueError as error:
            self.add_error("text", _("This is not JSON: %(reason)s.") % {"reason": error})
            return None
        if not isinstance(found, dict):
            self.add_error("text", _("This is JSON, but not an object."))
        return found


_USUAL = (None, "", "null", "{}", Priority.NORMAL, str(Priority.NORMAL.value))


def _when(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that decide when it is due."""
    is_cron = given.get("kind") != INTERVAL
    every = given.get("every")
    return {
        "cron": given.get("cron", "") if is_cron else "",
        "every_seconds": None if is_cron or not every else every * (given.get("unit") or Unit.SECONDS),
        "timezone": given.get("timezone", ""),
        **{name: given.get(name) for name in MOMENTS},
    }


def _initial_of(schedule: Schedule) -> dict[str, Any]:
    seconds = schedule.every_seconds or 0
    unit = next((unit for unit in reversed(Unit) if seconds and seconds % unit == 0), Unit.MINUTES)
    names = ("name", "timezone", "if_missed", "if_overlapping", "priority", "queue", "metadata")
    return {
        **{name: getattr(schedule, name) for name in names},
        **{name: _on_the_wall(getattr(schedule, name), schedule.timezone) for name in MOMENTS},
        "agent": schedule.agent.slug,
        "text": schedule.input if isinstance(schedule.input, str) else _json(schedule.input),
        "as_object": not isinstance(schedule.input, str),
        "kind": CRON if schedule.cron else INTERVAL,
        "cron": schedule.cron,
        "every": seconds // unit or None,
        "unit": unit,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _on_the_wall(moment: datetime | None, zone: str) -> datetime | None:
    """As the clock of the zone shows it, to the minute."""
    if moment is None:
        return None
    return moment.astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None, second=0, microsecond=0)


def _zone_of(owner: User) -> str:
    """The one they used last."""
    last = Schedule.objects.filter(owner=owner).order_by("-created_at").values_list("timezone", flat=True).first()
    return last or settings.TIME_ZONE


def _agents_of(owner: User, schedule: Schedule | None) -> Iterable[tuple[str, str]]:
    usable = Agent.objects.usable_by(owner).order_by("name", "slug").values_list("slug", "name")
    found = dict(usable[:MOST_AGENTS])
    if schedule is not None:
        found.setdefault(schedule.agent.slug, schedule.agent.name)
    return found.items()
