"""The ledger of model calls: rows are put in here by whoever has made a call, and written in bulk off its path.

A process that is stopped writes what waits; one that is killed loses at most the last LEDGER_SECONDS of its calls.
While the database is away the rows wait, MOST_WAITING of them at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from agents.gateway.models import ModelCall
from foundation.batches import Batches
from telemetry import metrics

MOST_WAITING: Final = 50_000
SHORTEST_SECONDS: Final = 0.01

Columns = Mapping[str, Any]
"""The values of a row. Made a row by the writer, as that costs more than all else that is done with it."""


def _write(calls: list[Columns]) -> None:
    # A batch that was written though the connection broke before it could be said, is not written twice.
    ModelCall.objects.bulk_create([ModelCall(**columns) for columns in calls], ignore_conflicts=True)


@metrics.harmless
def _count_lost(count: int) -> None:
    metrics.LEDGER_LOST.labels("model-calls").inc(count)


calls: Batches[Columns] = Batches(
    "model calls", _write, most=MOST_WAITING, seconds=lambda: max(settings.LEDGER_SECONDS, SHORTEST_SECONDS),
    keeps=True, at_once=True, on_lost=_count_lost,
)  # fmt: skip
