"""Setting rate limits and quotas: for whom, and how much. What counts is in accounts.limiting and accounts.ledger."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, limiting, quotas
from accounts.audit import Actor
from accounts.exceptions import InvalidLimit, UnknownSubject
from accounts.models import Quota, RateLimit
from accounts.periods import start_of
from accounts.subjects import name_of, parse_subject

# What a quota is, is what was spent of it: another subject or period is another quota.
CHANGEABLE = ("amount", "reserve", "is_enabled")
AUDITED = ("unit", "period", "amount", "each_member", "reserve", "is_enabled")


def create_quota(
    *,
    subject: str,
    unit: str,
    amount: Decimal,
    actor: Actor,
    period: str = "",
    each_member: bool = False,
    reserve: Decimal | None = None,
    is_enabled: bool = True,
) -> Quota:
    """Sets what a subject (accounts.subjects: `user:ana`, `everybody`) may spend of a unit in a period. It counts tasks
    that are accepted from then on; other processes notice it within a second. Raises InvalidLimit.
    """
    row = Quota(
        **_subject(subject), unit=unit, period=period, amount=amount, each_member=each_member, reserve=reserve,
        is_enabled=is_enabled,
    )  # fmt: skip
    return save_quota(quota=row, actor=actor)


@transaction.atomic
def change_quota(*, quota: Quota, actor: Actor, changes: Mapping[str, Any]) -> Quota:
    """Changes `amount`, `reserve` or `is_enabled`. What is spent and reserved stays; tasks that run go on, also when
    there is less now than they have reserved. Raises InvalidLimit.
    """
    row = Quota.objects.select_for_update(of=("self",)).named().get(pk=quota.pk)
    for name in CHANGEABLE:
        setattr(row, name, changes.get(name, getattr(row, name)))
    return save_quota(quota=row, actor=actor)


@transaction.atomic
def save_quota(*, quota: Quota, actor: Actor) -> Quota:
    """Writes a new or changed row, with its audit event. Raises InvalidLimit."""
    is_new = quota._state.adding
    before = {} if is_new else _facts(Quota.objects.named().get(pk=quota.pk), AUDITED)
    _clean(quota)
    if is_new and is_there(quota):
        raise InvalidLimit({"unit": [_("There is such a quota already; change that one.")]})
    quota.save()
    if not is_new:
        _mark_again(quota)
    _record(quota, "quota", before, _facts(quota, AUDITED), actor)
    transaction.on_commit(quotas.forget)
    return quota


def is_there(quota: Quota) -> bool:
    """Whether there is a quota of just this kind for this subject: what it bounds is what it is known by."""
    names = ("user_id", "role_id", "api_key_id", "agent_id", "unit", "period", "each_member")
    return Quota.objects.filter(**{name: getattr(quota, name) for name in names}).exists()


def _mark_again(quota: Quota) -> None:
    """Of the periods that go on: whoever was warned of the old amount may have to be warned of the new one."""
    rows = quota.periods.select_for_update(of=("self",)).select_related("quota")
    current = [*rows.filter(starts_at=start_of(quota.period, timezone.now())).order_by("holder_id", "pk")]
    for row in current:
        row.warned = min(row.warned, row.mark)
    quota.periods.bulk_update(current, ["warned"])


@transaction.atomic
def delete_quota(*, quota: Quota, actor: Actor) -> None:
    """Forgets a quota and what was spent of it."""
    # In the order of those who spend: the quota, then its periods.
    Quota.objects.select_for_update(of=("self",)).filter(pk=quota.pk).first()
    [*quota.periods.select_for_update(of=("self",)).order_by("holder_id", "starts_at").values_list("pk")]
    _record(quota, "quota", _facts(quota, AUDITED), {}, actor)
    quota.delete()
    transaction.on_commit(quotas.forget)


def create_rate_limit(*, subject: str, rate: str, actor: Actor) -> RateLimit:
    """Sets how many requests a subject may make in a time. Raises InvalidLimit."""
    return save_rate_limit(limit=RateLimit(**_subject(subject), rate=rate), actor=actor)


@transaction.atomic
def change_rate_limit(*, limit: RateLimit, rate: str, actor: Actor) -> RateLimit:
    """Another rate begins to count from zero. Raises InvalidLimit."""
    limit.rate = rate
    return save_rate_limit(limit=limit, actor=actor)


@transaction.atomic
def save_rate_limit(*, limit: RateLimit, actor: Actor) -> RateLimit:
    """Writes a new or changed row, with its audit event. Raises InvalidLimit."""
    before = {} if limit._state.adding else _facts(RateLimit.objects.get(pk=limit.pk), ("rate",))
    _clean(limit)
    limit.save()
    _record(limit, "rate_limit", before, _facts(limit, ("rate",)), actor)
    transaction.on_commit(limiting.rows.forget)
    return limit


@transaction.atomic
def delete_rate_limit(*, limit: RateLimit, actor: Actor) -> None:
    """What the settings say, if they say anything, counts again."""
    _record(limit, "rate_limit", _facts(limit, ("rate",)), {}, actor)
    limit.delete()
    transaction.on_commit(limiting.rows.forget)


def _subject(text: str) -> dict[str, Any]:
    try:
        return dict(parse_subject(text).columns)
    except UnknownSubject as error:
        raise InvalidLimit({"subject": [str(error)]}) from error


def _clean(row: models.Model) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        found = {("limit" if name == "__all__" else name): sentences for name, sentences in error.message_dict.items()}
        raise InvalidLimit(found) from error


def _facts(row: models.Model, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in names}


def _plain(value: Any) -> Any:
    return quotas.plain(value) if isinstance(value, Decimal) else value


def _record(
    row: Quota | RateLimit, kind: str, before: Mapping[str, Any], after: Mapping[str, Any], actor: Actor
) -> None:
    """Before and after of what has changed. Nothing is written where nothing has."""
    changes = audit.difference(before, after)
    if before and after and not changes:
        return
    done = "create" if not before else "change" if after else "delete"
    audit.record(verb=f"{kind}.{done}", actor=actor, subject=row, changes={"subject": _subject_of(row), **changes})


def _subject_of(row: Quota | RateLimit) -> str:
    """For the record: a person by their id, as the name is to go when they are erased."""
    return f"user:{row.user_id}" if row.user_id else name_of(row)
