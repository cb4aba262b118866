"""What crosses this room's borders."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict


class ScheduleFields(TypedDict, total=False):
    """What people say of a schedule, by name; see the model. `agent` is a slug, `input` what a submission takes.

    `cron` and `every_seconds` exclude each other.
    """

    name: str
    agent: str
    input: Any
    priority: int
    queue: str
    metadata: Mapping[str, Any]
    cron: str
    every_seconds: int | None
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    if_missed: str
    if_overlapping: str


WHEN = ("cron", "every_seconds", "timezone", "starts_at", "ends_at")
"""The fields that decide when it is due."""

TOLD = ("name", "agent", "priority", "queue", *WHEN, "if_missed", "if_overlapping")
"""The fields whose values are in the record of changes."""
