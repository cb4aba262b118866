"""Where the time of one request went."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Span(models.Model):
    """One timed step of a trace (W3C ids in hexadecimal). Points at tasks by id alone: it outlives them."""

    class Kind(models.TextChoices):
        REQUEST = "request", _("request")
        TASK = "task", _("task")
        STEP = "step", _("step")
        MODEL = "model", _("model call")
        TOOL = "tool", _("tool call")

    class Status(models.TextChoices):
        OK = "ok", _("ok")
        ERROR = "error", _("error")

    id = models.BigAutoField(primary_key=True)
    trace_id = models.CharField(_("trace"), max_length=32)
    span_id = models.CharField(_("span"), max_length=16)
    parent_id = models.CharField(_("parent"), max_length=16, blank=True)
    task_id = models.UUIDField(_("task"), null=True, blank=True, db_index=True)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    name = models.CharField(_("name"), max_length=200)
    status = models.CharField(_("status"), max_length=5, choices=Status.choices, default=Status.OK)
    started_at = models.DateTimeField(_("started"))
    duration_ms = models.FloatField(_("duration (ms)"))
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)

    class Meta:
        verbose_name = _("span")
        verbose_name_plural = _("spans")
        constraints: ClassVar = [models.UniqueConstraint(fields=["trace_id", "span_id"], name="telemetry_span_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.duration_ms:.0f} ms)"
