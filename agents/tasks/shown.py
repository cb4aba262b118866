"""Values as people read them."""

from __future__ import annotations

import json
from typing import Any

from django.utils.formats import number_format
from django.utils.timezone import now

from agents.tasks.models import Task


def shown(value: Any) -> str:
    """Text as it is, `{"text": …}` as its text, the rest as JSON."""
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        value = value["text"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def duration_of(task: Task) -> str:
    """From acceptance to the end, or to now."""
    seconds = ((task.finished_at or now()) - task.created_at).total_seconds()
    return f"{number_format(seconds, 2)} s" if seconds < 60 else f"{number_format(seconds / 60, 1)} min"
