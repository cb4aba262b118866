"""What of a quota a task takes: which quotas apply to whom, for which period, and how much of them.

The rows are written in accounts.ledger; what is said here is enough to know what to write.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_UP, Decimal

from django.conf import settings

from accounts.models import NOBODY, Quota, User
from accounts.periods import start_of
from foundation.remembered import Remembered

Unit = Quota.Unit
LEAST = Decimal("0.000001")
# What a caller is asked to wait where nobody knows when a task will have ended.
UNFINISHED_WAIT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """A quota that is enabled, as every submission needs it. Its amount is read with the row that it bounds."""

    id: uuid.UUID
    unit: str
    period: str
    reserve: Decimal | None
    each_member: bool
    user_id: uuid.UUID | None
    role_id: int | None
    lineage: uuid.UUID | None
    agent_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Spender:
    """Who submits, by which key (its lineage), to which agent."""

    user: User
    lineage: uuid.UUID | None
    agent_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a task may spend by its own limits; None: nobody has said."""

    tokens: int | None = None
    cost: Decimal | None = None


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where it is written: one quota, one holder, one period. Rows are locked in the order of their places."""

    quota_id: uuid.UUID
    holder_id: uuid.UUID
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Share:
    """What one task takes of one quota: what is spent at once, and what is reserved until it ends."""

    place: Place
    spent: Decimal
    reserved: Decimal


@dataclass(frozen=True, slots=True)
class _Known:
    """`exist` also for quotas that are switched off: they may hold reservations."""

    exist: bool
    rules: tuple[Rule, ...]


_FIELDS = (
    "pk", "unit", "period", "reserve", "each_member", "user_id", "role_id", "api_key__lineage", "agent_id",
)  # fmt: skip


def _find() -> _Known:
    found = [*Quota.objects.order_by("pk").values_list(*_FIELDS, "is_enabled")]
    return _Known(bool(found), tuple(Rule(*row[:-1]) for row in found if row[-1]))


# Asked by every submission: a new quota counts from a second after it was made, one that was switched off as long.
_known = Remembered(_find)


def exist() -> bool:
    """Whether there is any quota at all."""
    return _known().exist


def forget() -> None:
    """This process sees a change at once."""
    _known.forget()


def rules_for(spender: Spender) -> list[Rule]:
    """The quotas that a task of theirs takes from. Costs a query only when a role has one, and one a second."""
    rules = _known().rules
    if not rules:
        return []
    roles = _roles_of(spender.user, rules)
    return [rule for rule in rules if _applies(rule, spender, roles)]


def _roles_of(user: User, rules: Sequence[Rule]) -> frozenset[int]:
    wanted = {rule.role_id for rule in rules if rule.role_id is not None}
    return frozenset(user.groups.filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else frozenset()


def _applies(rule: Rule, spender: Spender, roles: frozenset[int]) -> bool:
    if rule.user_id is not None:
        return rule.user_id == spender.user.pk
    if rule.role_id is not None:
        return rule.role_id in roles
    if rule.lineage is not None:
        return rule.lineage == spender.lineage
    return rule.agent_id in (None, spender.agent_id)


def shares_of(rules: Sequence[Rule], *, user: User, allowance: Allowance, now: datetime) -> list[Share]:
    """What one task of this person, accepted now, takes of these quotas."""
    return [*_shares_of(rules, user.pk, allowance, now)]


def _shares_of(rules: Sequence[Rule], user_id: uuid.UUID, allowance: Allowance, now: datetime) -> Iterator[Share]:
    for rule in rules:
        place = Place(rule.id, user_id if rule.each_member else NOBODY, start_of(rule.period, now))
        if rule.unit == Unit.REQUESTS:
            yield Share(place, spent=Decimal(1), reserved=Decimal(0))
        else:
            yield Share(place, spent=Decimal(0), reserved=_reserve(rule, allowance))


def _reserve(rule: Rule, allowance: Allowance) -> Decimal:
    """The task's own limit, else what the quota says of tasks without one, else what the installation does."""
    if rule.unit == Unit.UNFINISHED:
        return Decimal(1)
    own = allowance.tokens if rule.unit == Unit.TOKENS else allowance.cost
    usual = settings.QUOTA_RESERVE_TOKENS if rule.unit == Unit.TOKENS else settings.QUOTA_RESERVE_COST
    amount = own if own is not None else rule.reserve if rule.reserve is not None else usual
    # Rounded up as the column has it, so that no task reserves nothing.
    return max(Decimal(amount).quantize(LEAST, rounding=ROUND_UP), LEAST)


def plain(amount: Decimal) -> str:
    """The amount as people write it: without zeros at its end, never as 1E+2."""
    return f"{amount.normalize():f}"
