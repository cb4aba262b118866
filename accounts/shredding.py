"""Blanks what audit events tell of a person. Their digests stay, so the chain still verifies."""

from __future__ import annotations

from django.db import models, transaction
from django.db.models import QuerySet

from accounts import audit, chain, links
from accounts.audit import Actor
from accounts.models import AuditEvent

# Which events a deed has shredded is in the deed's own digests, for ever: not too many in one.
MOST_IN_A_DEED = 1_000


def shred(*, events: QuerySet[AuditEvent], verb: str, actor: Actor, subject: models.Model) -> int:
    """Blanks names, changes, addresses and request ids of these events, and their salts; how many there were.

    Each thousand is one transaction with one deed that says which they were: blanking by hand in the database has no
    such deed, and is found. The deed tells of its subject what `str(subject)` says.
    """
    chain.chain_all()
    total = 0
    while count := _shred_some(events, verb, actor, subject):
        total += count
    return total


@transaction.atomic
def _shred_some(events: QuerySet[AuditEvent], verb: str, actor: Actor, subject: models.Model) -> int:
    chain.lock()
    whole = events.filter(shredded_by=None, position__isnull=False).order_by("position")
    found = [*whole.values_list("position", "pk")[:MOST_IN_A_DEED]]
    if not found:
        return 0
    runs = links.ranges_of([position for position, _pk in found if position is not None])
    deed = audit.record(verb=verb, actor=actor, subject=subject, changes={"shredded": len(found)}, shreds=runs)
    AuditEvent.objects.filter(pk__in=[pk for _position, pk in found]).update(
        **links.BLANK, salt="", shredded_by=deed.pk
    )
    return len(found)
