"""What is broken, and what to do about it: the findings that `doctor` prints."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec

import redis
from django.conf import settings
from django.core.checks import run_checks
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from accounts.limiting import SCOPES
from agents.definitions.models import Agent
from agents.gateway.exceptions import GatewayError
from agents.gateway.providers import validate_model_name
from agents.tasks.models import Status, Task
from agents.worker.models import WorkerProcess
from agents.worker.querysets import ALIVE
from mutirao import diagnosis_telemetry as watching
from mutirao.celery import app
from mutirao.diagnosis_audit import audit_log
from mutirao.findings import Finding, Level
from mutirao.measures import oldest_due
from mutirao.settings.environment import MUTIRAO_HOME
from telemetry.masking import mask_text

LATE_SECONDS = 60
VERY_LATE_SECONDS = 900
LOW_DISK_BYTES = 2_000_000_000
NO_DISK_BYTES = 500_000_000

__all__ = ["Finding", "Level", "diagnose"]


def diagnose() -> list[Finding]:
    """Everything that was looked at, in the order in which one thing needs another."""
    found = [*_python(), *_environment(), *_disk(), *_careful("redis", _redis), *_careful("broker", _broker)]
    database = _careful("database", _database)
    found += database
    if all(finding.level is Level.OK for finding in database):
        for subject, look in (
            ("clocks", watching.clocks), ("workers", _workers), ("tasks", _tasks), ("agents", _agents),
            ("models", _models), ("audit", audit_log),
        ):  # fmt: skip
            found += _careful(subject, look)
    return [*found, *_rate_limits(), *watching.metrics(), *watching.sentry(), *watching.langsmith()]


def _careful(subject: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A look that fails is a finding too."""
    try:
        return [*look()]
    except (DatabaseError, redis.RedisError, OSError) as error:
        sentence = mask_text(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
        return [Finding(subject, Level.CRITICAL, f"It cannot be used: {sentence}", "Start it, or correct its address.")]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", Level.OK, f"Python {version}.")


def _environment() -> Iterator[Finding]:
    errors = [check for check in run_checks() if check.is_serious()]
    for error in errors:
        yield Finding("environment", Level.CRITICAL, str(error.msg), error.hint or "")
    if not errors:
        yield Finding("environment", Level.OK, "Every setting is in order.")


def _disk() -> Iterator[Finding]:
    if not MUTIRAO_HOME.is_dir():
        return
    free = shutil.disk_usage(MUTIRAO_HOME).free
    low = Level.WARNING if free > NO_DISK_BYTES else Level.CRITICAL
    level = Level.OK if free > LOW_DISK_BYTES else low
    advice = "" if level is Level.OK else "Make room, or move MUTIRAO_HOME."
    yield Finding("disk", level, f"{free // 1_000_000:,} MB are free at {MUTIRAO_HOME}.", advice)


def _database() -> Iterator[Finding]:
    connection.ensure_connection()
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        yield Finding("database", Level.CRITICAL, f"{len(missing)} migrations are missing.", "Run `manage.py migrate`.")
    else:
        yield Finding("database", Level.OK, f"The {connection.vendor} database answers and is migrated.")


def _redis() -> Iterator[Finding]:
    with redis.Redis.from_url(settings.REDIS_URL or "redis://127.0.0.1", socket_timeout=3) as client:
        client.ping()
        yield Finding("redis", Level.OK, "Redis answers.")
        if client.config_get("appendonly").get("appendonly") == "no":
            advice = "Set `appendonly yes`; without it wake-ups are lost in a crash and tasks start a little later."
            yield Finding("redis", Level.WARNING, "Redis keeps nothing on disk.", advice)


def _broker() -> Iterator[Finding]:
    try:
        with app.connection_for_write(connect_timeout=3) as broker:
            broker.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:
        reason = mask_text(str(error).splitlines()[0] if str(error) else type(error).__name__)
        sentence = f"The broker cannot be reached: {reason}"
        advice = "Start it, or correct CELERY_BROKER_URL. Tasks are still accepted, and start later."
        yield Finding("broker", Level.CRITICAL, sentence, advice)
    else:
        yield Finding("broker", Level.OK, "The broker answers.")


def _rate_limits() -> Iterator[Finding]:
    """What becomes of requests that cannot be counted."""
    closed = [scope for scope in SCOPES if scope in settings.RATE_FAIL_CLOSED]
    passing = [scope for scope in SCOPES if scope not in settings.RATE_FAIL_CLOSED]
    sentence = f"Without Redis, requests are refused for {', '.join(closed) or 'nobody'}"
    yield Finding("rate limits", Level.OK, f"{sentence}; they pass uncounted for {', '.join(passing) or 'nobody'}.")


def _workers() -> Iterator[Finding]:
    alive = WorkerProcess.objects.alive().count()
    if alive:
        yield Finding("workers", Level.OK, f"Workers alive: {alive}.")
    else:
        yield Finding(
            "workers", Level.CRITICAL, "No worker is alive.", "Start one: `make up`, or `celery -A mutirao worker`."
        )

    missing = [*WorkerProcess.objects.silent().values_list("name", flat=True)[:5]]
    if missing:
        advice = "If they were stopped for good it is forgotten within a day; else look at their machines and logs."
        yield Finding("workers", Level.WARNING, f"Not heard of for {ALIVE.seconds} s: {', '.join(missing)}.", advice)


def _tasks() -> Iterator[Finding]:
    now = timezone.now()
    waiting = Task.objects.filter(status=Status.QUEUED)
    late = waiting.filter(created_at__lt=now - timedelta(seconds=LATE_SECONDS)).due(now).count()
    if late:
        age = oldest_due(now)
        level = Level.CRITICAL if age > VERY_LATE_SECONDS else Level.WARNING
        advice = "Add workers or threads (MUTIRAO_WORKER_THREADS), or look at what the running tasks do."
        sentence = f"{late} tasks have been waiting for over a minute, the oldest for {age:.0f} s."
        yield Finding("tasks", level, sentence, advice)
    lost = Task.objects.filter(
        status=Status.RUNNING, lease_expires_at__lt=now - timedelta(seconds=LATE_SECONDS)
    ).count()
    if lost:
        advice = "A living worker takes them back within seconds; is there one?"
        yield Finding("tasks", Level.CRITICAL, f"{lost} running tasks have lost their worker.", advice)
    if not late and not lost:
        yield Finding("tasks", Level.OK, "No task is stuck.")


def _agents() -> Iterator[Finding]:
    usable = Agent.objects.usable().count()
    if usable:
        yield Finding("agents", Level.OK, f"Agents that can be used: {usable}.")
    else:
        yield Finding("agents", Level.WARNING, "There is no agent to use.", "Run `manage.py sync_agents`.")


def _models() -> Iterator[Finding]:
    names = {settings.DEFAULT_MODEL, *Agent.objects.usable().values_list("current_version__model", flat=True)}
    for name in sorted(filter(None, names)):
        try:
            validate_model_name(name)
        except GatewayError as error:
            yield Finding(
                "models", Level.CRITICAL, str(error), f"Correct the model {name!r} of the agents that use it."
            )
        else:
            yield Finding("models", Level.OK, f"{name} can be used.")
    if settings.DEFAULT_MODEL.startswith("local:") and find_spec("xllamacpp") is None:
        advice = "Install requirements/local-model.txt, or set MUTIRAO_DEFAULT_MODEL."
        yield Finding("models", Level.CRITICAL, "The local model's packages are missing.", advice)
