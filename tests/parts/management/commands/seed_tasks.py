"""`manage.py seed_tasks`: a season of finished work in one statement, for lists under load. Never in production."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils.timezone import now

from accounts.models import Role, User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.worker.models import WorkerProcess

PASSWORD = "a-season-of-work-2026"
OPERATOR, MEMBER = "ana", "bruno"
PEOPLE = 20
AGENTS = 10
# Hardly ever used, and not lately: what a list has to look for longest.
SELDOM_AGENT, SELDOM_OWNER, SELDOM_QUEUE = "seldom", "carla", "reports"
DAYS = 90

# Numbers count from the newest task (1) to the oldest. Of 1,000,000 about 8 run, 40 are queued, 12 wait, 4 need review;
# of the others 94 % succeeded, 5 % failed and 1 % was cancelled. One in 50 has an idempotency key of its own, one in
# 200 is a retry, one in ten is a turn of a conversation, one in 5,000 is of the agent, owner and queue that are seldom.
SEED = """
INSERT INTO agents_tasks_task (
 id, created_at, input, metadata, idempotency_key, request_digest, queue, priority, runs_before, max_attempts,
 limit_seconds, limit_steps, status, fence, lease_expires_at, run_deadline_at, failures, crashes, last_event, told_at,
 started_at, finished_at, result, error_type, error_message, input_tokens, output_tokens, cost, trace_id, request_id,
 agent_version_id, owner_id, agent_id, retry_of_id, serial_key, dependencies_left, has_dependents, if_dependency_fails,
 is_rolled_back, is_suspect, waiting_for, waits_until, webhook_url, not_before, is_metered)
SELECT
 id, at, to_jsonb('How many days does a parcel take to country ' || n || '?'), '{}'::jsonb,
 CASE WHEN n %% 50 = 0 THEN 'order-' || n END, md5(n::text) || md5(n::text),
 CASE WHEN seldom THEN %(seldom_queue)s WHEN n %% 5 = 0 THEN 'background' ELSE 'interactive' END,
 CASE WHEN n %% 20000 = 1 THEN 3 WHEN n %% 10 = 3 THEN 2 WHEN n %% 25 = 7 THEN 0 ELSE 1 END, at, 3, 600, 50,
 status, CASE WHEN status = 'queued' THEN 0 ELSE 1 END,
 CASE WHEN status = 'running' THEN %(now)s + interval '1 day' END,
 CASE WHEN status = 'running' THEN %(now)s + interval '1 day' END,
 CASE WHEN status = 'failed' THEN 1 ELSE 0 END, 0, 3, at,
 CASE WHEN status <> 'queued' THEN at + interval '9 milliseconds' END,
 CASE WHEN is_over THEN at + interval '2 seconds' END,
 CASE WHEN status = 'succeeded' THEN jsonb_build_object('text', 'Three by plane, nine by sea.', 'messages', 2) END,
 CASE WHEN status = 'failed' THEN (ARRAY['ModelTimeout', 'ModelUnavailable', 'ValueError'])[1 + n %% 3] ELSE '' END,
 CASE WHEN status = 'failed' THEN 'The provider failed (503), request ' || n ELSE '' END,
 400 + n %% 500, 40 + n %% 200, 0.001 + (n %% 7) * 0.0001,
 md5('trace' || n), md5('request' || n)::uuid::text,
 version, owner, agent, CASE WHEN n %% 200 = 0 THEN lag(id, 100) OVER (ORDER BY n DESC) END,
 CASE WHEN n %% 10 = 4 AND is_over THEN 'conversation:' || md5((n %% 5000)::text)::uuid END, 0, false, 'fail',
 false, false, CASE WHEN status = 'waiting' THEN 'approval' ELSE '' END, NULL, '',
 CASE WHEN status = 'queued' THEN %(now)s + interval '1 day' END, false
FROM (
 SELECT numbered.*,
  (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
   || substr(md5(n::text), 4, 15))::uuid AS id,
  status IN ('succeeded', 'failed', 'cancelled') AS is_over,
  CASE WHEN seldom THEN %(seldom_owner)s::uuid ELSE (%(owners)s::uuid[])[which_owner] END AS owner,
  CASE WHEN seldom THEN %(seldom_agent)s::uuid ELSE (%(agents)s::uuid[])[which_agent] END AS agent,
  CASE WHEN seldom THEN %(seldom_version)s::uuid ELSE (%(versions)s::uuid[])[which_agent] END AS version
 FROM (
  SELECT n, %(now)s::timestamptz - make_interval(secs => %(days)s * 86400.0 * n / %(count)s) AS at,
   n > %(count)s / 2 AND n %% 5000 = 1 AS seldom,
   1 + mod(abs(hashint4(n)), %(many_owners)s) AS which_owner,
   1 + mod(abs(hashint4(n + 1)), %(many_agents)s) AS which_agent,
   CASE WHEN n <= 8 THEN 'running' WHEN n <= 48 THEN 'queued' WHEN n <= 60 THEN 'waiting'
    WHEN n <= 64 THEN 'needs_review'
    WHEN n %% 20 = 0 THEN 'failed' WHEN n %% 100 = 1 THEN 'cancelled' ELSE 'succeeded' END AS status
  FROM generate_series(%(count)s, 1, -1) n) numbered) made
"""


class Command(BaseCommand):
    help = "Fills an empty installation on PostgreSQL with a season of tasks, without events and attempts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--count", type=int, default=1_000_000)

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "postgresql":
            raise CommandError("Only PostgreSQL makes a million rows in one statement.")
        owners = [_person(OPERATOR, "operator", is_staff=True), _person(MEMBER, "member")]
        owners += [_person(f"person-{number}", "member") for number in range(1, PEOPLE)]
        agents = [_agent(f"agent-{number}") for number in range(1, AGENTS + 1)]
        seldom = _agent(SELDOM_AGENT)
        given = {
            "count": options["count"], "days": DAYS, "now": now(),
            "owners": [owner.pk for owner in owners], "many_owners": len(owners),
            "agents": [agent.pk for agent in agents], "many_agents": len(agents),
            "versions": [agent.current_version_id for agent in agents],
            "seldom_agent": seldom.pk, "seldom_version": seldom.current_version_id,
            "seldom_owner": _person(SELDOM_OWNER, "member").pk, "seldom_queue": SELDOM_QUEUE,
        }  # fmt: skip
        with connection.cursor() as cursor:
            # Foreign keys are right by the statement itself; asking for each of six million would take longer.
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(SEED, given)
            cursor.execute("RESET session_replication_role")
            cursor.execute("VACUUM ANALYZE")
        WorkerProcess.objects.create(name="worker-1", pid=1, queues=["interactive"], threads=8, polled_at=now())
        self.stdout.write(PASSWORD)


def _person(name: str, role: str, *, is_staff: bool = False) -> User:
    # Others never sign in, and a password takes its time.
    password = PASSWORD if name in (OPERATOR, MEMBER) else None
    user = User.objects.create_user(name, f"{name}@example.org", password, is_staff=is_staff)
    user.groups.set(Role.objects.filter(name=role))
    return user


def _agent(slug: str) -> Agent:
    create_agent(slug=slug, name=slug.capitalize(), description="Made for a measurement.", model="local:smollm2-135m")
    return Agent.objects.select_related("current_version").get(slug=slug)
