"""A person who has left a canary in everything that can hold one, and how to look for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Count, Sum
from django.db.models.functions import TruncDay
from django.utils import timezone
from django_celery_results.models import TaskResult
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit
from accounts.audit import Actor
from accounts.issuing import issue_api_key
from accounts.limits import create_quota, create_rate_limit, delete_quota
from accounts.models import ApiSession, User
from accounts.services import change_profile
from accounts.sharing import share
from agents.cache.models import CacheEntry
from agents.definitions.models import Agent
from agents.gateway.models import ModelCall
from agents.memory.models import Conversation
from agents.memory.services import post_message, start_conversation
from agents.runtime.models import Checkpoint, CheckpointWrite
from agents.schedules.models import ScheduledRun
from agents.schedules.services import create_schedule
from agents.tasks import services as tasks
from agents.tasks.data import Failure, NewEvent, Usage
from agents.tasks.models import Task, TaskEvent
from agents.tools.approvals import decide
from agents.tools.models import ToolCall
from agents.webhooks.models import Delivery, DeliveryAttempt, Endpoint, TaskSecret
from agents.webhooks.signing import new_secret
from telemetry.models import Span
from tests.api.conftest import approval_of

CANARIES = [f"canary{number}x{number * 7919}" for number in range(10)]
QUEUE = "privacy"


def every_value() -> Iterator[bytes]:
    """Every value of every table, as text and as the bytes that it stands for."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 (names of our own tables)
            for row in cursor.fetchall():
                for value in row:
                    yield bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def dump() -> str:
    """All of it as one text."""
    return "\n".join(sorted(value.decode("utf-8", "replace") for value in every_value()))


def canaries_in(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text.lower()]


def totals() -> list[dict[str, Any]]:
    """What accounting asks: by person, agent and day."""
    by_task = Task.objects.annotate(day=TruncDay("created_at")).values("owner_id", "agent_id", "day")
    by_call = ModelCall.objects.annotate(day=TruncDay("started_at")).values("owner_id", "agent_version_id", "day")
    sums = {"calls": Count("pk"), "tokens": Sum("input_tokens"), "more": Sum("output_tokens"), "money": Sum("cost")}
    tasks_spent: list[Any] = [*by_task.annotate(**sums).order_by("owner_id", "agent_id", "day")]
    return [*tasks_spent, *by_call.annotate(**sums).order_by("owner_id", "day")]


def planted(agent: Agent, member: User, operator: User, admin: User) -> User:
    """A person who has touched everything, and left a canary everywhere."""
    one, two, three, four, five, six, seven, eight, nine, ten = CANARIES
    user = User.objects.create_user(username=one, email=f"{two}@example.org", password="a-password-12", last_name=three)
    user.groups.set(member.groups.all())
    share(thing=agent, verb="use", to=user, by=admin, actor=Actor(admin.pk, "admin"))
    for unit in ("tokens", "cost"):
        quota = create_quota(subject=f"user:{one}", unit=unit, period="day", amount=Decimal(10**6), actor=audit.SYSTEM)
    delete_quota(quota=quota, actor=audit.SYSTEM)
    create_rate_limit(subject=f"user:{one}", rate="9999/m", actor=audit.SYSTEM)
    mine = Actor(user.pk, user.username, "192.0.2.77", four)
    change_profile(user=user, values={"first_name": five}, actor=mine)
    key = issue_api_key(owner=user, name=six, actor=mine).row
    audit.record(verb="api_key.revoke", actor=Actor(admin.pk, "admin"), subject=key)
    audit.record(verb="auth.sign_in", actor=Actor(None, one.upper(), "192.0.2.77"), outcome="denied")
    audit.record(verb="auth.sign_in", actor=Actor(None, f"{two}@example.org"), outcome="denied")
    UserSession.objects.create(user=user, ip="192.0.2.77", user_agent=seven, session_key="s" * 32)
    ApiSession.objects.create(user=user, user_agent=seven, expires_at=timezone.now() + timedelta(days=1))
    Authenticator.objects.create(user=user, type="totp", data={"secret": "sealed"})
    RefreshToken.for_user(user)
    kind = ContentType.objects.get_for_model(User)
    for who in (user, admin):
        LogEntry.objects.create(
            user=who, content_type=kind, object_id=str(user.pk), object_repr=one, action_flag=CHANGE,
            change_message=eight,
        )  # fmt: skip
    _work(user, agent, operator, nine, ten)
    return user


