"""Whether this platform can be watched: where figures, errors and traces go, and whether clocks agree."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.utils.timezone import now

from agents.tasks import storage
from mutirao.findings import Finding, Level

PATIENCE_SECONDS = 3.0
MANY_METRIC_FILES = 500
# Leases live by the database's clock and deadlines by the worker's.
SKEW_SECONDS = 2.0
DANGEROUS_SKEW_SECONDS = 15.0


def metrics() -> Iterator[Finding]:
    """The folder in which all processes count."""
    directory = settings.METRICS_DIR
    if directory is None:
        advice = "Make MUTIRAO_HOME, or PROMETHEUS_MULTIPROC_DIR, a folder that can be written to."
        yield Finding("metrics", Level.WARNING, "Every process counts for itself; /metrics shows one of them.", advice)
        return
    files = sum(1 for _ in directory.glob("*.db"))
    if files > MANY_METRIC_FILES:
        advice = "Restart the platform: `up` begins with an empty folder. In containers, restart them."
        yield Finding("metrics", Level.WARNING, f"{files} files of earlier processes slow /metrics down.", advice)
    else:
        yield Finding("metrics", Level.OK, f"Metrics are counted in {files} files at {directory}.")


def sentry() -> Iterator[Finding]:
    """Whether somebody listens where errors are sent."""
    if not settings.SENTRY_DSN:
        yield Finding("sentry", Level.OK, "Errors are not sent to Sentry (SENTRY_DSN is not set).")
        return
    parts = urlsplit(settings.SENTRY_DSN)
    host = parts.hostname or ""
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((host, port), timeout=PATIENCE_SECONDS).close()
    except (OSError, ValueError):
        advice = "Errors are lost until it is back; nothing else depends on it. Correct SENTRY_DSN, or open the way."
        yield Finding("sentry", Level.WARNING, f"Sentry at {host} cannot be reached.", advice)
    else:
        yield Finding("sentry", Level.OK, f"Sentry at {host} can be reached.")


def langsmith() -> Iterator[Finding]:
    """Whether LangSmith answers."""
    if not settings.LANGSMITH_TRACING:
        yield Finding("langsmith", Level.OK, "Runs are not traced by LangSmith (LANGSMITH_TRACING is not set).")
        return
    host = urlsplit(settings.LANGSMITH_ENDPOINT).hostname or settings.LANGSMITH_ENDPOINT
    if _answers(f"{settings.LANGSMITH_ENDPOINT.rstrip('/')}/info"):
        yield Finding("langsmith", Level.OK, f"LangSmith at {host} answers.")
    else:
        advice = "Traces are lost until it is back; runs go on. Correct LANGSMITH_ENDPOINT, or open the way."
        yield Finding("langsmith", Level.WARNING, f"LangSmith at {host} does not answer.", advice)


def _answers(address: str) -> bool:
    if urlsplit(address).scheme not in ("http", "https"):
        return False
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as response:  # noqa: S310 (checked above)
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def clocks() -> Iterator[Finding]:
    """Whether this machine and the database agree on the time. SQLite has no clock of its own."""
    if connection.vendor == "sqlite":
        return
    before = now()
    there = storage.read_clock()
    after = now()
    skew = (there - (before + (after - before) / 2)).total_seconds()
    if abs(skew) < SKEW_SECONDS:
        yield Finding("clocks", Level.OK, f"The database's clock agrees with this machine's ({skew:+.2f} s).")
        return
    level = Level.CRITICAL if abs(skew) >= DANGEROUS_SKEW_SECONDS else Level.WARNING
    advice = "Run NTP on both: deadlines of runs and schedules are off by as much."
    yield Finding("clocks", level, f"The database's clock is {skew:+.1f} s off this machine's.", advice)
