"""Periods of quotas. All are of UTC, whatever the time where somebody is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MINUTE, DAY, MONTH, NONE = "minute", "day", "month", ""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Of what has no period."""


def start_of(period: str, now: datetime) -> datetime:
    """When the period of this moment began; all are of UTC."""
    utc = now.astimezone(UTC)
    if period == MINUTE:
        return utc.replace(second=0, microsecond=0)
    midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == DAY:
        return midnight
    return midnight.replace(day=1) if period == MONTH else BEGINNING


def end_of(period: str, starts_at: datetime) -> datetime | None:
    """When the next one begins; None for what has no period."""
    if period == MINUTE:
        return starts_at + timedelta(minutes=1)
    if period == DAY:
        return starts_at + timedelta(days=1)
    if period == MONTH:
        return (starts_at + timedelta(days=32)).replace(day=1)
    return None


def starts_of(now: datetime) -> list[datetime]:
    """When the current period of every length began."""
    return [start_of(period, now) for period in (MINUTE, DAY, MONTH, NONE)]
