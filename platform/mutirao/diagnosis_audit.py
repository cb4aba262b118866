"""Is the audit log tended: what `doctor` says of its chain and its seals. The whole chain is for `verify_audit`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from accounts import chain
from accounts.models import AuditSeal
from mutirao.findings import Finding, Level

# A worker chains what is left over every half minute.
LATE = timedelta(minutes=5)
# So many times AUDIT_SEAL_HOURS without a seal are too long.
PATIENCE = 3


def audit_log() -> Iterator[Finding]:
    """Events without a place, and a chain that goes on without seals."""
    now = timezone.now()
    left = chain.unchained().filter(created_at__lt=now - LATE).count()
    head = chain.head_of_chain()
    last = AuditSeal.objects.order_by("-position").first()
    late = now - timedelta(hours=settings.AUDIT_SEAL_HOURS * PATIENCE)
    has_news = head.position > (last.position if last else 0)
    if left:
        advice = "Is a worker alive? If so the platform did not write them: run `manage.py verify_audit`."
        yield Finding("audit", Level.CRITICAL, f"{left} audit events are in no chain.", advice)
    elif has_news and last is not None and last.created_at < late:
        advice = "Run `manage.py seal_audit`: it says whether the chain is broken."
        yield Finding(
            "audit", Level.WARNING, f"The audit log was sealed last at {last.created_at:%Y-%m-%d %H:%M}.", advice
        )
    else:
        yield Finding("audit", Level.OK, f"The audit log has {head.position} events in its chain.")
