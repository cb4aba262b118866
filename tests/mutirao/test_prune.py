"""What grows old goes, and nothing else."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_results.models import TaskResult
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit
from accounts.models import AuditEvent, User
from agents.definitions.services import create_agent
from agents.gateway.models import ModelCall
from agents.memory.models import Conversation, Message
from agents.memory.services import post_message, start_conversation
from agents.tasks.data import NOTHING
from agents.tasks.models import Attempt, Status, Task, TaskEvent
from agents.tasks.services import claim, submit, succeed
from foundation.pruning import delete_in_batches, rules
from telemetry.models import Span

QUEUE = "prune-tests"
LONG_AGO = timedelta(days=1000)


def _prune(*arguments: str, **options: Any) -> str:
    output = io.StringIO()
    call_command("prune", *arguments, stdout=output, **options)
    return output.getvalue()


def _finish_one() -> None:
    claimed = claim(queues=[QUEUE], worker="tests")
    assert claimed is not None
    succeed(claim=claimed, result={"text": "done"}, usage=NOTHING)


def _age(task: Task) -> None:
    moment = timezone.now() - LONG_AGO
    Task.objects.filter(pk=task.pk).update(created_at=moment, finished_at=moment)


@pytest.fixture
def old_task(member: User) -> Task:
    """A task that ended long ago."""
    agent = create_agent(slug="pruned", queue=QUEUE)
    task = submit(owner=member, agent=agent, input="hello").task
    _finish_one()
    _age(task)
    return task


def test_an_old_task_goes_with_its_attempts_and_events(old_task: Task) -> None:
    assert Attempt.objects.filter(task=old_task).count() == 1
    assert "tasks that have ended: 1 deleted" in _prune()
    assert not Task.objects.filter(pk=old_task.pk).exists()
    assert (Attempt.objects.count(), TaskEvent.objects.count()) == (0, 0)


def test_a_rehearsal_counts_and_deletes_nothing(old_task: Task) -> None:
    assert "tasks that have ended: 1 would be deleted" in _prune(dry_run=True)
    assert Task.objects.filter(pk=old_task.pk).exists()


def test_a_task_that_waits_is_never_old(old_task: Task, member: User) -> None:
    waiting = submit(owner=member, agent=old_task.agent_version.agent, input="hello").task
    Task.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - LONG_AGO)
    _prune()
    assert [task.status for task in Task.objects.all()] == [Status.QUEUED]


def test_what_was_said_stays_when_its_task_goes(member: User) -> None:
    conversation = start_conversation(owner=member, agent=create_agent(slug="companion", queue=QUEUE))
    posted = post_message(conversation=conversation, text="hello", owner=member)
    _finish_one()
    _age(Task.objects.get(pk=posted.task.pk))
    assert "conversations: kept for ever" in _prune()
    assert Task.objects.count() == 0
    assert [message.content for message in Message.objects.all()] == ["hello", "done"]


def test_conversations_go_when_asked(member: User) -> None:
    agent = create_agent(slug="companion", queue=QUEUE)
    old, under_way, fresh = (start_conversation(owner=member, agent=agent) for _ in range(3))
    post_message(conversation=under_way, text="hello", owner=member)
    Conversation.objects.filter(pk__in=[old.pk, under_way.pk]).update(updated_at=timezone.now() - LONG_AGO)
    assert "conversations: 1 deleted" in _prune(only=["conversations"], days=30)
    assert set(Conversation.objects.all()) == {under_way, fresh}


def test_the_record_of_deeds_stays(old_task: Task, member: User) -> None:
    audit.record(verb="auth.sign_in", actor=audit.SYSTEM, subject=member)
    AuditEvent.objects.update(created_at=timezone.now() - LONG_AGO)
    before = AuditEvent.objects.count()
    _prune()
    assert AuditEvent.objects.count() == before > 0


def test_spans_calls_results_and_tokens_go_by_their_own_terms(member: User) -> None:
    for days in (1, 100):
        moment = timezone.now() - timedelta(days=days)
        Span.objects.create(
            trace_id=f"{days:032}", span_id=f"{days:016}", kind="task", name="x", started_at=moment, duration_ms=1
        )
        ModelCall.objects.create(provider="p", model="m", started_at=moment, latency_ms=1, outcome="succeeded")
        TaskResult.objects.create(task_id=str(days))
        TaskResult.objects.filter(task_id=str(days)).update(date_done=moment)
    used, unused = RefreshToken.for_user(member), RefreshToken.for_user(member)
    used.blacklist()
    OutstandingToken.objects.filter(jti=used["jti"]).update(expires_at=timezone.now() - timedelta(days=1))
    _prune()
    assert (Span.objects.count(), TaskResult.objects.count()) == (1, 1)
    assert ModelCall.objects.count() == 2
    assert [token.jti for token in OutstandingToken.objects.all()] == [unused["jti"]]
    assert BlacklistedToken.objects.count() == 0


def test_zero_days_keep_for_ever(old_task: Task, settings: Any) -> None:
    settings.KEEP_TASKS_DAYS = 0
    assert "tasks that have ended: kept for ever" in _prune()
    assert Task.objects.filter(pk=old_task.pk).exists()


def test_one_batch_is_one_short_transaction(member: User) -> None:
    Span.objects.bulk_create(
        Span(trace_id="0" * 32, span_id=f"{n:016}", kind="step", name="x", started_at=timezone.now(), duration_ms=1)
        for n in range(25)
    )
    assert [*delete_in_batches(Span.objects.order_by("pk"), size=10)] == [10, 10, 5]


def test_days_without_a_kind_are_refused(db: None) -> None:
    with pytest.raises(CommandError, match="--days needs --only"):
        _prune(days=3)


def test_audit_events_are_kept_for_ever_unless_somebody_says_otherwise(db: None) -> None:
    kinds = {rule.name for rule in rules()}
    assert kinds == {
        "tasks", "scheduled-runs", "celery-results", "spans", "model-calls", "conversations", "sessions",
        "refresh-tokens", "api-sessions", "quota-periods",
        "webhook-deliveries", "audit", "circuit-changes", "cached-answers",
    }  # fmt: skip
    assert next(rule for rule in rules() if rule.name == "audit").due() is None
