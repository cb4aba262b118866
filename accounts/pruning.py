"""Sessions and refresh tokens past their end, and the oldest part of the audit log where that is not kept for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts import chain, seals
from accounts.models import ApiSession, AuditEvent, AuditSeal, QuotaPeriod
from foundation.pruning import BATCH, Rule, register_rule


def ended_sessions(moment: datetime) -> QuerySet[Session]:
    """Sessions nobody can use any more."""
    return Session.objects.filter(expire_date__lt=moment).order_by("expire_date")


def ended_tokens(moment: datetime) -> QuerySet[OutstandingToken]:
    """Refresh tokens past their expiry, and with them the note that they were used."""
    return OutstandingToken.objects.filter(expires_at__lt=moment).order_by("pk")


def old_events(moment: datetime) -> QuerySet[AuditEvent]:
    """The beginning of the chain, up to the first event that is not older; the last event of all stays."""
    chained = AuditEvent.objects.filter(position__isnull=False).order_by("position")
    kept = chained.filter(created_at__gte=moment).values_list("position", flat=True).first()
    if kept is None:
        kept = chain.head_of_chain().position
    return chained.filter(position__lt=kept)


def cut(old: QuerySet[AuditEvent]) -> Iterator[int]:
    """Deletes these events, the beginning of the chain, a batch at a time. Where it begins then, a signed seal says so:
    without it the missing beginning would be found.
    """
    while count := _cut_some(old):
        yield count


@transaction.atomic
def _cut_some(old: QuerySet[AuditEvent]) -> int:
    chain.lock()
    found = [*old.values_list("position", "hash")[:BATCH]]
    if not found:
        return 0
    position, last_hash = found[-1]
    assert position is not None  # noqa: S101 (only events with a place are old)
    reason = AuditSeal.Reason.RETENTION
    AuditSeal.objects.filter(reason=reason).delete()
    made = AuditSeal.objects.create(**seals.signed(position, last_hash, reason))
    AuditEvent.objects.filter(position__lte=position).delete()
    transaction.on_commit(lambda: seals.keep_outside(made))
    return len(found)


def old_quota_periods(moment: datetime) -> QuerySet[QuotaPeriod]:
    """What was spent of quotas long ago."""
    return QuotaPeriod.objects.old(moment)


def ended_api_sessions(moment: datetime) -> QuerySet[ApiSession]:
    """Sessions of the API that ended, or whose last token is past its expiry."""
    return ApiSession.objects.over(moment)


def register_rules() -> None:
    """Called when the application starts."""
    register_rule(Rule("sessions", _("expired sessions"), ended_sessions))
    register_rule(Rule("refresh-tokens", _("expired refresh tokens"), ended_tokens))
    register_rule(Rule("audit", _("audit events"), old_events, "KEEP_AUDIT_DAYS", cut))
    register_rule(Rule("quota-periods", _("what was spent of quotas"), old_quota_periods, "KEEP_QUOTA_PERIODS_DAYS"))
    register_rule(Rule("api-sessions", _("ended API sessions"), ended_api_sessions))
