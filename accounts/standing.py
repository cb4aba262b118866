"""How quotas stand: what is spent, reserved and left of them in the current period, for somebody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q
from django.utils import timezone

from accounts import subjects
from accounts.models import NOBODY, Quota, QuotaPeriod, User
from accounts.periods import end_of, start_of
from accounts.quotas import plain


@dataclass(frozen=True, slots=True)
class Standing:
    """One quota in its current period. `percent` is of what is spent or reserved, at most 100."""

    quota: Quota
    subject: str
    spent: Decimal
    reserved: Decimal
    starts_at: datetime
    resets_at: datetime | None

    @property
    def left(self) -> Decimal:
        """What may still be reserved; nothing of what is overdrawn."""
        return max(self.quota.amount - self.spent - self.reserved, Decimal(0))

    @property
    def percent(self) -> int:
        """How full it is."""
        taken = self.spent + self.reserved
        if taken >= self.quota.amount:
            return 100
        return int(taken * 100 / self.quota.amount)

    @property
    def percent_spent(self) -> int:
        """The part of it that is spent."""
        return min(int(self.spent * 100 / self.quota.amount), 100) if self.quota.amount else 100

    @property
    def in_words(self) -> str:
        """Spent and amount, as people write them."""
        taken = self.reserved if self.quota.unit == Quota.Unit.UNFINISHED else self.spent
        return f"{plain(taken)} / {plain(self.quota.amount)}"


def standings_of(quotas: Iterable[Quota], *, user: User) -> list[Standing]:
    """How these stand; where each person has the amount, for this one. One query, and one for the names of agents."""
    rows, now = [*quotas], timezone.now()
    holders = Q(holder_id=NOBODY, quota__each_member=False) | Q(holder_id=user.pk, quota__each_member=True)
    current = QuotaPeriod.objects.current(now).filter(holders, quota__in=[row.pk for row in rows])
    found = {(each.quota_id, each.starts_at): each for each in current} if rows else {}
    return [
        _standing(row, name, found.get((row.pk, start_of(row.period, now))), start_of(row.period, now))
        for row, name in zip(rows, subjects.names_of(rows), strict=True)
    ]


def _standing(quota: Quota, subject: str, row: QuotaPeriod | None, starts_at: datetime) -> Standing:
    spent, reserved = (row.spent, row.reserved) if row is not None else (Decimal(0), Decimal(0))
    return Standing(quota, subject, spent, reserved, starts_at, end_of(quota.period, starts_at))
