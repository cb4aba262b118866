"""What receivers are told: the bodies of webhooks."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.conf import settings

from accounts.quota_warnings import Warned
from accounts.quotas import plain
from agents.tasks.models import Task
from agents.tasks.serializers import outcome

# A larger result is not sent; the receiver fetches it from the address of the task.
LARGEST_RESULT_BYTES = 64 * 1024


def finished_message(task: Task, result: Any, now: datetime, *, with_result: bool) -> str:
    """The body for a task that has ended: JSON text.

    Shape: `{"type", "timestamp", "data": {"id", "agent", "agent_version", "status", "url", "result", "result_included",
    "error", "usage", "metadata", "created_at", "finished_at"}}`. `result` is null unless `result_included`.
    """
    said = outcome(task)
    is_included = with_result and len(json.dumps(result)) <= LARGEST_RESULT_BYTES
    data = {
        "id": str(task.pk),
        "agent": task.agent_version.agent.slug,
        "agent_version": task.agent_version.number,
        "status": str(task.status),
        "url": f"{settings.PUBLIC_URL}/api/v1/tasks/{task.pk}",
        "result": result if is_included else None,
        "result_included": is_included,
        "error": said["error"],
        "usage": said["usage"],
        "metadata": task.metadata,
        "created_at": task.created_at.isoformat(),
        "finished_at": (task.finished_at or now).isoformat(),
    }
    return _body("task.finished", now, data)


def test_message(endpoint_id: Any, now: datetime) -> str:
    """The body of a test."""
    return _body("webhook.test", now, {"endpoint": str(endpoint_id)})


def quota_message(warned: Warned, now: datetime) -> str:
    """The body for a quota of which much is spent: JSON text.

    Shape: `{"type", "timestamp", "data": {"id", "quota", "percent", "spent", "amount", "unit", "period", "starts_at",
    "resets_at"}}`; amounts are decimal strings.
    """
    data = {
        "id": str(warned.quota.pk),
        "quota": warned.name,
        "percent": warned.mark,
        "spent": plain(warned.spent),
        "amount": plain(warned.quota.amount),
        "unit": warned.quota.unit,
        "period": warned.quota.period,
        "starts_at": warned.starts_at.isoformat(),
        "resets_at": warned.ends_at.isoformat() if warned.ends_at else None,
    }
    return _body("quota.warning", now, data)


def _body(kind: str, now: datetime, data: dict[str, Any]) -> str:
    whole = {"type": kind, "timestamp": now.isoformat(), "data": data}
    # ASCII: whatever a result holds, it can be stored, signed and sent.
    return json.dumps(whole, separators=(",", ":"))
