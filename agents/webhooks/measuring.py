"""What is true of all deliveries, asked of the database when Prometheus looks."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from agents.webhooks.models import Delivery
from telemetry.metrics import register_system


def waiting() -> Iterator[Metric]:
    """How many deliveries wait, by state, and how long the oldest has been due."""
    now = timezone.now()
    rows = Delivery.objects.waiting().order_by().values("state").annotate(
        count=Count("pk"), oldest=Min("next_try_at", filter=Q(next_try_at__lte=now))
    )  # fmt: skip
    count = GaugeMetricFamily("mutirao_webhooks_waiting", "Webhook deliveries still to arrive.", labels=["state"])
    age = GaugeMetricFamily("mutirao_webhooks_oldest_due_seconds", "How long the oldest delivery has been due.")
    oldest = None
    for row in rows:
        count.add_metric([row["state"]], row["count"])
        oldest = min(filter(None, (oldest, row["oldest"])), default=None)
    age.add_metric([], (now - oldest).total_seconds() if oldest else 0)
    yield from (count, age)


def register() -> None:
    """Called when the application starts."""
    register_system("webhooks", waiting)
