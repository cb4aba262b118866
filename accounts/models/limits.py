"""How much: requests in a time (counted in Redis), and what may be spent in a period (counted in rows)."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import ClassVar

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models.credentials import ApiKey
from accounts.models.people import User
from accounts.querysets import QuotaPeriodQuerySet, QuotaQuerySet, RateLimitQuerySet
from accounts.rates import validate_rate
from foundation.models import BaseModel

NOBODY = uuid.UUID(int=0)
"""The holder of what is shared."""

MARKS = (50, 80, 100)
"""When somebody is warned, in percent."""


class OfSubject(BaseModel):
    """A row about one user, role, API key or agent; about everybody when it names none.

    An agent is a room above, so it is named by its id without a constraint (accounts.subjects knows what it is).
    """

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("user")
    )
    role = models.ForeignKey(
        Group, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("role")
    )
    # With all keys of its lineage.
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("API key")
    )
    agent_id = models.UUIDField(_("agent"), null=True, blank=True, db_index=True)

    class Meta:
        abstract = True


def _one_subject(name: str) -> models.CheckConstraint:
    """At most one of the four."""
    columns = ("user", "role", "api_key", "agent_id")
    none = {f"{column}__isnull": True for column in columns}
    one = [Q(**{**none, f"{column}__isnull": False}) for column in columns]
    return models.CheckConstraint(condition=Q(**none) | one[0] | one[1] | one[2] | one[3], name=name)


class RateLimit(OfSubject):
    """How many requests in a time; of a role and of everybody: for each person. The strictest that applies wins."""

    rate = models.CharField(
        _("rate"), max_length=20, validators=[validate_rate],
        help_text=_("How many in which time: 100/m, 5/s, 1000/h, 20/10s. 0/m shuts the door."),
    )  # fmt: skip

    objects = RateLimitQuerySet.as_manager()

    class Meta:
        verbose_name = _("rate limit")
        verbose_name_plural = _("rate limits")
        ordering: ClassVar = ["created_at", "id"]
        constraints: ClassVar = [_one_subject("accounts_rate_of_one")]

    def __str__(self) -> str:
        return self.rate


class Quota(OfSubject):
    """What may be spent in a period of UTC, or how many tasks may be unfinished. Held by rows, without Redis."""

    class Unit(models.TextChoices):
        REQUESTS = "requests", _("tasks accepted")
        TOKENS = "tokens", _("tokens")
        COST = "cost", _("money (US$)")
        UNFINISHED = "unfinished", _("unfinished tasks")

    class Period(models.TextChoices):
        MINUTE = "minute", _("a minute")
        DAY = "day", _("a day")
        MONTH = "month", _("a month")
        NONE = "", _("at any time")

    unit = models.CharField(_("unit"), max_length=10, choices=Unit.choices)
    period = models.CharField(_("period"), max_length=6, choices=Period.choices, blank=True)
    amount = models.DecimalField(_("amount"), max_digits=20, decimal_places=6)
    each_member = models.BooleanField(
        _("for each person"), default=False,
        help_text=_("Of a role or of everybody: each person has the amount. Otherwise all share it."),
    )  # fmt: skip
    reserve = models.DecimalField(
        _("reserved for a task"), max_digits=20, decimal_places=6, null=True, blank=True,
        help_text=_("For tasks that have no limit of tokens or cost of their own. Empty: the installation's estimate."),
    )  # fmt: skip
    is_enabled = models.BooleanField(_("enabled"), default=True)

    objects = QuotaQuerySet.as_manager()

    class Meta:
        verbose_name = _("quota")
        verbose_name_plural = _("quotas")
        ordering: ClassVar = ["created_at", "id"]
        constraints: ClassVar = [
            _one_subject("accounts_quota_of_one"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="accounts_quota_amount"),
            models.CheckConstraint(condition=Q(reserve=None) | Q(reserve__gte=0), name="accounts_quota_reserve"),
            models.CheckConstraint(
                condition=Q(unit="unfinished", period="") | (~Q(unit="unfinished") & ~Q(period="")),
                name="accounts_quota_period",
            ),
            models.CheckConstraint(
                condition=Q(each_member=False) | Q(user=None, api_key=None, agent_id=None), name="accounts_quota_each"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.kind}"

    def clean(self) -> None:
        """What the constraints say, in words. Raises ValidationError."""
        for name in ("amount", "reserve"):
            value: Decimal | None = getattr(self, name)
            if value is not None and (value.is_nan() or value < 0):
                raise ValidationError({name: _("This cannot be below zero.")})
        if (self.unit == self.Unit.UNFINISHED) != (self.period == self.Period.NONE):
            raise ValidationError(
                {"period": _("Unfinished tasks are counted at any time; all else in a minute, a day or a month.")}
            )
        is_of_one = any((self.user_id, self.api_key_id, self.agent_id))
        if self.each_member and is_of_one:
            raise ValidationError({"each_member": _("Only members of a role, or everybody, are several people.")})
        whole = (self.Unit.REQUESTS, self.Unit.TOKENS, self.Unit.UNFINISHED)
        if self.unit in whole and (self.amount or 0) % 1:
            raise ValidationError({"amount": _("Of this unit there are only whole numbers.")})

    @property
    def kind(self) -> str:
        """What it bounds, as files and messages write it: `cost/month`, `unfinished`."""
        return f"{self.unit}/{self.period}" if self.period else self.unit

    @property
    def warns(self) -> bool:
        """Whether somebody is told before it is used up: a minute is over before anybody has read that."""
        return self.period in (self.Period.DAY, self.Period.MONTH)


class QuotaPeriod(models.Model):
    """What has been spent of a quota in one period, and what accepted tasks may still spend."""

    id = models.BigAutoField(primary_key=True)
    quota = models.ForeignKey(Quota, on_delete=models.CASCADE, related_name="periods", verbose_name=_("quota"))
    # The person, when each has the amount; else NOBODY.
    holder_id = models.UUIDField(_("holder"), default=NOBODY)
    # The beginning of the period; for one without, the beginning of time (1970).
    starts_at = models.DateTimeField(_("from"))
    spent = models.DecimalField(_("spent"), max_digits=20, decimal_places=6, default=0)
    reserved = models.DecimalField(_("reserved"), max_digits=20, decimal_places=6, default=0)
    # The highest share in percent that somebody was warned of: 0, 50, 80 or 100.
    warned = models.PositiveSmallIntegerField(_("warned at"), default=0)

    objects = QuotaPeriodQuerySet.as_manager()

    class Meta:
        verbose_name = _("quota period")
        verbose_name_plural = _("quota periods")
        ordering: ClassVar = ["-starts_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["quota", "holder_id", "starts_at"], name="accounts_period_once"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="accounts_period_reserved"),
        ]

    def __str__(self) -> str:
        return f"{self.quota_id} {self.starts_at:%Y-%m-%d %H:%M}"

    @property
    def mark(self) -> int:
        """The highest of MARKS, in percent of the quota's amount, that spending has reached; 0 for none."""
        reached = (mark for mark in MARKS if self.spent > 0 and self.spent * 100 >= self.quota.amount * mark)
        return max(reached, default=0)


class Reservation(models.Model):
    """What one accepted task has reserved in a period, until it ends."""

    id = models.BigAutoField(primary_key=True)
    period = models.ForeignKey(
        QuotaPeriod, on_delete=models.CASCADE, related_name="reservations", verbose_name=_("quota period")
    )
    task_id = models.UUIDField(_("task"), db_index=True)
    amount = models.DecimalField(_("amount"), max_digits=20, decimal_places=6)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("reservation")
        verbose_name_plural = _("reservations")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["period", "task_id"], name="accounts_reservation_once"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id}: {self.amount}"
