"""When a schedule is due. Knows no database: moments in, moments out, all of them in UTC."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

MOMENT = timedelta(microseconds=1)
EVERY = re.compile(r"^\*")


class NotATime(ValueError):
    """It is not a cron expression of five fields, or no time is like that."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A cron expression in a time zone, or an interval of so many seconds.

    Intervals count from `anchor`, so that they do not drift however late a run is fired; the anchor itself is due only
    when it is `starts_at`. Nothing is due before `starts_at` or after `ends_at`.

    A cron expression whose hour is `*` goes by elapsed time: every hour has its run, whatever the clocks do. Any other
    goes by the clock on the wall: a time that the clocks skip is due at the first minute after the gap, one that they
    show twice is due the first time.
    """

    cron: str
    every_seconds: int | None
    timezone: str
    anchor: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def after(self, moment: datetime) -> datetime | None:
        """The first due time later than this one; None when there is none any more."""
        if self.starts_at is not None:
            moment = max(moment, self.starts_at - MOMENT)
        found = self._interval(moment) if self.every_seconds else self._cron(moment)
        return None if found is None or (self.ends_at is not None and found > self.ends_at) else found

    def upcoming(self, moment: datetime, count: int) -> Iterator[datetime]:
        """The due times later than this one, at most so many."""
        for _number in range(count):
            found = self.after(moment)
            if found is None:
                return
            yield found
            moment = found

    def until(self, first: datetime, now: datetime, *, most: int) -> list[datetime]:
        """`first`, which is due, and the due times after it up to now, at most so many, the earliest first."""
        found = [first]
        for due in self.upcoming(first, most - 1):
            if due > now:
                break
            found.append(due)
        return found

    def _interval(self, moment: datetime) -> datetime:
        step = timedelta(seconds=self.every_seconds or 0)
        return self.anchor + ((moment - self.anchor) // step + 1) * step

    def _cron(self, moment: datetime) -> datetime | None:
        zone = zoneinfo.ZoneInfo(self.timezone)
        for found in CronSim(_on_the_wall(self.cron), moment.astimezone(zone)):
            # In UTC, because times of one zone are compared as the clock shows them. Where the clocks go back, the
            # first of two equal times may be past already.
            due = found.astimezone(UTC)
            if due > moment:
                return due
        return None


def _on_the_wall(cron: str) -> str:
    """The same expression in the words that make CronSim go by the clock on the wall, unless its hour is `*`.

    CronSim, like Debian's cron, takes every minute or hour that begins with a star for elapsed time: `0 */2 * * *`
    would be due twice at the same hour on one day of the year and not at all on another.
    """
    minute, hour, *rest = cron.split()
    if hour == "*":
        return cron
    return " ".join([EVERY.sub("0-59", minute), EVERY.sub("0-23", hour), *rest])


def check_cron(cron: str) -> None:
    """Raises NotATime, for what CronSim does not understand and for what never comes (30 February)."""
    if len(cron.split()) != 5:
        raise NotATime
    try:
        never = next(iter(CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))), None) is None
    except CronSimError as error:
        raise NotATime from error
    if never:
        raise NotATime


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """The names of all time zones that are known here."""
    return frozenset(zoneinfo.available_timezones())
