"""The record of what somebody tried and may not: written after the refusal, when the deed is undone."""

from __future__ import annotations

from accounts import audit
from accounts.audit import Actor
from accounts.exceptions import LastAdministrator, MissingRight, NotYoursToShare, StrongerAccount
from accounts.models import AuditEvent

RECORDED = (LastAdministrator, MissingRight, NotYoursToShare, StrongerAccount)


def record_refusal(error: Exception, actor: Actor) -> None:
    """Of attempts to get or give more than one has; other refusals are mistakes, and are in no record."""
    if isinstance(error, RECORDED):
        changes = {"refusal": type(error).__name__, "said": str(error)}
        audit.record(verb="rights.exceed", actor=actor, outcome=AuditEvent.Outcome.DENIED, changes=changes)
