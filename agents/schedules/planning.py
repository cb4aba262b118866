"""What is to be done about due times that have come: which of them run, which are skipped, when the next one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.schedules.models import Schedule
from agents.schedules.timing import Timing

# Later than that, a due time counts as missed.
GRACE = timedelta(seconds=60)
# Never more runs at once, however many were missed.
MOST_CAUGHT_UP = 100
# An outage of a year is looked at in pieces, so that no transaction is long.
MOST_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Plan:
    """Due times, the earliest first: those that are skipped come before those that run."""

    skipped: Sequence[datetime]
    run: Sequence[datetime]
    next_run_at: datetime | None


def plan(timing: Timing, *, first: datetime, now: datetime, if_missed: str) -> Plan:
    """For the due times from `first` up to now."""
    due = timing.until(first, now, most=MOST_AT_ONCE)
    if len(due) == MOST_AT_ONCE:
        # There are more. The last ones of these may be among the latest of all, of which some run.
        return Plan(due[:-MOST_CAUGHT_UP], [], due[-MOST_CAUGHT_UP])
    skipped = len(due) - _count_to_run(due, now, if_missed)
    return Plan(due[:skipped], due[skipped:], timing.after(due[-1]))


def _count_to_run(due: Sequence[datetime], now: datetime, if_missed: str) -> int:
    """How many of the latest."""
    if if_missed == Schedule.Missed.ALL:
        return min(len(due), MOST_CAUGHT_UP)
    if if_missed == Schedule.Missed.ONCE:
        return 1
    return int(now - due[-1] <= GRACE)
