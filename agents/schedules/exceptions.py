"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations

from collections.abc import Mapping


class ScheduleError(Exception):
    """The schedule cannot do that."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UnknownSchedule(ScheduleError):
    """There is no such schedule any more."""


class InvalidSchedule(ScheduleError):
    """The schedule is not valid.

    `errors` maps the names of fields to sentences, in the shape of a form's or a serializer's errors.
    """

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        self.errors = dict(errors)
        super().__init__(" ".join(f"{field}: {' '.join(found)}" for field, found in self.errors.items()))


class ScheduleBusy(ScheduleError):
    """A run of this schedule has not ended yet, and its runs may not overlap."""


class Refused(ScheduleError):
    """The schedule's task cannot be submitted as things are."""
