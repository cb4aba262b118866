"""What must answer before this process can serve. Rooms above add theirs with `register`."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

logger = structlog.get_logger(__name__)

Check = Callable[[], str]
"""Returns a sentence that says what is wrong, or an empty string."""

_checks: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Adds a readiness check; the last one registered under a name wins."""
    _checks[name] = check


def failures() -> dict[str, str]:
    """Name of each failing check → one sentence. Nothing failing: an empty dict."""
    found = {name: _run(name, check) for name, check in _checks.items()}
    return {name: sentence for name, sentence in found.items() if sentence}


def _run(name: str, check: Check) -> str:
    """Whoever asks may be anybody: what an error says of hosts, users and paths goes to the log alone."""
    try:
        return check()
    except Exception as error:
        logger.warning("not_ready", check=name, error=f"{type(error).__name__}: {error}")
        return "It does not answer; the log of this process says why."


_migrated = False


def database() -> str:
    """The database answers and is migrated."""
    global _migrated
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    if not _migrated:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "Migrations are missing; run `manage.py migrate`."
        _migrated = True
    return ""


def redis() -> str:
    """Redis answers a read."""
    cache.get("ready")
    return ""


register("database", database)
register("redis", redis)
