"""Probes and metrics."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django_prometheus.exports import ExportToDjangoView

from telemetry import health


async def healthz(_request: HttpRequest) -> JsonResponse:
    """The process is alive; asks nobody else."""
    return JsonResponse({"status": "ok"})


def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when database and Redis answer, 503 with the reasons when not."""
    failures = health.failures()
    response = JsonResponse(
        {"status": "unready" if failures else "ready", "failures": failures}, status=503 if failures else 200
    )
    # Django would log every 503 as an error; whoever probes asks again in a moment, and is told why.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    return response


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format."""
    response: HttpResponse = ExportToDjangoView(request)
    return response
