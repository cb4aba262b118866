from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from agents.worker.models import WorkerProcess  # noqa: F401 (in a string)

# A worker that has not claimed or polled for this long does not count as alive.
ALIVE = timedelta(seconds=30)


class WorkerProcessQuerySet(models.QuerySet["WorkerProcess"]):
    def alive(self) -> Self:
        """Workers that were heard of lately."""
        return self.filter(polled_at__gte=timezone.now() - ALIVE)

    def silent(self) -> Self:
        """Workers that have a row and were not."""
        return self.filter(polled_at__lt=timezone.now() - ALIVE)
