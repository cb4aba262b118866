"""Quotas and rate limits as plain data. Those of API keys stay with their keys, which no file holds."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts import limits
from accounts.audit import SYSTEM
from accounts.exceptions import InvalidLimit, UnknownSubject
from accounts.models import Quota, RateLimit
from accounts.quotas import plain
from accounts.subjects import Subject, names_of, parse_subject
from foundation.portable import Entry, NotApplicable, register_kind
from foundation.portable import names_of as list_of

EACH = " each"


class Quotas:
    """By `user:ana cost/month`; where each person has the amount, `role:team cost/month each`. Amounts are text, so
    that no file changes them.
    """

    name = "quotas"
    fields: Sequence[str] = ("amount", "reserve", "is_enabled")

    def read(self) -> dict[str, Entry]:
        """Every quota but those of keys."""
        rows = [*Quota.objects.filter(api_key=None).named().order_by("created_at", "pk")]
        return {_quota_name(row, subject): _said(row) for row, subject in zip(rows, names_of(rows), strict=True)}

    def apply(self, name: str, entry: Entry) -> None:
        """Makes the quota or changes it."""
        subject, unit, period, each_member = _parse(name)
        known = Quota.objects.filter(**subject.columns, unit=unit, period=period, each_member=each_member).first()
        given = {field: _value(field, entry[field]) for field in self.fields if field in entry}
        try:
            if known is not None:
                limits.change_quota(quota=known, actor=SYSTEM, changes=given)
            elif given.get("amount") is None:
                raise NotApplicable(_("“%(field)s” has to be a number.") % {"field": "amount"})
            else:
                limits.create_quota(
                    subject=subject.text, unit=unit, period=period, each_member=each_member, actor=SYSTEM, **given
                )
        except InvalidLimit as error:
            raise NotApplicable(str(error)) from error


def _quota_name(row: Quota, subject: str) -> str:
    return f"{subject} {row.kind}{EACH if row.each_member else ''}"


def _said(row: Quota) -> dict[str, Any]:
    reserve = None if row.reserve is None else plain(row.reserve)
    return {"amount": plain(row.amount), "reserve": reserve, "is_enabled": row.is_enabled}


def _parse(name: str) -> tuple[Subject, str, str, bool]:
    rest = name.removesuffix(EACH)
    subject, _space, kind = rest.rpartition(" ")
    unit, _slash, period = kind.partition("/")
    if unit not in Quota.Unit.values or period not in Quota.Period.values:
        raise NotApplicable(_("“%(name)s” is not like “user:ana cost/month”.") % {"name": name})
    return _subject(subject), unit, period, rest != name


def _subject(text: str) -> Subject:
    try:
        found = parse_subject(text)
    except UnknownSubject as error:
        raise NotApplicable(str(error)) from error
    if found.columns["api_key_id"] is not None:
        raise NotApplicable(_("Limits of API keys are in no file; set them where the key is."))
    return found


def _value(field: str, value: Any) -> Any:
    if field == "is_enabled":
        if not isinstance(value, bool):
            raise NotApplicable(_("“%(field)s” has to be true or false.") % {"field": field})
        return value
    if value is None and field == "reserve":
        return None
    try:
        amount = Decimal(str(value)) if not isinstance(value, bool) else Decimal("nan")
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite():
        raise NotApplicable(_("“%(field)s” has to be a number.") % {"field": field})
    return amount


class RateLimits:
    """By subject, `everybody` or `role:team`; the given rates become all that it has."""

    name = "rate_limits"
    fields: Sequence[str] = ("rates",)

    def read(self) -> dict[str, Entry]:
        """Every subject with a limit, but keys."""
        rows = [*RateLimit.objects.filter(api_key=None).named().order_by("created_at", "pk")]
        found: dict[str, list[str]] = {}
        for row, subject in zip(rows, names_of(rows), strict=True):
            found.setdefault(subject, []).append(row.rate)
        return {subject: {"rates": sorted(rates)} for subject, rates in found.items()}

    def apply(self, name: str, entry: Entry) -> None:
        """Sets them."""
        subject, wanted = _subject(name), list_of(entry, "rates")
        known = {row.rate: row for row in _rates_of(subject)}
        try:
            for rate in wanted:
                if rate not in known:
                    limits.create_rate_limit(subject=subject.text, rate=rate, actor=SYSTEM)
        except InvalidLimit as error:
            raise NotApplicable(str(error)) from error
        for rate, row in known.items():
            if rate not in wanted:
                limits.delete_rate_limit(limit=row, actor=SYSTEM)


def _rates_of(subject: Subject) -> QuerySet[RateLimit]:
    return RateLimit.objects.filter(**subject.columns)


def register_kinds() -> None:
    """Called when the application starts. After agents, whose limits may be among them."""
    register_kind(Quotas())
    register_kind(RateLimits())
