"""The ledger of calls to language models."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.gateway.querysets import COMPARED, ModelCallQuerySet
from foundation.models import BaseModel


class Tier(models.TextChoices):
    """Who answered in the provider's place."""

    EXACT = "exact", _("the same request")
    FLIGHT = "flight", _("the same request, at the same time")
    SEMANTIC = "semantic", _("a request with the same meaning")


class CacheWhy(models.TextChoices):
    """Why the cache gave an answer to a call, or did not. Set by agents.cache."""

    HIT = "hit", _("an answer was there already")
    STALE = "stale", _("an old answer was there; it is asked anew meanwhile")
    MISS = "miss", _("nothing like it was asked before")
    NEAR_MISS = "near_miss", _("something near was asked, but not near enough")
    BLOCKED = "blocked", _("something near was asked, but a guard found a difference")
    TURNED_OFF = "turned_off", _("the semantic tier has turned itself off here")
    REFRESH = "refresh", _("a new answer was wanted")
    OFF = "off", _("caching is off")
    BYPASS = "bypass", _("the caller wanted the cache left out")
    NO_AGENT = "uncacheable:no_agent", _("it was not made by an agent")
    NO_OWNER = "uncacheable:no_owner", _("it is on nobody's account")
    TEMPERATURE = "uncacheable:temperature", _("its temperature is too high for answers to be kept")
    EFFECTS = "uncacheable:effects", _("tools with effects were used before it")
    CONTENT = "uncacheable:content", _("it holds something that the cache cannot compare")
    FAILED = "uncacheable:failed", _("the cache itself failed")


class ModelCall(BaseModel):
    """One call to a language model. Points at tasks, agents and people by id alone: it outlives them.

    `provider` and `model` are those that answered, or that were tried last; `route` is what was asked for. Of a call
    that the cache answered, tokens and cost are zero and `saved_…` say what it would have been.
    """

    class Outcome(models.TextChoices):
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    task_id = models.UUIDField(_("task"), null=True, blank=True, db_index=True)
    fence = models.PositiveIntegerField(_("attempt"), default=0)
    agent_id = models.UUIDField(_("agent"), null=True, blank=True)
    agent_version_id = models.UUIDField(_("agent version"), null=True, blank=True, db_index=True)
    owner_id = models.UUIDField(_("owner"), null=True, blank=True, db_index=True)

    # Where it went. `tries`: [{"deployment", "provider", "model", "outcome", "error", "ms"}], in their order.
    route = models.CharField(_("route"), max_length=200, blank=True)
    deployment_id = models.UUIDField(_("deployment"), null=True, blank=True)
    provider = models.CharField(_("provider"), max_length=50)
    model = models.CharField(_("model"), max_length=200)
    tries = models.JSONField(_("tries"), default=list, blank=True)

    started_at = models.DateTimeField(_("started"))
    latency_ms = models.FloatField(_("latency (ms)"))
    first_token_ms = models.FloatField(_("first token (ms)"), null=True, blank=True)

    # Cached input tokens are part of the input tokens, reasoning tokens of the output tokens.
    input_tokens = models.PositiveBigIntegerField(_("input tokens"), default=0)
    output_tokens = models.PositiveBigIntegerField(_("output tokens"), default=0)
    cached_tokens = models.PositiveBigIntegerField(_("cached input tokens"), default=0)
    reasoning_tokens = models.PositiveBigIntegerField(_("reasoning tokens"), default=0)
    is_estimate = models.BooleanField(_("tokens are estimated"), default=False)
    # Empty where the price is not known, which is not zero.
    cost = models.DecimalField(_("cost"), max_digits=14, decimal_places=6, null=True, blank=True)
    price_id = models.UUIDField(_("price"), null=True, blank=True)

    # What the cache did. `cache_evidence` is what it compared, see agents.gateway.evidence.
    tier = models.CharField(_("cache tier"), max_length=8, choices=Tier.choices, blank=True)
    cache_why = models.CharField(_("cache"), max_length=40, choices=CacheWhy.choices, blank=True)
    cache_entry_id = models.UUIDField(_("cache entry"), null=True, blank=True)
    cache_evidence = models.JSONField(_("evidence"), null=True, blank=True)
    similarity = models.FloatField(_("similarity"), null=True, blank=True)
    age_seconds = models.FloatField(_("age of the answer (s)"), null=True, blank=True)
    saved_input_tokens = models.PositiveBigIntegerField(_("input tokens saved"), default=0)
    saved_output_tokens = models.PositiveBigIntegerField(_("output tokens saved"), default=0)
    saved_cost = models.DecimalField(_("cost saved"), max_digits=14, decimal_places=6, null=True, blank=True)
    saved_ms = models.FloatField(_("time saved (ms)"), default=0)

    outcome = models.CharField(_("outcome"), max_length=9, choices=Outcome.choices)
    error_type = models.CharField(_("error type"), max_length=100, blank=True)
    error_message = models.TextField(_("error"), blank=True)
    trace_id = models.CharField(_("trace"), max_length=32, blank=True)
    span_id = models.CharField(_("span"), max_length=16, blank=True)

    objects = ModelCallQuerySet.as_manager()

    class Meta:
        verbose_name = _("model call")
        verbose_name_plural = _("model calls")
        ordering: ClassVar = ["-started_at"]
        indexes: ClassVar = [
            models.Index(fields=["-started_at"], name="gateway_call_recent"),
            models.Index(fields=["agent_id", "-started_at"], name="gateway_call_of_agent"),
            models.Index(fields=["tier", "-started_at"], condition=~Q(tier=""), name="gateway_call_of_tier"),
            models.Index(fields=["-started_at"], condition=COMPARED, name="gateway_call_compared"),
            models.Index(
                fields=["cache_entry_id"], condition=Q(cache_entry_id__isnull=False), name="gateway_call_entry"
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(tier="") | Q(cost=0, input_tokens=0, output_tokens=0), name="gateway_hits_cost_nothing"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"
