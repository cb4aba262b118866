"""`manage.py seed_day`: a believable day of work, for screenshots and for pages under load. Never in production."""

from __future__ import annotations

import random
from argparse import ArgumentParser
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection
from django.utils.timezone import now

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import Role, User
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.services import create_agent
from agents.gateway.models import ModelCall
from agents.memory.models import Conversation, Message
from agents.schedules.models import ScheduledRun
from agents.schedules.services import create_schedule, pause_schedule
from agents.tasks.models import Attempt, Priority, Task, TaskEvent
from agents.tools.models import Approval, ToolCall
from agents.webhooks.messages import finished_message
from agents.webhooks.models import Delivery, DeliveryAttempt, Endpoint
from agents.webhooks.signing import new_secret
from agents.worker.models import WorkerProcess
from foundation.models import new_id
from telemetry.models import Span
from tests.parts.cached import CachedMonth

PASSWORD = "a-day-of-work-2026"
PEOPLE = (("ana", "operator", True), ("bruno", "member", False), ("carla", "member", False))
AGENTS = (
    ("parcels", "Parcels", "Answers questions about parcels and their days."),
    ("invoices", "Faturas", "Lê faturas e confere os valores."),
    ("reports", "Reports", "Writes the weekly report from the numbers of the shop."),
)
QUESTIONS = (
    ("How many days does a parcel take to Brazil?", "Three days by plane, nine by sea."),
    ("Confira a fatura 1045, por favor.", "A fatura 1045 está correta: o total de R$ 1.240,50 confere com o pedido."),
    ("What did we sell most last week?", "Coffee, with 412 bags; tea follows with 280."),
    ("Resuma a reunião de ontem.", "Decidimos adiar o lançamento em uma semana e contratar mais uma pessoa."),
    ("Which customers have not answered?", "Three: Oliveira, Schmidt and Tanaka. The oldest letter is of 3 November."),
    ("Is the parcel 88-1203 on its way?", "It left São Paulo yesterday and reaches Lisbon on Friday."),
)
MODEL = "local:smollm2-135m"
ROLES = ("user", "assistant")
FAILURES = (
    ("ModelTimeout", "The model did not answer in time."),
    ("ModelUnavailable", "The provider failed (503)."),
    ("ValueError", "invoice 1051 has no total"),
)
TRACEBACK = (
    'Traceback (most recent call last):\n  File "invoices.py", line 41, in read\n'
    '    raise ValueError("invoice 1051 has no total")\nValueError: invoice 1051 has no total\n'
)


class Command(BaseCommand):
    help = "Fills an empty installation with a believable day of work."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tasks", type=int, default=240)
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--bare", action="store_true", help="tasks without their events, attempts and calls")

    def handle(self, *args: Any, **options: Any) -> None:
        day = Day(random.Random(options["seed"]))
        day.people()
        day.agents()
        day.tasks(options["tasks"], bare=options["bare"])
        day.conversations()
        day.decisions()
        day.schedules()
        day.webhooks()
        day.workers()
        if connection.vendor == "postgresql":
            # What autovacuum would have done while so many rows came one by one.
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
        self.stdout.write(PASSWORD)


