"""What is reserved and spent of quotas, as rows: written in the transaction that accepts a task, and in the one that
ends it.

However many tasks a transaction accepts and ends, their periods are locked once, at its end and in one order
(`together`): two that took the same rows in another order would wait for each other for ever. The rows are read under
their locks, compared and written back, so that no two can take the same rest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import ceil

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import quota_warnings, subjects
from accounts.exceptions import QuotaExceeded
from accounts.models import Quota, QuotaPeriod, Reservation
from accounts.periods import end_of
from accounts.quotas import UNFINISHED_WAIT_SECONDS, Place, Share, Unit
from telemetry import metrics

MOST_SEEN = 10_000
ORDER = ("quota_id", "holder_id", "starts_at")
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a task has spent in all its attempts."""

    tokens: int = 0
    cost: Decimal = NOTHING

    def of(self, unit: str) -> Decimal:
        """What of it counts in this unit."""
        if unit == Unit.TOKENS:
            return Decimal(self.tokens)
        return self.cost if unit == Unit.COST else NOTHING


@dataclass(slots=True)
class _Batch:
    held: dict[uuid.UUID, Sequence[Share]] = field(default_factory=dict)
    ended: dict[uuid.UUID, Spent] = field(default_factory=dict)


_open: ContextVar[_Batch | None] = ContextVar("quota_batch", default=None)
# Places whose rows are known to be there, so that nobody has to look before locking them.
_seen: set[Place] = set()


@contextmanager
def together() -> Iterator[None]:
    """What is reserved and settled within is written at the end of the outermost one, whose caller is in a
    transaction. Raises QuotaExceeded there; the transaction has to be undone then.
    """
    if _open.get() is not None:
        yield
        return
    batch = _Batch()
    token = _open.set(batch)
    try:
        yield
    finally:
        _open.reset(token)
    if batch.held or batch.ended:
        _write(batch)


def reserve(task_id: uuid.UUID, shares: Sequence[Share]) -> None:
    """Takes these shares for a task, all or none. Raises QuotaExceeded, naming the first that has too little left."""
    with together():
        _batch().held[task_id] = shares


def settle(spent: Mapping[uuid.UUID, Spent]) -> None:
    """Tasks have ended: what they have really spent is spent, and what was reserved for them is free. Nothing happens
    to what is settled already.
    """
    with together():
        batch = _batch()
        for task_id, amount in spent.items():
            if shares := batch.held.get(task_id):
                # It has ended in the transaction that accepts it.
                batch.held[task_id] = [replace(share, reserved=NOTHING) for share in shares]
            batch.ended[task_id] = amount


def _batch() -> _Batch:
    batch = _open.get()
    assert batch is not None  # noqa: S101 (opened by whoever calls)
    return batch


def _write(batch: _Batch) -> None:
    reservations = _reservations_of(batch.ended)
    places = {share.place for shares in batch.held.values() for share in shares}
    rows = _lock(places, [each.period_id for each in reservations])
    before = {row.pk: row.spent for row in rows.values()}
    _settle(rows, reservations, batch.ended)
    made = _take(rows, batch.held)
    _warn([row for row in rows.values() if row.spent > before[row.pk]])
    _store(rows.values())
    Reservation.objects.bulk_create(made)
    if reservations:
        Reservation.objects.filter(pk__in=[each.pk for each in reservations]).delete()


def _store(rows: Iterable[QuotaPeriod]) -> None:
    """SQL, as every submission under a quota does this: the ORM's `bulk_update` takes longer than all else here."""
    amount = QuotaPeriod._meta.get_field("spent").get_db_prep_save
    written = [(amount(row.spent, connection), amount(row.reserved, connection), row.warned, row.pk) for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE accounts_quotaperiod SET spent = %s, reserved = %s, warned = %s WHERE id = %s", written
        )


def _reservations_of(task_ids: Iterable[uuid.UUID]) -> list[Reservation]:
    """Locked, so that of two who settle a task at once the second finds nothing."""
    if not (ids := [*task_ids]):
        return []
    return [*Reservation.objects.select_for_update(of=("self",)).filter(task_id__in=ids).order_by("pk")]


def _lock(places: set[Place], period_ids: Sequence[int]) -> dict[int, QuotaPeriod]:
    """The rows of these places, made where they are missing, and those of these ids, with their quotas."""
    _make(places - _seen)
    rows = _locked(places, period_ids)
    if missing := places - {_place_of(row) for row in rows.values()}:
        # Deleted since they were seen, with their quota, or as it is after a restored backup.
        _seen.difference_update(missing)
        _make(missing)
        rows = _locked(places, period_ids)
    return rows


