"""The processes that do the work."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents.worker.querysets import ALIVE, WorkerProcessQuerySet
from foundation.models import BaseModel


class WorkerProcess(BaseModel):
    """One running worker process. Alive means: `polled_at` is less than 30 seconds old."""

    name = models.CharField(_("name"), max_length=150, unique=True)
    pid = models.PositiveIntegerField(_("process id"))
    queues = models.JSONField(_("queues"), default=list)
    threads = models.PositiveIntegerField(_("threads"))
    polled_at = models.DateTimeField(_("last sign of life"))

    objects = WorkerProcessQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_alive(self) -> bool:
        """Heard of lately."""
        return self.polled_at >= timezone.now() - ALIVE
