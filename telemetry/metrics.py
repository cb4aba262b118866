"""What is counted in every process, and what is asked of the database when Prometheus looks.

Counters live in files of PROMETHEUS_MULTIPROC_DIR, one set for each process, and whichever process is asked adds them
up. What is true of the whole system (how much waits, who works) is never kept per process: rooms above register a
function that gives it, and it runs at scrape time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import structlog
from django.db import DatabaseError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.registry import Collector

logger = structlog.get_logger(__name__)

QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

# Every one has labels: one without would write its file in every process that only imports this module.
REQUESTS = Counter("mutirao_requests", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "mutirao_request_seconds", "From a request's arrival to its answer's headers.", ["method", "route"], buckets=QUICK
)
TASKS_SUBMITTED = Counter("mutirao_tasks_submitted", "Tasks accepted.", ["agent"])
TASKS_STARTED = Counter("mutirao_tasks_started", "Attempts begun; a task may have several.", ["agent"])
TASKS_FINISHED = Counter("mutirao_tasks_finished", "Tasks that have ended.", ["agent", "status"])
ATTEMPT_SECONDS = Histogram("mutirao_attempt_seconds", "How long attempts run.", ["agent", "outcome"], buckets=SLOW)
ATTEMPTS_RUNNING = Gauge(
    "mutirao_attempts_running", "Attempts that run in living workers.", ["agent"], multiprocess_mode="livesum"
)
LEASES_LOST = Counter(
    "mutirao_leases_lost", "Attempts that lost their lease, by who noticed: a sweeper, or the worker.", ["noticed_by"]
)
BELLS = Counter("mutirao_bells", "Wake-ups sent to the broker; a failed one is healed by a sweeper.", ["outcome"])
SCHEDULED_RUNS = Counter("mutirao_scheduled_runs", "Due times of schedules, by what came of them.", ["outcome"])
SCHEDULE_LATENESS = Histogram(
    "mutirao_schedule_lateness_seconds", "From a due time to its task.", ["agent"], buckets=SLOW
)
MODEL_CALLS = Counter("mutirao_model_calls", "Calls to language models.", ["provider", "model", "outcome"])
MODEL_SECONDS = Histogram(
    "mutirao_model_call_seconds", "How long model calls take.", ["provider", "model"], buckets=SLOW
)
FIRST_TOKEN_SECONDS = Histogram(
    "mutirao_model_first_token_seconds", "From a model call to its first token.", ["provider", "model"], buckets=SLOW
)
TOKENS = Counter("mutirao_model_tokens", "Tokens, read and written.", ["provider", "model", "direction"])
COST = Counter("mutirao_model_cost", "Money spent on models, in the currency of the prices.", ["provider", "model"])
UNPRICED_CALLS = Counter(
    "mutirao_model_calls_unpriced", "Calls whose cost is not known, as the model has no price.", ["provider", "model"]
)
ROUTE_CALLS = Counter("mutirao_route_calls", "Calls to routes, and how they ended.", ["route", "outcome"])
MODEL_TRIES = Counter(
    "mutirao_model_tries", "Tries of deployments: a call may take several.", ["deployment", "outcome"]
)
CACHE_HITS = Counter("mutirao_model_cache_hits", "Calls that the cache answered.", ["tier"])
CACHE_DECISIONS = Counter("mutirao_model_cache_decisions", "What the cache made of calls.", ["why"])
SAVED_COST = Counter("mutirao_model_saved_cost", "Money that cached answers have saved.", ["tier"])
SAVED_SECONDS = Counter("mutirao_model_saved_seconds", "Time that cached answers have saved.", ["tier"])
SAVED_TOKENS = Counter("mutirao_model_saved_tokens", "Tokens that cached answers have saved.", ["tier", "direction"])
LEDGER_LOST = Counter("mutirao_ledger_rows_lost", "Model calls that no row tells of.", ["ledger"])
WEBHOOKS = Counter("mutirao_webhooks", "Tries to deliver a webhook, by what they left it as.", ["state"])
WEBHOOK_SECONDS = Histogram("mutirao_webhook_seconds", "How long receivers take.", ["state"], buckets=QUICK)
RATE_LIMITED = Counter("mutirao_rate_limited", "Requests that were too many, by whose limit it was.", ["scope"])
RATE_LIMITS_SKIPPED = Counter(
    "mutirao_rate_limits_skipped", "Requests that were not counted, as Redis was away.", ["scope"]
)
CACHE_TRIALS = Counter(
    "mutirao_cache_trials", "Looks at whether a cached answer was right, by who looked.", ["source", "outcome"]
)
CIRCUIT_CHANGES = Counter("mutirao_circuit_changes", "Steps of circuit breakers.", ["kind", "state"])
QUOTA_REFUSED = Counter("mutirao_quota_refused", "Submissions refused by a quota, by its unit.", ["unit"])

Args = ParamSpec("Args")
SystemMetrics = Callable[[], Iterable[Metric]]

_system: dict[str, SystemMetrics] = {}
# Labels that people can make up: what comes after so many different ones is counted as OTHER.
MOST_LABELS = 200
OTHER = "other"
_labels: dict[str, set[str]] = {}
_LIVE_FILE = re.compile(r"^gauge_live[a-z]+_(\d+)\.db$")


def harmless(count: Callable[Args, None]) -> Callable[Args, None]:
    """For what only counts: a folder that is full or gone is logged, and never the end of what was counted."""

    @wraps(count)
    def careful(*args: Args.args, **kwargs: Args.kwargs) -> None:
        try:
            count(*args, **kwargs)
        except Exception:
            logger.exception("not_counted")

    return careful


def bounded(kind: str, label: str) -> str:
    """The label, or OTHER when this process has seen MOST_LABELS others of its kind: each is kept for ever."""
    known = _labels.setdefault(kind, set())
    if label in known:
        return label
    if len(known) >= MOST_LABELS:
        return OTHER
    known.add(label)
    return label


def register_system(name: str, collect: SystemMetrics) -> None:
    """Adds what is true of the whole system; `collect` runs at every scrape and may ask the database one question."""
    _system[name] = collect


class SystemCollector(Collector):
    """Everything registered with `register_system`. A question that fails costs its own answer only."""

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        answered = GaugeMetricFamily(
            "mutirao_system_answered", "Whether a question about the whole system could be answered.", labels=["about"]
        )
        for name, ask in _system.items():
            try:
                metrics = [*ask()]
            except DatabaseError as error:
                logger.warning("system_metrics_failed", about=name, error=str(error))
                answered.add_metric([name], 0)
            else:
                answered.add_metric([name], 1)
                yield from metrics
        yield answered


def system_text() -> bytes:
    """The system's metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SystemCollector())
    return generate_latest(registry)


def forget_the_dead(directory: Path) -> None:
    """Removes the gauges of processes that are gone: what they counted stays true, what they were doing does not."""
    for file in directory.glob("gauge_live*.db"):
        found = _LIVE_FILE.match(file.name)
        if found is not None and not _is_alive(int(found[1])):
            mark_process_dead(int(found[1]), str(directory))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def clear(directory: Path) -> None:
    """Begins counting from zero. Only while no process counts."""
    for file in directory.glob("*.db"):
        file.unlink(missing_ok=True)
