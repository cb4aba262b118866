"""Probes and metrics."""

from __future__ import annotations

import os
from pathlib import Path

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView

from telemetry import health
from telemetry.access import may_read_metrics
from telemetry.metrics import forget_the_dead, system_text


@require_safe
async def healthz(_request: HttpRequest) -> JsonResponse:
    """The process is alive; asks nobody else."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when database and Redis answer, 503 with the reasons when not."""
    failures = health.failures()
    response = JsonResponse(
        {"status": "unready" if failures else "ready", "failures": failures}, status=503 if failures else 200
    )
    # Django would log every 503 as an error; whoever probes asks again in a moment, and is told why.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    return response


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format: the sum over all processes of this installation's folder, then the whole system.

    For this machine, the networks of MUTIRAO_METRICS_ALLOW, and whoever has MUTIRAO_METRICS_TOKEN; 403 for the rest.
    """
    if not may_read_metrics(request):
        return HttpResponse("Metrics are not for everyone.\n", status=403, content_type="text/plain; charset=utf-8")
    if directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        forget_the_dead(Path(directory))
    response: HttpResponse = ExportToDjangoView(request)
    response.content += system_text()
    response["Cache-Control"] = "no-store"
    return response
