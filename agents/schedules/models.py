"""Schedules, and what came of each of their due times."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from agents.definitions.models import Agent
from agents.schedules.querysets import ScheduleQuerySet
from agents.schedules.timing import Timing
from agents.tasks.models import Priority, Task
from foundation.models import BaseModel

LEAST_SECONDS = 10
MOST_SECONDS = 366 * 24 * 3600
SERIAL_PREFIX = "schedule:"

validate_queue = RegexValidator(r"^[A-Za-z0-9._-]*$", _("Letters, digits, dots, hyphens and underscores."))


class Unit(models.IntegerChoices):
    """What intervals are counted in, in seconds."""

    SECONDS = 1, _("seconds")
    MINUTES = 60, _("minutes")
    HOURS = 3600, _("hours")
    DAYS = 86_400, _("days")


class Schedule(BaseModel):
    """A cron expression or an interval that submits tasks of one agent for its owner, with the owner's rights."""

    class Missed(models.TextChoices):
        SKIP = "skip", _("skip them")
        ONCE = "once", _("run once")
        ALL = "all", _("run each of them")

    class Overlap(models.TextChoices):
        ALLOW = "allow", _("run side by side")
        SKIP = "skip", _("skip the new run")
        QUEUE = "queue", _("run one after another")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="schedules", verbose_name=_("owner")
    )
    name = models.CharField(_("name"), max_length=100)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="schedules", verbose_name=_("agent"))
    input = models.JSONField(_("input"))
    priority = models.PositiveSmallIntegerField(_("priority"), choices=Priority.choices, default=Priority.NORMAL)
    queue = models.CharField(_("queue"), max_length=32, blank=True, validators=[validate_queue])
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)

    # When.
    cron = models.CharField(_("cron expression"), max_length=100, blank=True)
    every_seconds = models.PositiveIntegerField(_("interval in seconds"), null=True, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, default="UTC")
    starts_at = models.DateTimeField(_("not before"), null=True, blank=True)
    ends_at = models.DateTimeField(_("not after"), null=True, blank=True)
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True)
    if_missed = models.CharField(
        _("due times missed"), max_length=4, choices=Missed.choices, default=Missed.ONCE
    )  # fmt: skip
    if_overlapping = models.CharField(
        _("while a run has not ended"), max_length=5, choices=Overlap.choices, default=Overlap.SKIP
    )  # fmt: skip

    # Where it stands.
    next_run_at = models.DateTimeField(_("next run"), null=True, blank=True)
    last_run_at = models.DateTimeField(_("last run"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=500, blank=True)

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering: ClassVar = ["name", "id"]
        permissions: ClassVar = [("operate_schedule", _("Can pause, resume and run schedules of others"))]
        indexes: ClassVar = [
            models.Index(fields=["next_run_at"], condition=Q(next_run_at__isnull=False), name="schedules_due"),
            models.Index(fields=["-created_at", "-id"], name="schedules_recent"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["owner", "name"], name="schedules_name_of_owner",
                violation_error_message=_("There is a schedule of this name already."),
            ),
            models.CheckConstraint(
                condition=(~Q(cron="") & Q(every_seconds__isnull=True)) | Q(cron="", every_seconds__isnull=False),
                name="schedules_cron_or_interval",
                violation_error_message=_("Give a cron expression or an interval, and not both."),
            ),
            models.CheckConstraint(
                condition=Q(every_seconds__isnull=True) | Q(every_seconds__range=(LEAST_SECONDS, MOST_SECONDS)),
                name="schedules_interval",
                violation_error_message=_("The interval has to be from 10 seconds to 366 days."),
            ),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True) | Q(ends_at__isnull=True) | Q(ends_at__gte=F("starts_at")),
                name="schedules_ends_after_start",
                violation_error_message=_("The end has to come after the beginning."),
            ),
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True) | Q(next_run_at__isnull=True), name="schedules_paused_is_not_due"
            ),
            models.CheckConstraint(
                condition=Q(if_missed__in=["skip", "once", "all"], if_overlapping__in=["allow", "skip", "queue"]),
                name="schedules_known_policies",
            ),
            models.CheckConstraint(condition=Q(priority__in=Priority.values), name="schedules_known_priority"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name

    @property
    def timing(self) -> Timing:
        """When it is due."""
        return Timing(
            cron=self.cron,
            every_seconds=self.every_seconds,
            timezone=self.timezone,
            anchor=self.starts_at or self.created_at,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
        )

    @property
    def serial_key(self) -> str | None:
        """What keeps its tasks from running beside each other; None where they may."""
        return None if self.if_overlapping == self.Overlap.ALLOW else f"{SERIAL_PREFIX}{self.pk}"

    @property
    def when(self) -> str:
        """The cron expression, or the interval in words."""
        if not self.every_seconds:
            return self.cron
        unit = next(unit for unit in reversed(Unit) if self.every_seconds % unit == 0)
        number = self.every_seconds // unit
        words = {
            Unit.SECONDS: ngettext("every second", "every %(number)d seconds", number),
            Unit.MINUTES: ngettext("every minute", "every %(number)d minutes", number),
            Unit.HOURS: ngettext("every hour", "every %(number)d hours", number),
            Unit.DAYS: ngettext("every day", "every %(number)d days", number),
        }
        return words[unit] % {"number": number}

    @property
    def is_over(self) -> bool:
        """Not paused, and yet nothing is due any more."""
        return self.paused_at is None and self.next_run_at is None


class ScheduledRun(BaseModel):
    """What came of one due time; or, for due times that were missed in a row, of all of them.

    `due_at` is the first of `times` due times and `last_due_at` the last. A run by hand has no due time: its moment
    stands there.
    """

    class Outcome(models.TextChoices):
        FIRED = "fired", _("submitted")
        SKIPPED_MISSED = "skipped_missed", _("missed, skipped")
        SKIPPED_OVERLAP = "skipped_overlap", _("skipped: the run before had not ended")
        REFUSED = "refused", _("refused")

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="runs", verbose_name=_("schedule"))
    due_at = models.DateTimeField(_("due"))
    last_due_at = models.DateTimeField(_("last due"))
    times = models.PositiveIntegerField(_("due times"), default=1)
    is_manual = models.BooleanField(_("by hand"), default=False)
    outcome = models.CharField(_("outcome"), max_length=15, choices=Outcome.choices)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    task = models.ForeignKey(
        Task, on_delete=models.SET_NULL, null=True, blank=True, related_name="scheduled_runs", verbose_name=_("task")
    )

    class Meta:
        verbose_name = _("run of a schedule")
        verbose_name_plural = _("runs of schedules")
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["schedule", "-created_at", "-id"], name="schedules_runs_of"),
            models.Index(fields=["created_at", "id"], name="schedules_runs_old"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["schedule", "due_at"], condition=Q(is_manual=False), name="schedules_fired_once"
            ),
            models.CheckConstraint(
                condition=Q(times__gte=1, last_due_at__gte=F("due_at")), name="schedules_run_of_some_time"
            ),
            models.CheckConstraint(
                condition=Q(outcome="fired") | Q(task__isnull=True), name="schedules_only_fired_has_a_task"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["fired", "skipped_missed", "skipped_overlap", "refused"]),
                name="schedules_known_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.due_at:%Y-%m-%d %H:%M:%S} {self.outcome}"
