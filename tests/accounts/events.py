"""Audit events as tests write them, and what verifying says of them."""

from __future__ import annotations

from typing import Any

from accounts import audit
from accounts.models import AuditEvent
from accounts.verifying import Verification


def record(count: int = 1, **options: Any) -> list[AuditEvent]:
    """So many events, Ana's unless told otherwise."""
    usual: dict[str, Any] = {
        "verb": "auth.sign_in",
        "actor": audit.Actor(name="Ana", address="192.0.2.7", request_id="r-12345678"),
    }
    return [
        audit.record(**({**usual, "changes": {"number": number, "half": 0.5}} | options)) for number in range(count)
    ]


def at(position: int) -> Any:
    """The event there, to be tampered with."""
    return AuditEvent.objects.filter(position=position)


def kind(found: Verification) -> tuple[str, int | None]:
    """What is wrong, and where."""
    assert found.broken is not None
    return found.broken.kind, found.broken.position
