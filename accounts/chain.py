"""The audit events as a chain: each has the hash of the one before it in its own.

An event is written in the transaction of its deed, and chained right after the commit: whoever comes first chains what
there is, in a short transaction of its own under one lock. What a crash in between leaves is chained by the workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet

from accounts import links
from accounts.models import AuditEvent

logger = structlog.get_logger(__name__)

# Few enough that whoever does it is not held up, and SQLite's one write lock is not either.
BATCH = 200
# Any number that nobody else of this database locks.
LOCK = 0x6D75746972616F


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: its last position (0: there is none) and hash, and whether its event carries a proof."""

    position: int = 0
    hash: str = ""
    is_proven: bool = False


def chain_soon() -> None:
    """Chains what was just committed; an error is logged, and a worker does it later."""
    try:
        chain()
    except (DatabaseError, ValueError) as error:
        logger.warning("audit_not_chained", error=type(error).__name__)


def chain(*, most: int = BATCH) -> int:
    """Gives a place to at most so many events that have none, in order of their ids; how many there were.

    Events that this platform has not written get none: they stay as they are, for `verify_audit` to tell.
    """
    if not unchained().exists():
        return 0
    with transaction.atomic():
        lock()
        head = head_of_chain()
        rows: list[AuditEvent] = []
        old: list[AuditEvent] = []
        for row in islice(_ours(head), most):
            if not row.digests:
                row.salt = links.new_salt()
                row.digests = links.digests_of(link_of(row))
                old.append(row)
            head = _append(head, row)
            rows.append(row)
        AuditEvent.objects.bulk_update(rows, ["position", "hash"], batch_size=BATCH)
        AuditEvent.objects.bulk_update(old, ["salt", "digests"], batch_size=BATCH)
    return len(rows)


def chain_all() -> int:
    """All of them, a batch at a time; how many."""
    total = 0
    while count := chain():
        total += count
    return total


def unchained() -> QuerySet[AuditEvent]:
    """Events without a place, in order of their ids."""
    return AuditEvent.objects.filter(position=None).order_by("id")


def head_of_chain() -> Head:
    """The end of the chain as it is now."""
    rows = AuditEvent.objects.filter(position__isnull=False).order_by("-position")
    found = rows.values_list("position", "hash", "digests").first()
    return Head() if found is None else Head(found[0] or 0, found[1], links.PROOF in found[2])


def lock() -> None:
    """One at a time appends or cuts, until the end of the transaction. SQLite's transactions are so by themselves."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def link_of(event: AuditEvent) -> links.Link:
    """The row as a link."""
    return {name: getattr(event, name) for name in links.COLUMNS}


def _ours(head: Head) -> Iterator[AuditEvent]:
    """Of what has no place, what the platform has written: with its proof, or before there were proofs."""
    with_proofs = head.is_proven
    for row in unchained().iterator(chunk_size=BATCH):
        if links.PROOF in row.digests and links.is_proven(link_of(row)):
            with_proofs = True
            yield row
        elif not row.digests and not with_proofs:
            yield row
        else:
            logger.error("audit_event_not_ours", id=str(row.pk))


def _append(head: Head, row: AuditEvent) -> Head:
    row.position = head.position + 1
    row.hash = links.hash_of(head.hash, row.position, link_of(row))
    return replace(head, position=row.position, hash=row.hash)
