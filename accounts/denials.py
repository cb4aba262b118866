"""Refusals of signed-in people as audit events: who wanted where, and was not let."""

from __future__ import annotations

from typing import Any

import structlog
from django.db import DatabaseError, transaction

from accounts import audit
from accounts.models import AuditEvent, User
from foundation.seldom import Seldom

logger = structlog.get_logger(__name__)

# Of one person at one address in each process: whoever knocks all day fills no table.
told = Seldom(seconds=60.0)


def note_denied(request: Any) -> None:
    """Records that this request (of Django or of DRF) was answered with 403, once a minute; an error is only logged."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return
    match = getattr(request, "resolver_match", None)
    # The pattern, not the address: it holds no ids, and no query.
    route = str(match.route) if match is not None else ""
    if not told.is_news((user.pk, f"{request.method} {route}")):
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