class Day:
    """What is made, in the order in which one thing needs another."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = now()
        self.owners: list[User] = []
        self.versions: list[AgentVersion] = []

    def people(self) -> None:
        """A small team with a key each."""
        for name, role, is_staff in PEOPLE:
            mail = f"{name}@example.org"
            user = User.objects.create_user(name, mail, PASSWORD, is_staff=is_staff, first_name=name.capitalize())
            user.groups.set(Role.objects.filter(name=role))
            issue_api_key(owner=user, name="laptop", actor=SYSTEM)
            self.owners.append(user)
        issue_api_key(owner=self.owners[1], name="nightly report", scopes=["tasks:write"], actor=SYSTEM)

    def agents(self) -> None:
        """Agents of the team beside those that ship."""
        for slug, name, description in AGENTS:
            create_agent(slug=slug, name=name, description=description, model=MODEL)
        usable = Agent.objects.usable().select_related("current_version").order_by("slug")
        self.versions = [agent.current_version for agent in usable if agent.current_version]

    def tasks(self, count: int, *, bare: bool) -> None:
        """More by day than by night; one in ten fails, a few still run."""
        made = [self._task(number, count) for number in range(count)]
        if bare:
            Task.objects.bulk_create(made, batch_size=500)
            return
        month = CachedMonth(self.now, self.versions, QUESTIONS)
        calls = [self._call(task, month) for task in made if task.fence]
        Task.objects.bulk_create(made, batch_size=500)
        month.fill()
        Attempt.objects.bulk_create([self._attempt(task) for task in made if task.fence], batch_size=500)
        TaskEvent.objects.bulk_create([event for task in made for event in self._events(task)], batch_size=500)
        ModelCall.objects.bulk_create(calls, batch_size=500)
        Span.objects.bulk_create([span for task in made if task.finished_at for span in self._spans(task)])

    def _task(self, number: int, count: int) -> Task:
        question, answer = self.chance.choice(QUESTIONS)
        version = self.chance.choice(self.versions)
        hours = 23.5 * (1 - (number / count) ** 0.7) * self.chance.uniform(0.9, 1)
        at = self.now - timedelta(hours=hours)
        status = "running" if count - number <= 2 else "queued" if count - number <= 4 else self._ending()
        task = Task(
            id=new_id(), created_at=at, owner=self.chance.choice(self.owners), status=status,
            agent=version.agent, agent_version=version, input=question, queue="interactive",
            priority=self.chance.choice([Priority.NORMAL] * 4 + [Priority.HIGH]), runs_before=at, last_event=3,
            trace_id=f"{self.chance.getrandbits(128):032x}", request_id=str(new_id()), told_at=at,
        )  # fmt: skip
        if status == "queued":
            # The platform's own worker is not to have it before the picture is taken.
            task.not_before = self.now + timedelta(hours=2)
        else:
            self._run(task, answer)
        return task

    def _ending(self) -> str:
        return self.chance.choices(["succeeded", "failed", "cancelled"], [88, 10, 2])[0]

    def _run(self, task: Task, answer: str) -> None:
        task.fence, task.started_at = 1, task.created_at + timedelta(milliseconds=self.chance.randint(8, 60))
        task.input_tokens, task.output_tokens = self.chance.randint(40, 900), self.chance.randint(10, 400)
        task.cost = Decimal(task.input_tokens + 3 * task.output_tokens) / 1_000_000
        if task.status == "running":
            # Not touched by the sweeper while pictures are taken.
            task.lease_expires_at = task.run_deadline_at = self.now + timedelta(hours=2)
            return
        task.finished_at = task.started_at + timedelta(seconds=self.chance.uniform(0.4, 9))
        if task.status == "succeeded":
            task.result = {"text": answer, "messages": 2}
        if task.status == "failed":
            task.error_type, task.error_message = self.chance.choice(FAILURES)

    def _attempt(self, task: Task) -> Attempt:
        assert task.started_at is not None
        return Attempt(
            task=task, fence=1, worker="worker-1", started_at=task.started_at, ended_at=task.finished_at,
            outcome=task.status if task.finished_at else "", error_type=task.error_type,
            error_message=task.error_message, traceback=TRACEBACK if task.error_type == "ValueError" else "",
            input_tokens=task.input_tokens, output_tokens=task.output_tokens, cost=task.cost,
        )  # fmt: skip

    def _events(self, task: Task) -> list[TaskEvent]:
        said: list[tuple[str, dict[str, Any], datetime | None]] = [
            ("status", {"status": "queued"}, task.created_at),
            ("status", {"status": "running"}, task.started_at),
        ]
        if task.result is not None:
            said.append(("message", {"text": task.result["text"]}, task.finished_at))
        if task.finished_at:
            error = {"error": {"type": task.error_type, "message": task.error_message}} if task.error_type else {}
            said.append(("status", {"status": task.status, **error}, task.finished_at))
        return [
            TaskEvent(task=task, number=number, fence=task.fence, kind=kind, data=data, created_at=at)
            for number, (kind, data, at) in enumerate(said, start=1)
            if at
        ]

    def _call(self, task: Task, month: CachedMonth) -> ModelCall:
        """Of a task that is done, perhaps one that the cache answered: then the task has spent nothing either."""
        latency = self.chance.uniform(300, 5000)
        call = ModelCall(
            task_id=task.pk, fence=1, agent_id=task.agent_id, agent_version_id=task.agent_version_id,
            owner_id=task.owner_id, provider="local", model="smollm2-135m", trace_id=task.trace_id,
            started_at=task.started_at or task.created_at, latency_ms=latency, first_token_ms=latency / 6,
            input_tokens=task.input_tokens, output_tokens=task.output_tokens, cost=task.cost,
            outcome="failed" if task.status == "failed" else "succeeded",
        )  # fmt: skip
        for name, value in (month.columns() if task.status == "succeeded" else {}).items():
            setattr(call, name, value)
        task.input_tokens, task.output_tokens = call.input_tokens, call.output_tokens
        task.cost = Decimal(call.cost or 0)
        return call

    def _spans(self, task: Task) -> list[Span]:
        """The attempt, its step, and the model call in it."""
        assert task.started_at is not None
        assert task.finished_at is not None
        whole = (task.finished_at - task.started_at).total_seconds() * 1000
        status = "error" if task.error_type else "ok"
        pieces = (("task", str(task.agent_version), 0.0), ("step", "model", 0.02), ("model", MODEL, 0.04))
        made: list[Span] = []
        for kind, name, share in pieces:
            found = Span(
                trace_id=task.trace_id, span_id=f"{self.chance.getrandbits(64):016x}", kind=kind, name=name,
                parent_id=made[-1].span_id if made else "", task_id=task.pk, status=status,
                started_at=task.started_at + timedelta(milliseconds=whole * share),
                duration_ms=whole * (1 - 2 * share),
            )  # fmt: skip
            made.append(found)
        return made

    def conversations(self) -> None:
        """Two people talk with the assistant."""
        agent = Agent.objects.get(slug="assistant")
        for owner in [*self.owners[:2], User.objects.get(username="admin")]:
            for first in range(0, len(QUESTIONS), 2):
                title = QUESTIONS[first][0]
                conversation = Conversation.objects.create(owner=owner, agent=agent, title=title)
                turns = [turn for pair in QUESTIONS[first : first + 2] for turn in zip(ROLES, pair, strict=True)]
                Message.objects.bulk_create(
                    Message(conversation=conversation, position=position, role=role, content=content)
                    for position, (role, content) in enumerate(turns, start=1)
                )

    def decisions(self) -> None:
        """Ana's tasks that wait for somebody: for an approval, for an answer, for a review."""
        asked = {"id": "0" * 32, "value": "Two parcels match. Which of them is meant, 88-1203 or 88-1230?"}
        task = self._stopped("waiting", "approval", {"tools": ["pay_invoice"]})
        call = self._call_of(task, "awaiting", {"invoice": "1045", "amount": 1240.5, "to": "Papelaria Oliveira"})
        Approval.objects.create(
            task=task, tool_call=call, tool=call.name, description="Pays an invoice from the shop's account.",
            arguments=call.arguments, arguments_schema={"type": "object"}, expires_at=self.now + timedelta(hours=20),
        )  # fmt: skip
        self._stopped("waiting", "input", {"questions": [asked]})
        review = self._stopped("needs_review", "", {})
        self._call_of(review, "needs_review", {"invoice": "1046", "amount": 88})

    def _stopped(self, status: str, waiting_for: str, said: dict[str, Any]) -> Task:
        version = self.chance.choice(self.versions)
        at = self.now - timedelta(minutes=self.chance.randint(4, 50))
        error = "The call pay_invoice(invoice='1046') was begun and did not finish; whether it was done is not known."
        task = Task.objects.create(
            created_at=at, owner=self.owners[0], status=status, waiting_for=waiting_for, agent=version.agent,
            agent_version=version, input=self.chance.choice(QUESTIONS)[0], queue="interactive", runs_before=at, fence=1,
            last_event=3, trace_id=f"{self.chance.getrandbits(128):032x}", started_at=at,
            error_type="" if waiting_for else "ToolCallUnfinished", error_message="" if waiting_for else error,
        )  # fmt: skip
        outcome = Attempt.Outcome.WAITING if waiting_for else Attempt.Outcome.NEEDS_REVIEW
        Attempt.objects.create(task=task, fence=1, worker="worker-1", started_at=at, ended_at=at, outcome=outcome)
        stopped = {"status": status} | ({"waiting_for": waiting_for} if waiting_for else {}) | said
        for number, data in enumerate([{"status": "queued"}, {"status": "running"}, stopped], start=1):
            TaskEvent.objects.create(task=task, number=number, fence=1, kind="status", data=data, created_at=at)
        return task

    def _call_of(self, task: Task, state: str, arguments: dict[str, Any]) -> ToolCall:
        return ToolCall.objects.create(
            task=task, key=f"{self.chance.getrandbits(256):064x}", name="pay_invoice", arguments=arguments,
            effects="once", state=state, fence=1, times=int(state == "needs_review"),
        )  # fmt: skip

    def schedules(self) -> None:
        """A report every morning that has run for a week, an hourly check, and one that is paused."""
        ana, bruno = self.owners[0], self.owners[1]
        report = create_schedule(
            owner=ana, actor=SYSTEM, name="Morning report", agent="reports", input=QUESTIONS[2][0], cron="0 8 * * 1-5",
            timezone="America/Sao_Paulo",
        )  # fmt: skip
        create_schedule(
            owner=ana, actor=SYSTEM, name="Parcels on their way", agent="parcels", input=QUESTIONS[5][0],
            every_seconds=3600,
        )  # fmt: skip
        paused = create_schedule(
            owner=bruno, actor=SYSTEM, name="Faturas do mês", agent="invoices", input=QUESTIONS[1][0],
            cron="0 6 1 * *", timezone="Europe/Lisbon",
        )  # fmt: skip
        pause_schedule(schedule=paused, actor=SYSTEM)
        ended = Task.objects.filter(finished_at__isnull=False).order_by("-created_at")[:6]
        due = report.timing.upcoming(self.now - timedelta(days=10), 6)
        runs = [
            ScheduledRun(schedule=report, created_at=at, due_at=at, last_due_at=at, task=task, outcome="fired")
            for at, task in zip(due, ended, strict=False)
        ]
        runs[1].task, runs[1].outcome = None, "skipped_overlap"
        runs[3].task, runs[3].outcome, runs[3].reason = None, "refused", "The agent “reports” is disabled."
        ScheduledRun.objects.bulk_create(runs)

    def webhooks(self) -> None:
        """Ana's receivers: one that is told, one that has stopped answering."""
        ana = self.owners[0]
        made = [
            Endpoint.objects.create(
                owner=ana, url=f"https://hooks.example.org/{number}", description=name, secret=new_secret(),
                created_at=self.now - timedelta(days=9 - number), failing_since=since,
            )
            for number, (name, since) in enumerate((("orders", None), ("chat room", self.now - timedelta(hours=3))))
        ]  # fmt: skip
        ended = Task.objects.filter(owner=ana, finished_at__isnull=False).order_by("-finished_at")
        for number, task in enumerate(ended.select_related("agent_version__agent")[:12]):
            self._delivery(task, made[number % 4 == 1], fails=number % 4 == 1)

    def _delivery(self, task: Task, endpoint: Endpoint, *, fails: bool) -> None:
        assert task.finished_at is not None
        at = task.finished_at
        delivery = Delivery.objects.create(
            owner_id=task.owner_id, endpoint=endpoint, task=task, event="task.finished", url=endpoint.url,
            host="hooks.example.org", body=finished_message(task, task.result, at, with_result=True), created_at=at,
            state="failed" if fails else "delivered", fence=2 if fails else 1, tries=2 if fails else 1,
            # The platform's own worker is not to send it before the picture is taken.
            next_try_at=self.now + timedelta(hours=2) if fails else None, ended_at=None if fails else at,
            last_status_code=503 if fails else 200, last_error="HTTP 503 Service Unavailable" if fails else "",
        )  # fmt: skip
        DeliveryAttempt.objects.bulk_create(
            DeliveryAttempt(
                delivery=delivery, number=number, started_at=at + timedelta(minutes=5 * (number - 1)),
                duration_ms=self.chance.uniform(40, 400), status_code=delivery.last_status_code,
                error=delivery.last_error, excerpt="upstream is being moved" if fails else "ok",
            )
            for number in range(1, delivery.fence + 1)
        )  # fmt: skip

    def workers(self) -> None:
        """One that is alive for a while."""
        WorkerProcess.objects.update_or_create(
            name="worker-1", defaults={"pid": 1, "queues": ["interactive"], "threads": 8, "polled_at": self.now}
        )
