"""When a schedule is due: cron, time zones, clocks that are put forward and back, intervals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from agents.schedules.timing import NotATime, Timing, check_cron, time_zones

BERLIN, SAO_PAULO = "Europe/Berlin", "America/Sao_Paulo"


def at(text: str) -> datetime:
    """In UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cron(expression: str, zone: str = "UTC", **more: Any) -> Timing:
    return Timing(expression, None, zone, at("2000-01-01"), **more)


def every(seconds: int, anchor: str, **more: Any) -> Timing:
    return Timing("", seconds, "UTC", at(anchor), **more)


def times(timing: Timing, after: str, count: int) -> list[str]:
    return [f"{due:%Y-%m-%d %H:%M:%S}" for due in timing.upcoming(at(after), count)]


def test_a_cron_expression_means_the_clock_of_its_zone() -> None:
    workdays = cron("0 8 * * 1-5", SAO_PAULO)
    assert times(workdays, "2026-11-27 11:00:00", 2) == ["2026-11-30 11:00:00", "2026-12-01 11:00:00"]
    assert times(workdays, "2026-11-27 10:59:59", 1) == ["2026-11-27 11:00:00"]


def test_what_is_due_now_is_not_due_again() -> None:
    daily = cron("30 4 * * *")
    assert times(daily, "2026-11-25 04:30:00", 1) == ["2026-11-26 04:30:00"]
    assert times(daily, "2026-11-25 04:29:59.999999", 1) == ["2026-11-25 04:30:00"]


# In Berlin the clocks go from 2:00 to 3:00 on 29 March 2026 at 1:00 UTC and from 3:00 back to 2:00 on 25 October; in
# São Paulo they went from 0:00 to 1:00 on 4 November 2018 at 3:00 UTC and from 0:00 back to 23:00 on 18 February.
@pytest.mark.parametrize(
    ("expression", "zone", "after", "due"),
    [
        # Skipped: the first minute after the gap.
        ("30 2 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:30"]),
        ("0 0 * * *", SAO_PAULO, "2018-11-03 12:00", ["2018-11-04 03:00", "2018-11-05 02:00"]),
        ("30 0 * * *", SAO_PAULO, "2018-11-03 12:00", ["2018-11-04 03:00", "2018-11-05 02:30"]),
        # Several that are skipped are due once, however they are written.
        ("0,15,30 2 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:00"]),
        ("*/15 2 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:00"]),
        ("0 */2 * * *", BERLIN, "2026-03-28 23:30", ["2026-03-29 01:00", "2026-03-29 02:00"]),
        # Also together with the time that comes after the gap.
        ("0 2,3 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:00"]),
        # Twice on the clock: the first time.
        ("30 2 * * *", BERLIN, "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
        ("30 23 * * *", SAO_PAULO, "2018-02-17 12:00", ["2018-02-18 01:30", "2018-02-19 02:30"]),
        ("*/30 2 * * *", BERLIN, "2026-10-24 12:00", ["2026-10-25 00:00", "2026-10-25 00:30", "2026-10-26 01:00"]),
        ("0 */2 * * *", BERLIN, "2026-10-24 22:30", ["2026-10-25 00:00", "2026-10-25 03:00"]),
        # Asked between the two: the first has been.
        ("30 2 * * *", BERLIN, "2026-10-25 01:10", ["2026-10-26 01:30"]),
        # Every hour has its run.
        ("15 * * * *", BERLIN, "2026-10-25 00:00", ["2026-10-25 00:15", "2026-10-25 01:15", "2026-10-25 02:15"]),
        ("15 * * * *", BERLIN, "2026-03-29 00:00", ["2026-03-29 00:15", "2026-03-29 01:15", "2026-03-29 02:15"]),
        ("*/20 * * * *", SAO_PAULO, "2018-02-18 01:30", ["2018-02-18 01:40", "2018-02-18 02:00", "2018-02-18 02:20"]),
        ("*/20 * * * *", SAO_PAULO, "2018-11-04 02:30", ["2018-11-04 02:40", "2018-11-04 03:00", "2018-11-04 03:20"]),
    ],
)
def test_clocks_that_change(expression: str, zone: str, after: str, due: list[str]) -> None:
    assert times(cron(expression, zone), f"{after}:00", len(due)) == [f"{moment}:00" for moment in due]


@pytest.mark.parametrize("zone", [BERLIN, SAO_PAULO, "America/New_York", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 0 * * *", "15 23 * * *", "45 1 * * *"])
def test_a_daily_time_is_due_once_on_every_day_of_a_year(expression: str, zone: str) -> None:
    due = [*cron(expression, zone).upcoming(at("2018-01-01"), 365)]
    assert len(due) == 365
    gaps = {later - earlier for earlier, later in pairwise(due)}
    assert min(gaps) >= timedelta(hours=22)
    assert max(gaps) <= timedelta(hours=26)


def test_an_interval_does_not_drift_however_late_one_looks() -> None:
    timing = every(7200, "2026-11-25 00:00:30")
    assert times(timing, "2026-11-25 05:13:47.1", 2) == ["2026-11-25 06:00:30", "2026-11-25 08:00:30"]
    assert times(timing, "2026-11-25 06:00:30", 1) == ["2026-11-25 08:00:30"]
    # Also over a change of the clocks, and a hundred thousand steps later.
    assert times(every(10, "2026-01-01 00:00:03"), "2026-11-25 00:00:00", 1) == ["2026-11-25 00:00:03"]


def test_an_interval_begins_at_its_start() -> None:
    start = at("2026-12-01 08:00:00")
    timing = every(3600, "2026-12-01 08:00:00", starts_at=start)
    assert times(timing, "2026-11-25 00:00:00", 2) == ["2026-12-01 08:00:00", "2026-12-01 09:00:00"]


def test_nothing_is_due_before_the_start_or_after_the_end() -> None:
    timing = cron("0 12 * * *", starts_at=at("2026-12-01 12:00:00"), ends_at=at("2026-12-03 12:00:00"))
    assert times(timing, "2026-11-25 00:00:00", 9) == [f"2026-12-0{day} 12:00:00" for day in (1, 2, 3)]
    assert timing.after(at("2026-12-03 12:00:00")) is None


def test_due_times_up_to_now_are_bounded() -> None:
    timing = every(60, "2026-11-25 00:00:00")
    first, now = at("2026-11-25 01:00:00"), at("2026-11-25 01:05:30")
    assert len(timing.until(first, now, most=100)) == 6
    assert timing.until(first, now, most=3)[-1] == at("2026-11-25 01:02:00")


@pytest.mark.parametrize(
    "wrong",
    [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a b c d e",
        "*/0 * * * *", "5-1 * * * *", "@daily", "0 0 30 2 *", "0 0 31 4,6 *", "1,,2 * * * *", "-1 * * * *", "² * * * *",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(wrong: str) -> None:
    with pytest.raises(NotATime):
        check_cron(wrong)


@pytest.mark.parametrize(
    "right", ["* * * * *", "0 0 29 2 *", "0 8 L * *", "0 8 * * MON-FRI", "0 8 1-7 * 1", "0 0 * * 5#2"]
)
def test_what_is_a_time_is_taken(right: str) -> None:
    check_cron(right)


def test_zones_go_by_their_names() -> None:
    assert {BERLIN, SAO_PAULO, "UTC"} <= time_zones()
    assert not {"Mars/Olympus", "", "../etc/passwd", "America"} & time_zones()
