from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import OuterRef, Q, Subquery

if TYPE_CHECKING:
    from agents.runtime.models import Checkpoint, CheckpointWrite  # noqa: F401 (named in strings)

Key = tuple[str, str, str]
"""Thread, namespace, checkpoint."""


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    def of(self, keys: Iterable[Key]) -> Self:
        """The checkpoints with these keys."""
        return self.filter(_any_of(keys))

    def superseded(self, *, thread_ids: Iterable[str]) -> Self:
        """All but the newest checkpoint of every namespace of these threads."""
        siblings = type(self)(self.model).filter(thread_id=OuterRef("thread_id"), namespace=OuterRef("namespace"))
        newest = Subquery(siblings.order_by("-checkpoint_id").values("checkpoint_id")[:1])
        return self.filter(thread_id__in=list(thread_ids)).exclude(checkpoint_id=newest)


class CheckpointWriteQuerySet(models.QuerySet["CheckpointWrite"]):
    def of(self, keys: Iterable[Key]) -> Self:
        """The writes of these checkpoints."""
        return self.filter(_any_of(keys))


def _any_of(keys: Iterable[Key]) -> Q:
    """One thread and namespace at a time, so that a thread's whole history is not one condition per
    checkpoint.
    """
    by_namespace: dict[tuple[str, str], list[str]] = {}
    for thread_id, namespace, checkpoint_id in keys:
        by_namespace.setdefault((thread_id, namespace), []).append(checkpoint_id)
    wanted = Q(pk__in=[])
    for (thread_id, namespace), checkpoint_ids in by_namespace.items():
        wanted |= Q(thread_id=thread_id, namespace=namespace, checkpoint_id__in=checkpoint_ids)
    return wanted
