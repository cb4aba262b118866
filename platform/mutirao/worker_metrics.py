"""What a worker counts, over HTTP, where no web process of the same host serves it: one container for each worker."""

from __future__ import annotations

import os
from typing import Any

import structlog
from celery.signals import worker_ready
from django.conf import settings
from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

logger = structlog.get_logger(__name__)


@worker_ready.connect
def serve(**_signal: Any) -> None:
    """Listens on MUTIRAO_WORKER_METRICS_PORT, without a password: for a network that only Prometheus shares."""
    port: int = settings.WORKER_METRICS_PORT
    if not port:
        return
    try:
        start_http_server(port, registry=_registry())
    except OSError as error:
        logger.exception("worker_metrics_not_served", port=port, error=str(error))


def _registry() -> CollectorRegistry:
    """What the processes of this host have written, or what this one counts."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
