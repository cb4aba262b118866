"""What the ledger knows of attempts whose worker is gone."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db.models import Sum

from agents.gateway.models import ModelCall
from agents.tasks.data import Usage


def on_record(task_id: uuid.UUID, fence: int) -> Usage:
    """What the calls of an attempt have come to, as far as their rows are written."""
    sums = {name: Sum(name) for name in ("input_tokens", "output_tokens", "cost")}
    found = ModelCall.objects.filter(task_id=task_id, fence=fence).aggregate(**sums)
    return Usage(found["input_tokens"] or 0, found["output_tokens"] or 0, found["cost"] or Decimal(0))