def _work(user: User, agent: Agent, operator: User, nine: str, ten: str) -> None:
    conversation = start_conversation(owner=user, agent=agent)
    Conversation.objects.filter(pk=conversation.pk).update(title=nine)
    post_message(conversation=conversation, text=f"I am {ten}", owner=user)
    options = {
        "metadata": {"for": nine},
        "idempotency_key": nine,
        "request_id": nine,
        "webhook_url": f"https://8.8.8.8/{nine}",
    }
    done = tasks.submit(owner=user, agent=agent, input=f"about {ten}", **options).task  # type: ignore[arg-type]
    Task.objects.filter(pk=done.pk).update(trace_id="a" * 32)
    for _number in range(2):
        claim = tasks.claim(queues=[QUEUE], worker="worker-1", celery_id=f"celery-{_number}")
        assert claim is not None
        event = NewEvent(TaskEvent.Kind.MESSAGE, {"text": nine}, timezone.now())
        tasks.append_events(claim, [event])
        _leave_behind(claim.task_id, user, nine)
        usage = Usage(input_tokens=7, output_tokens=5)
        if _number:
            tasks.fail(claim=claim, failure=Failure("ValueError", nine, traceback=ten, retryable=False), usage=usage)
        else:
            tasks.succeed(claim=claim, result={"text": ten}, usage=usage)
    TaskResult.objects.create(task_id="celery-1", traceback=ten)
    decided = approval_of(Task.objects.get(pk=done.pk), description=nine)
    ToolCall.objects.update(arguments={"to": nine}, result=json.dumps(ten), error=nine)
    type(decided).objects.filter(pk=decided.pk).update(
        arguments={"to": nine}, edited_arguments={"to": ten}, state="edited", decided_at=timezone.now(), reason=nine,
        decided_by=operator,
    )  # fmt: skip
    waiting = tasks.submit(owner=operator, agent=agent, input="of somebody else").task
    decide(approval=approval_of(waiting), decision="refuse", user=user, actor=Actor(user.pk, user.username), reason=ten)
    schedule = create_schedule(
        owner=user, actor=Actor(operator.pk, "operator"), name=nine, agent="helper", input=ten, cron="0 3 * * *"
    )
    ScheduledRun.objects.create(
        schedule=schedule, due_at=timezone.now(), last_due_at=timezone.now(), outcome="refused", reason=ten
    )
    endpoint = Endpoint.objects.create(owner=user, url=f"https://8.8.8.8/{nine}", description=ten, secret=new_secret())
    TaskSecret.objects.create(owner=user, secret=new_secret())
    audit.record(verb="webhook.register", actor=Actor(operator.pk, "operator"), subject=endpoint)
    delivery = Delivery.objects.create(
        owner=user, endpoint=endpoint, url=endpoint.url, host="8.8.8.8", body=ten, event="webhook.test"
    )
    DeliveryAttempt.objects.create(delivery=delivery, number=1, started_at=timezone.now(), duration_ms=1, excerpt=nine)


def _leave_behind(task_id: Any, user: User, text: str) -> None:
    """What runs leave in the rooms above."""
    owner = {"task_id": task_id, "fence": 1, "owner_id": user.pk}
    ModelCall.objects.create(
        **owner, provider="scripted", model="echo", started_at=timezone.now(), latency_ms=1, outcome="failed",
        error_message=text, input_tokens=7, output_tokens=5, cost="0.25",
    )  # fmt: skip
    CacheEntry.objects.create(
        scope="scope", exact=str(task_id), agent_id=user.pk, agent_version_id=user.pk, owner_id=user.pk,
        asked_by_id=user.pk, task_id=task_id, target="scripted:echo", question=text,
        dialogue=[{"role": "user", "content": text}], answer={"message": {"content": text}, "pieces": []},
        stale_at=timezone.now(), expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    trace_id = f"{ModelCall.objects.count():032}"
    for trace in (trace_id, "a" * 32):
        Span.objects.create(
            trace_id=trace, span_id=f"{Span.objects.count():016}", task_id=task_id if trace == trace_id else None,
            kind="tool", name="tool", started_at=timezone.now(), duration_ms=1, attributes={"request_id": text},
        )  # fmt: skip
    thread = {"thread_id": str(task_id), "checkpoint_id": "1", "encoding": "msgpack"}
    Checkpoint.objects.create(**thread, state=text.encode(), metadata={"input": text})
    CheckpointWrite.objects.create(**thread, node_id="1", position=0, channel="x", value=text.encode())
