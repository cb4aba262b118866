"""Lists of tasks: found by exact names, and never by reading all tasks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now

from accounts.audit import SYSTEM
from accounts.models import User
from accounts.roles import ensure_roles
from agents.definitions.models import Agent
from agents.tasks import queues
from agents.tasks.admin import TaskAdmin
from agents.tasks.models import Task
from agents.tasks.services import submit
from tests.benchmarks.lists import ADMIN, API, LOOKS_AT, MEMBER, OPERATOR, Look
from tests.parts.management.commands.explain_lists import addresses_of, statements_of
from tests.tasks.conftest import Put

pytestmark = pytest.mark.django_db

# All rows of the table, in no order: what a list may never do. (Index scans that keep the order stop at a page's end.)
WHOLE_TABLE = {
    "sqlite": re.compile(r"^SCAN agents_tasks_task(?! USING (COVERING )?INDEX tasks_recent)"),
    "postgresql": re.compile(r"Seq Scan on agents_tasks_task|Sort Method: external"),
}


@pytest.fixture
def story(put: Put, agent: Agent, member: User) -> Task:
    """A task with all the names that a task can have, beside another one."""
    put(request_id="other-request")
    task = submit(
        owner=member, agent=agent, input="x", idempotency_key="order, 7", request_id="my-request", serial_key="s:1",
        retry_of=put(),
    ).task  # fmt: skip
    return Task.objects.select_related("owner", "agent").get(pk=task.pk)


def _named(text: str) -> set[Any]:
    return {*Task.objects.named(text).values_list("pk", flat=True)}


def test_a_task_is_found_by_each_of_its_names(story: Task) -> None:
    for name in (str(story.pk), story.pk.hex, story.request_id, story.trace_id, "order, 7", "  my-request "):
        assert _named(name) == {story.pk}, name


def test_an_owner_and_an_agent_are_names_of_all_their_tasks(story: Task, outsider: User) -> None:
    everything = {*Task.objects.values_list("pk", flat=True)}
    assert len(everything) == 3
    assert _named(story.owner.username) == _named(story.agent.slug) == everything
    assert _named(outsider.username) == set()


def test_a_part_of_a_name_is_none(story: Task) -> None:
    wrong = (str(story.pk)[:-1], "my-reques", "MY-REQUEST", "order", "", " ", "\x00", "x" * 256, "nothing")
    assert {name: _named(name) for name in wrong} == {name: set() for name in wrong}


def test_an_unknown_agent_has_no_tasks(story: Task) -> None:
    assert Task.objects.of_agent(story.agent.slug).count() == 3
    assert not Task.objects.of_agent("nobody").exists()


def test_the_known_queues_are_those_of_workers_agents_and_operators(story: Task) -> None:
    queues.change(name="reports", actor=SYSTEM, is_paused=True)
    queues.forget()
    assert queues.known() == ["background", "interactive", "reports", story.agent.queue]


@pytest.mark.parametrize("each", LOOKS_AT, ids=lambda each: each.name)
def test_no_list_reads_all_tasks(each: Look, story: Task, cast: dict[str, User]) -> None:
    statements = statements_of(_address(each, story), cast[each.who])
    assert statements
    for sql in statements:
        assert "DISTINCT" not in sql, sql
        plan = _plan(sql)
        assert not [line for line in plan if WHOLE_TABLE[connection.vendor].search(line)], (sql, plan)


@pytest.mark.parametrize("address", [API, ADMIN])
def test_a_list_is_not_counted(address: str, story: Task, cast: dict[str, User]) -> None:
    statements = statements_of(address, cast[OPERATOR])
    assert len(statements) == 1
    assert "COUNT(" not in statements[0]
    assert "LIMIT" in statements[0]


def test_the_admin_offers_no_order_that_has_no_index(client: Client, story: Task, operator: User) -> None:
    client.force_login(operator)
    shown = client.get(ADMIN).content.decode()
    column = [*TaskAdmin.list_display].index("created_at") + 1
    assert {*re.findall(r"[?&;]o=-?(\d+)", shown)} == {str(column)}
    assert "_facets" not in shown


@pytest.fixture
def cast(operator: User, member: User) -> dict[str, User]:
    """Who looks."""
    ensure_roles()
    return {OPERATOR: operator, MEMBER: member}


def _address(each: Look, story: Task) -> str:
    names = {
        "id": str(story.pk), "idempotency_key": "order, 7", "request_id": story.request_id, "trace_id": story.trace_id,
        "owner": story.owner.username, "agent": story.agent.slug, "seldom_owner": story.owner.username,
        "seldom_agent": story.agent.slug, "seldom_queue": "reports", "nothing": "nothing",
        "retried": str(story.retry_of_id), "conversation": str(story.pk),
        "yesterday": f"{now():%Y-%m-%dT%H:%M:%SZ}", "long_ago": f"{now():%Y-%m-%dT%H:%M:%SZ}",
    }  # fmt: skip
    return addresses_of([each], names)[each.name]


def _plan(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A few rows are read whole whatever indexes there are.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
            return [line for (line,) in cursor.fetchall()]
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return [line for *_numbers, line in cursor.fetchall()]
