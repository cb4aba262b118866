"""What a schedule may say: every field is looked at, and everything that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.translation import gettext as _

from agents.schedules.exceptions import InvalidSchedule
from agents.schedules.models import LEAST_SECONDS, MOST_SECONDS, Schedule
from agents.schedules.timing import NotATime, check_cron, time_zones
from agents.tasks import inputs
from agents.tasks.exceptions import InvalidInput

Errors = dict[str, list[str]]
# Beyond them times cannot be counted in every zone, and nobody means it.
FIRST_YEAR, LAST_YEAR = 2000, 2200


def check(schedule: Schedule) -> None:
    """Raises InvalidSchedule. Asks the database whether the name is free."""
    errors = dict(when_errors(schedule))
    for field, look in (("input", _check_input), ("metadata", _check_metadata)):
        if sentence := _refusal(look, getattr(schedule, field)):
            errors[field] = [sentence]
    try:
        schedule.full_clean(exclude=["agent", "input", "metadata", *errors])
    except ValidationError as error:
        errors |= _by_field(error.message_dict)
    if errors:
        raise InvalidSchedule(errors)


def when_errors(schedule: Schedule) -> Iterator[tuple[str, list[str]]]:
    """What is wrong with when it is due: fields and sentences."""
    if bool(schedule.cron) == (schedule.every_seconds is not None):
        yield "cron", [_("Give a cron expression or an interval, and not both.")]
    elif schedule.cron:
        if sentence := _refusal(_check_cron, schedule.cron):
            yield "cron", [sentence]
    elif not LEAST_SECONDS <= (schedule.every_seconds or 0) <= MOST_SECONDS:
        yield "every_seconds", [_("The interval has to be from 10 seconds to 366 days.")]
    if schedule.timezone not in time_zones():
        yield "timezone", [_("There is no time zone of this name; one is “America/Sao_Paulo”.")]
    yield from _span_errors(schedule)


def _span_errors(schedule: Schedule) -> Iterator[tuple[str, list[str]]]:
    given = {"starts_at": schedule.starts_at, "ends_at": schedule.ends_at}
    strange = [name for name, moment in given.items() if moment and not FIRST_YEAR <= moment.year <= LAST_YEAR]
    for name in strange:
        yield name, [_("The year has to be from %(first)d to %(last)d.") % {"first": FIRST_YEAR, "last": LAST_YEAR}]
    if not strange and schedule.starts_at and schedule.ends_at and schedule.ends_at < schedule.starts_at:
        yield "ends_at", [_("The end has to come after the beginning.")]


def _check_cron(cron: str) -> None:
    try:
        check_cron(cron)
    except NotATime as error:
        sentence = _("Five fields are expected: minute, hour, day, month, weekday; “0 8 * * 1-5” is 8:00 on workdays.")
        raise InvalidInput(sentence) from error


def _check_input(value: Any) -> None:
    inputs.check_input(value)


def _check_metadata(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise InvalidInput(_("The metadata have to be an object."))
    inputs.check_storable(dict(value))


def _refusal(look: Callable[[Any], None], value: Any) -> str:
    try:
        look(value)
    except InvalidInput as error:
        return str(error)
    return ""


def _by_field(found: Mapping[str, list[str]]) -> Errors:
    """What the database would refuse as a whole is about the name: the rest has been looked at before."""
    return {"name" if field == NON_FIELD_ERRORS else field: sentences for field, sentences in found.items()}
