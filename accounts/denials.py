"""Refusals of signed-in people as audit events: who wanted where, and was not let."""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog
from django.db import DatabaseError, transaction

from accounts import audit
from accounts.models import AuditEvent, User

logger = structlog.get_logger(__name__)

# Of one person at one address in each process: whoever knocks all day fills no table.
EVERY_SECONDS = 60.0
MOST_REMEMBERED = 10_000

_told: dict[tuple[Any, str], float] = {}
_lock = threading.Lock()


def note_denied(request: Any) -> None:
    """Records that this request (of Django or of DRF) was answered with 403, once a minute; an error is only logged."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return
    match = getattr(request, "resolver_match", None)
    # The pattern, not the address: it holds no ids, and no query.
    route = str(match.route) if match is not None else ""
    if not _is_news((user.pk, f"{request.method} {route}")):
        return
    try:
        with transaction.atomic():
            audit.record(
                verb="access.denied",
                actor=audit.Actor.of(request),
                outcome=AuditEvent.Outcome.DENIED,
                changes={"method": str(request.method), "route": f"/{route}"},
            )
    except DatabaseError as error:
        logger.warning("denial_not_recorded", error=type(error).__name__)


def forget() -> None:
    """Forgets what was told."""
    with _lock:
        _told.clear()


def _is_news(key: tuple[Any, str]) -> bool:
    now = time.monotonic()
    with _lock:
        if now < _told.get(key, 0.0):
            return False
        if len(_told) >= MOST_REMEMBERED:
            _told.clear()
        _told[key] = now + EVERY_SECONDS
        return True
