"""Answers that may be given again."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents.cache.querysets import CacheEntryQuerySet
from foundation.models import BaseModel


class CacheEntry(BaseModel):
    """One answer of a model, and all that has to be the same for it to be given again.

    `scope` is the digest of everything but the conversation (whose answers, agent version, model, parameters, system
    prompt, tools, response format, epochs); `exact` is the digest of the whole request. `answer` is
    `{"message": …, "pieces": […]}`, in the form of agents.cache.answers. Points at people and agents by id alone.
    """

    class Evicted(models.TextChoices):
        EXPIRED = "expired", _("it was too old")
        REPLACED = "replaced", _("a newer answer took its place")
        REJECTED = "rejected", _("somebody said that it was wrong")
        DISPROVED = "disproved", _("asking again gave another answer")
        OPERATOR = "operator", _("an operator removed it")
        TAG = "tag", _("its tag was invalidated")
        EPOCH = "epoch", _("the knowledge behind it changed")
        VERSION = "version", _("its agent changed")
        PERSON = "person", _("all of its person's were removed")

    scope = models.CharField(_("scope"), max_length=64)
    exact = models.CharField(_("digest"), max_length=64)
    agent_id = models.UUIDField(_("agent"))
    agent_version_id = models.UUIDField(_("agent version"))
    # Whose it is; empty for one that everybody who may use the agent may be given.
    owner_id = models.UUIDField(_("owner"), null=True, blank=True)
    # Whose request made it, also when it is shared.
    asked_by_id = models.UUIDField(_("asked by"), null=True, blank=True)
    task_id = models.UUIDField(_("task"), null=True, blank=True)
    target = models.CharField(_("model"), max_length=200)
    epoch = models.CharField(_("knowledge epoch"), max_length=64, blank=True)

    question = models.TextField(_("question"))
    dialogue = models.JSONField(_("conversation"), default=list)
    answer = models.JSONField(_("answer"))
    # Tool calls are only ever given again for exactly the same request.
    is_exact_only = models.BooleanField(_("only for the same request"), default=False)
    embedding = models.CharField(_("embedding model"), max_length=200, blank=True)
    # float32, little-endian, of unit length.
    vector = models.BinaryField(_("vector"), null=True, blank=True, editable=False)

    # What a hit saves.
    input_tokens = models.PositiveBigIntegerField(_("input tokens"), default=0)
    output_tokens = models.PositiveBigIntegerField(_("output tokens"), default=0)
    cost = models.DecimalField(_("cost"), max_digits=14, decimal_places=6, null=True, blank=True)
    latency_ms = models.FloatField(_("latency (ms)"), default=0)

    answered_at = models.DateTimeField(_("answered"), default=timezone.now)
    # From `stale_at` on it is given once more while it is asked anew; from `expires_at` on it is not given.
    stale_at = models.DateTimeField(_("stale from"))
    expires_at = models.DateTimeField(_("expires"))
    evicted_at = models.DateTimeField(_("evicted"), null=True, blank=True)
    evicted_because = models.CharField(_("because"), max_length=9, choices=Evicted.choices, blank=True)
    hits = models.PositiveIntegerField(_("hits"), default=0)
    last_hit_at = models.DateTimeField(_("last hit"), null=True, blank=True)

    objects = CacheEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("cached answer")
        verbose_name_plural = _("cached answers")
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["scope", "id"], condition=Q(evicted_at=None), name="cache_live_of_scope"),
            models.Index(fields=["expires_at"], condition=Q(evicted_at=None), name="cache_live_by_age"),
            models.Index(fields=["evicted_at"], condition=Q(evicted_at__isnull=False), name="cache_evicted"),
            models.Index(fields=["agent_id", "-created_at"], name="cache_of_agent"),
            models.Index(fields=["owner_id"], condition=Q(owner_id__isnull=False), name="cache_of_owner"),
            models.Index(fields=["asked_by_id"], condition=Q(asked_by_id__isnull=False), name="cache_asked_by"),
            models.Index(fields=["task_id"], condition=Q(task_id__isnull=False), name="cache_of_task"),
            models.Index(fields=["-created_at", "-id"], name="cache_recent"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["exact"], condition=Q(evicted_at=None), name="cache_one_live_answer"),
            models.CheckConstraint(condition=Q(stale_at__lte=models.F("expires_at")), name="cache_stale_then_expired"),
            models.CheckConstraint(
                condition=Q(evicted_at=None, evicted_because="")
                | (Q(evicted_at__isnull=False) & ~Q(evicted_because="")),
                name="cache_evicted_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.question[:80]


class EntryTag(models.Model):
    """A word by which entries are invalidated together."""

    entry = models.ForeignKey(CacheEntry, on_delete=models.CASCADE, related_name="tags", verbose_name=_("entry"))
    tag = models.CharField(_("tag"), max_length=100)

    class Meta:
        verbose_name = _("tag of an entry")
        verbose_name_plural = _("tags of entries")
        constraints: ClassVar = [models.UniqueConstraint(fields=["tag", "entry"], name="cache_tag_once")]

    def __str__(self) -> str:
        return self.tag


class CacheEpoch(models.Model):
    """How often the knowledge of this name has changed: part of the scope of the answers that were made from it."""

    name = models.CharField(_("name"), max_length=100, primary_key=True)
    number = models.PositiveBigIntegerField(_("number"), default=1)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("knowledge epoch")
        verbose_name_plural = _("knowledge epochs")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.number}"