def _locked(places: set[Place], period_ids: Sequence[int]) -> dict[int, QuotaPeriod]:
    found = QuotaPeriod.objects.select_for_update(of=("self",)).select_related("quota")
    wanted = found.filter(_at(places) | Q(pk__in=period_ids))
    return {row.pk: row for row in wanted.order_by(*ORDER)}


def _at(places: Iterable[Place]) -> Q:
    found = Q(pk__in=[])
    for each in sorted(places):
        found |= Q(quota=each.quota_id, holder_id=each.holder_id, starts_at=each.starts_at)
    return found


def _make(places: set[Place]) -> None:
    """The rows of these places that are missing, where their quotas are still there. These are locked, so that they
    stay; but not by a transaction that has made the rows before, and holds them.
    """
    if not places:
        return
    missing = places - {_place_of(row) for row in QuotaPeriod.objects.filter(_at(places))}
    if missing:
        quotas = Quota.objects.select_for_update(no_key=True).filter(pk__in={each.quota_id for each in missing})
        there = {*quotas.order_by("pk").values_list("pk", flat=True)}
        wanted = [each for each in sorted(missing) if each.quota_id in there]
        rows = [
            QuotaPeriod(quota_id=each.quota_id, holder_id=each.holder_id, starts_at=each.starts_at) for each in wanted
        ]
        QuotaPeriod.objects.bulk_create(rows, ignore_conflicts=True)
    transaction.on_commit(lambda: _see(places))


def _see(places: Iterable[Place]) -> None:
    if len(_seen) > MOST_SEEN:
        _seen.clear()
    _seen.update(places)


def _place_of(row: QuotaPeriod) -> Place:
    return Place(row.quota_id, row.holder_id, row.starts_at)


def _settle(
    rows: Mapping[int, QuotaPeriod], reservations: Sequence[Reservation], ended: Mapping[uuid.UUID, Spent]
) -> None:
    for each in reservations:
        row = rows[each.period_id]
        row.reserved -= each.amount
        row.spent += ended[each.task_id].of(row.quota.unit)


def _take(rows: Mapping[int, QuotaPeriod], held: Mapping[uuid.UUID, Sequence[Share]]) -> list[Reservation]:
    """A quota that was deleted meanwhile bounds nothing any more."""
    by_place = {_place_of(row): row for row in rows.values()}
    made: list[Reservation] = []
    for task_id, shares in held.items():
        for share in sorted(shares, key=lambda each: each.place):
            if (row := by_place.get(share.place)) is None:
                continue
            _check(row, share)
            row.spent += share.spent
            row.reserved += share.reserved
            if share.reserved:
                made.append(Reservation(period=row, task_id=task_id, amount=share.reserved))
    return made


def _check(row: QuotaPeriod, share: Share) -> None:
    """The guard. Raises QuotaExceeded."""
    if row.spent + row.reserved + share.spent + share.reserved > row.quota.amount:
        _note_refused(row.quota.unit)
        raise _refusal(row)


def _refusal(row: QuotaPeriod) -> QuotaExceeded:
    """Names the quota and says when there may be more; how much others have spent is not the caller's to know."""
    name = f"{subjects.name_of(row.quota)} {row.quota.kind}"
    ends_at = end_of(row.quota.period, row.starts_at)
    if ends_at is None:
        sentence = _("The quota “%(quota)s” is full: wait until a task has ended.") % {"quota": name}
        return QuotaExceeded(sentence, quota=name, unit=row.quota.unit, retry_after=UNFINISHED_WAIT_SECONDS)
    sentence = _("The quota “%(quota)s” has too little left for this until %(when)s UTC.")
    seconds = max(ceil((ends_at - timezone.now()).total_seconds()), 1)
    said = sentence % {"quota": name, "when": f"{ends_at:%Y-%m-%d %H:%M}"}
    return QuotaExceeded(said, quota=name, unit=row.quota.unit, retry_after=seconds)


@metrics.harmless
def _note_refused(unit: str) -> None:
    metrics.QUOTA_REFUSED.labels(unit).inc()


def _warn(rows: Sequence[QuotaPeriod]) -> None:
    """Whoever holds the row warns, and writes that down in it: once, whatever the number of processes."""
    for row in rows:
        mark = row.mark
        if mark > row.warned and row.quota.warns:
            row.warned = mark
            quota_warnings.warn(row, mark)


def forget() -> None:
    """Looks again whether rows are there."""
    _seen.clear()
