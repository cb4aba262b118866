"""`manage.py explain_lists`: reads every list of tests.benchmarks.lists and prints, as JSON, what the database did."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.core.management.base import BaseCommand
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from rest_framework.test import APIClient

from accounts.models import User
from agents.tasks.models import Task
from tests.benchmarks.lists import LOOKS_AT, Look
from tests.parts.management.commands.seed_tasks import SELDOM_AGENT, SELDOM_OWNER, SELDOM_QUEUE

LONGEST = 118
MOST_LINES = 12
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|\b[0-9a-f]{32}\b")
COLUMNS = re.compile(r"^SELECT (?!COUNT|MIN).*? FROM", re.DOTALL)
JOIN = re.compile(r" (INNER|LEFT OUTER) JOIN \S+( \S+)? ON \([^()]*\)")
# Nodes of a plan that say how tasks are found; how their agents and owners are joined to them is the same everywhere.
TOLD = re.compile(r"agents_tasks_task|tasks_|Limit|Sort|Aggregate|Append|Bitmap|Unique")
MORE = re.compile(r"\s*(Index Cond|Filter|Recheck Cond|Rows Removed|Sort Method|Buffers)")
TIMES = re.compile(r" \(actual time=\S+ (rows=\d+) loops=(\d+)\)")


class Command(BaseCommand):
    help = "Explains the statements of every list of tasks (PostgreSQL)."

    def handle(self, *args: Any, **options: Any) -> None:
        addresses = addresses_of(LOOKS_AT, _names())
        self.stdout.write(json.dumps({each.name: _explained(addresses[each.name], each.who) for each in LOOKS_AT}))


def addresses_of(looks: Iterable[Look], names: Mapping[str, str]) -> dict[str, str]:
    """The addresses with what they ask for."""
    quoted = {name: quote(value, safe="") for name, value in names.items()}
    return {each.name: each.address.format(**quoted) for each in looks}


def statements_of(address: str, user: User) -> list[str]:
    """What the platform asks about tasks when this person opens the address."""
    client: Client = APIClient() if address.startswith("/api/") else Client()
    if isinstance(client, APIClient):
        client.force_authenticate(user)
    else:
        client.force_login(user, backend="accounts.backends.PasswordBackend")
    with CaptureQueriesContext(connection) as queries:
        response = client.get(address, headers={"host": "127.0.0.1"})
    assert response.status_code == 200, (address, response.status_code, response.content[:500])
    asked = [query["sql"] for query in queries.captured_queries]
    return [sql for sql in asked if "SELECT" in sql and '"agents_tasks_task"' in sql]


def _names() -> dict[str, str]:
    """What the addresses ask for: a task from the middle of the season and what belongs to it."""
    middle = Task.objects.filter(created_at__lt=now() - timedelta(days=45))
    task = middle.filter(idempotency_key__isnull=False).select_related("owner", "agent")[0]
    retry = middle.filter(retry_of__isnull=False)[0]
    turn = middle.filter(serial_key__isnull=False)[0]
    return {
        "id": str(task.pk),
        "idempotency_key": str(task.idempotency_key),
        "request_id": task.request_id,
        "trace_id": task.trace_id,
        "owner": task.owner.username,
        "agent": task.agent.slug,
        "seldom_owner": SELDOM_OWNER,
        "seldom_agent": SELDOM_AGENT,
        "seldom_queue": SELDOM_QUEUE,
        "nothing": "no-such-thing",
        "retried": str(retry.retry_of_id),
        "conversation": str(turn.serial_key).partition(":")[2],
        "yesterday": f"{now() - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
        "long_ago": f"{now() - timedelta(days=85):%Y-%m-%dT%H:%M:%SZ}",
    }


def _explained(address: str, who: str) -> dict[str, Any]:
    """Its address, how many statements it takes, their time, and the slowest one with its plan."""
    statements = statements_of(address, User.objects.get(username=who))
    plans = sorted(((_plan(sql), sql) for sql in statements), key=lambda found: found[0][0], reverse=True)
    (_slowest, plan), sql = plans[0]
    return {
        "address": address,
        "statements": len(plans),
        "milliseconds": sum(milliseconds for (milliseconds, _plan_), _sql in plans),
        "sql": _short(sql),
        "plan": plan,
    }


def _plan(sql: str) -> tuple[float, str]:
    """Milliseconds and plan of a second run, when what it needs is in memory."""
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, SUMMARY ON) {sql}")
            lines = [line for (line,) in cursor.fetchall()]
    milliseconds = sum(float(line.split()[2]) for line in lines if line.startswith(("Planning Time", "Execution Time")))
    return milliseconds, _told(lines)


def _told(lines: Iterable[str]) -> str:
    """What the plan says about tasks, without what is joined to them."""
    found: list[str] = []
    is_told = False
    for line in lines:
        if "->" in line or not line.startswith(" "):
            is_told = bool(TOLD.search(line)) or line.startswith("Execution")
        elif not MORE.match(line):
            continue
        if is_told:
            found.append(_cut(TIMES.sub(r" (\1, \2 times)", line).replace(", 1 times", "")))
    more = len(found) - MOST_LINES
    return "\n".join(found if more <= 0 else [*found[: MOST_LINES - 1], f"… {more + 1} more lines like these"])


def _short(sql: str) -> str:
    """Without the names of columns and the joins that fetch names, and with … for ids."""
    text = COLUMNS.sub("SELECT … FROM", sql).replace('"', "").replace("agents_tasks_task.", "")
    return _cut(UUID.sub("…", JOIN.sub("", text)), 500)


def _cut(line: str, longest: int = LONGEST) -> str:
    line = UUID.sub("…", line)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
