"""Saved steps of graphs: what a run resumes from."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from agents.runtime.querysets import CheckpointQuerySet, CheckpointWriteQuerySet

# How LangGraph's serialiser names what it wrote. Its "pickle" and "json" build objects from names in the
# data.
ENCODINGS = ("null", "bytes", "bytearray", "msgpack")


class Checkpoint(models.Model):
    """The state of one graph after one step. `thread_id` is the task's id; `checkpoint_id` sorts by time.

    `namespace` is empty for the graph itself and the path of the node for a graph inside it.
    """

    id = models.BigAutoField(primary_key=True)
    thread_id = models.CharField(_("thread"), max_length=255)
    namespace = models.TextField(_("namespace"), blank=True)
    checkpoint_id = models.CharField(_("checkpoint"), max_length=64)
    parent_id = models.CharField(_("parent"), max_length=64, blank=True)
    encoding = models.CharField(_("encoding"), max_length=16)
    state = models.BinaryField(_("state"))
    metadata = models.JSONField(_("metadata"), default=dict)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["thread_id", "namespace", "checkpoint_id"], name="runtime_checkpoint_once"),
            models.CheckConstraint(condition=Q(encoding__in=ENCODINGS), name="runtime_checkpoint_encoding"),
        ]

    def __str__(self) -> str:
        return f"{self.thread_id} {self.namespace} {self.checkpoint_id}"


class CheckpointWrite(models.Model):
    """What one node of a step wrote before the step was complete. A negative `position` is LangGraph's own
    (an error, an interrupt), of which the last one counts; of the others the first one does."""

    id = models.BigAutoField(primary_key=True)
    thread_id = models.CharField(_("thread"), max_length=255)
    namespace = models.TextField(_("namespace"), blank=True)
    checkpoint_id = models.CharField(_("checkpoint"), max_length=64)
    node_id = models.CharField(_("node run"), max_length=64)
    node_path = models.TextField(_("node path"), blank=True)
    position = models.IntegerField(_("position"))
    channel = models.TextField(_("channel"))
    encoding = models.CharField(_("encoding"), max_length=16)
    value = models.BinaryField(_("value"))

    objects = CheckpointWriteQuerySet.as_manager()

    class Meta:
        verbose_name = _("checkpoint write")
        verbose_name_plural = _("checkpoint writes")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["thread_id", "namespace", "checkpoint_id", "node_id", "position"],
                name="runtime_checkpoint_write_once",
            ),
            models.CheckConstraint(condition=Q(encoding__in=ENCODINGS), name="runtime_checkpoint_write_encoding"),
        ]

    def __str__(self) -> str:
        return f"{self.node_id} {self.channel}"
