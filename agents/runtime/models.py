"""Saved steps of graphs: what a run resumes from."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Checkpoint(models.Model):
    """The state of one graph after one step. `thread_id` is the task's id; `checkpoint_id` sorts by time."""

    id = models.BigAutoField(primary_key=True)
    thread_id = models.CharField(_("thread"), max_length=255)
    namespace = models.CharField(_("namespace"), max_length=255, blank=True)
    checkpoint_id = models.CharField(_("checkpoint"), max_length=64)
    parent_id = models.CharField(_("parent"), max_length=64, blank=True)
    encoding = models.CharField(_("encoding"), max_length=16)
    state = models.BinaryField(_("state"))
    metadata = models.JSONField(_("metadata"), default=dict)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["thread_id", "namespace", "checkpoint_id"], name="runtime_checkpoint_once")
        ]

    def __str__(self) -> str:
        return f"{self.thread_id} {self.namespace} {self.checkpoint_id}"


class CheckpointWrite(models.Model):
    """What one node of a step wrote before the step was complete."""

    id = models.BigAutoField(primary_key=True)
    thread_id = models.CharField(_("thread"), max_length=255)
    namespace = models.CharField(_("namespace"), max_length=255, blank=True)
    checkpoint_id = models.CharField(_("checkpoint"), max_length=64)
    node_id = models.CharField(_("node run"), max_length=64)
    node_path = models.CharField(_("node path"), max_length=512, blank=True)
    position = models.IntegerField(_("position"))
    channel = models.CharField(_("channel"), max_length=255)
    encoding = models.CharField(_("encoding"), max_length=16)
    value = models.BinaryField(_("value"))

    class Meta:
        verbose_name = _("checkpoint write")
        verbose_name_plural = _("checkpoint writes")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["thread_id", "namespace", "checkpoint_id", "node_id", "position"],
                name="runtime_checkpoint_write_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.node_id} {self.channel}"
