"""The ledger of calls to language models."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from foundation.models import BaseModel


class ModelCall(BaseModel):
    """One call to a language model. Points at tasks, agents and people by id alone: it outlives them."""

    class Outcome(models.TextChoices):
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    task_id = models.UUIDField(_("task"), null=True, blank=True, db_index=True)
    fence = models.PositiveIntegerField(_("attempt"), default=0)
    agent_version_id = models.UUIDField(_("agent version"), null=True, blank=True, db_index=True)
    owner_id = models.UUIDField(_("owner"), null=True, blank=True, db_index=True)
    provider = models.CharField(_("provider"), max_length=50)
    model = models.CharField(_("model"), max_length=200)
    started_at = models.DateTimeField(_("started"))
    latency_ms = models.FloatField(_("latency (ms)"))
    first_token_ms = models.FloatField(_("first token (ms)"), null=True, blank=True)
    input_tokens = models.PositiveBigIntegerField(_("input tokens"), default=0)
    output_tokens = models.PositiveBigIntegerField(_("output tokens"), default=0)
    is_estimate = models.BooleanField(_("tokens are estimated"), default=False)
    cost = models.DecimalField(_("cost"), max_digits=14, decimal_places=6, null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=9, choices=Outcome.choices)
    error_type = models.CharField(_("error type"), max_length=100, blank=True)
    error_message = models.TextField(_("error"), blank=True)
    trace_id = models.CharField(_("trace"), max_length=32, blank=True)
    span_id = models.CharField(_("span"), max_length=16, blank=True)

    class Meta:
        verbose_name = _("model call")
        verbose_name_plural = _("model calls")
        ordering: ClassVar = ["-started_at"]
        indexes: ClassVar = [models.Index(fields=["-started_at"], name="gateway_call_recent")]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"
