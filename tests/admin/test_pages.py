"""Who sees which page of the admin, and what is on it."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now
from django_celery_results.models import TaskResult
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit, seals
from accounts.issuing import issue_api_key
from accounts.limits import create_quota, create_rate_limit
from accounts.models import ApiKey, ApiSession, AuditEvent, User
from accounts.service_accounts import make_service_account
from agents.cache.models import CacheEpoch, Trial
from agents.circuits.models import CircuitChange
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.services import create_agent
from agents.gateway.models import ModelCall
from agents.memory.models import Conversation, Message
from agents.schedules.models import Schedule
from agents.schedules.services import create_schedule
from agents.tasks import queues, slots
from agents.tasks import services as tasks
from agents.tasks.data import Failure, NewEvent
from agents.tasks.models import Task, TaskEvent
from agents.webhooks.models import Delivery, Endpoint
from agents.worker.models import WorkerProcess
from telemetry.models import Span
from tests.api.conftest import approval_of
from tests.gateway.settings_made import a_credential, a_price, a_route
from tests.security.routes import cached_of, calibration_of

pytestmark = pytest.mark.django_db
SECRET = "b25seS1mb3ItdGhlLWFkbWluLXRlc3Rz"


@pytest.fixture
def agent() -> Agent:
    return create_agent(slug="helper", system_prompt="Help.", model="scripted:echo")


def _finished(owner: User, agent: Agent, *, text: str = "Bom dia") -> Task:
    task = tasks.submit(owner=owner, agent=agent, input="Good morning in Portuguese?").task
    claim = tasks.claim(queues=[task.queue], worker="worker-1", celery_id="celery-1")
    assert claim is not None
    moment = now()
    tasks.append_events(
        claim,
        [
            NewEvent(TaskEvent.Kind.TOOL_CALL, {"id": "1", "name": "translate", "args": {"to": "pt"}}, moment),
            NewEvent(TaskEvent.Kind.TOOL_RESULT, {"id": "1", "name": "translate", "content": "ok"}, moment),
            *(NewEvent(TaskEvent.Kind.MESSAGE, {"text": piece}, moment) for piece in ("Bom", " ", "dia")),
        ],
    )
    tasks.succeed(claim=claim, result={"text": text})
    TaskResult.objects.create(task_id="celery-1", status="SUCCESS", result='{"tasks": []}', worker="worker-1")
    ModelCall.objects.create(
        task_id=task.pk,
        fence=1,
        provider="scripted",
        model="echo",
        started_at=moment,
        latency_ms=12.0,
        outcome="succeeded",
    )
    return task


def _failed(owner: User, agent: Agent) -> Task:
    task = tasks.submit(owner=owner, agent=agent, input="Break").task
    claim = tasks.claim(queues=[task.queue], worker="worker-1")
    assert claim is not None
    failure = Failure("ValueError", "it broke", traceback="Traceback: line 7", retryable=False)
    tasks.fail(claim=claim, failure=failure)
    return task


@pytest.fixture
def everything(admin: User, member: User, agent: Agent) -> dict[type, Any]:
    """One row of every model that has a page."""
    task = _finished(member, agent)
    conversation = Conversation.objects.create(owner=member, agent=agent, title="Hello")
    Message.objects.create(conversation=conversation, position=1, role="user", content="Hello there")
    RefreshToken.for_user(member).blacklist()
    ApiSession.objects.create(user=member, expires_at=now() + timedelta(days=1))
    make_service_account(name="robot", actor=audit.SYSTEM)
    issue_api_key(owner=member, name="laptop", actor=audit.SYSTEM)
    create_schedule(owner=member, actor=audit.SYSTEM, name="Hourly", agent="helper", input="Hello", every_seconds=3600)
    Span.objects.create(
        trace_id="a" * 32, span_id="b" * 16, kind="task", name="helper", started_at=now(), duration_ms=3
    )
    WorkerProcess.objects.create(name="worker-1", pid=1, threads=8, polled_at=now())
    queues.change(name="interactive", most_waiting=100, actor=audit.SYSTEM)
    slots.set_limit(most_running=2, actor=audit.SYSTEM, agent=agent)
    create_quota(subject="user:member", unit="cost", period="day", amount=Decimal(9), actor=audit.SYSTEM)
    create_rate_limit(subject="everybody", rate="9999/m", actor=audit.SYSTEM)
    a_credential()
    a_route()
    a_price()
    CircuitChange.objects.create(key="deployment:x", before="closed", after="open", why="connection refused")
    entry = cached_of(member, agent)
    Trial.objects.create(
        calibration=calibration_of(agent), entry_id=entry.pk, score=0.95, was_served=True, is_right=True,
        source=Trial.Source.SHADOW,
    )  # fmt: skip
    CacheEpoch.objects.create(name="handbook")
    approval_of(task)
    seals.seal()
    endpoint = Endpoint.objects.create(owner=member, url=f"https://hooks.example/{SECRET}", secret=f"whsec_{SECRET}")
    Delivery.objects.create(
        owner=member, endpoint=endpoint, task=task, url=endpoint.url, host="hooks.example", body="{}",
        event="task.finished",
    )  # fmt: skip
    return {Task: task}


def _page(model: type, suffix: str, *args: Any) -> str:
    meta = model._meta  # type: ignore[attr-defined]
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{suffix}", args=args)


def test_every_list_and_every_row_opens_for_an_administrator(
    client: Client, admin: User, everything: dict[type, Any]
) -> None:
    client.force_login(admin)
    opened = 0
    for model, model_admin in _registry().items():
        assert client.get(_page(model, "changelist")).status_code == 200, model
        row = model._default_manager.first()  # type: ignore[attr-defined]
        assert row is not None or model_admin.opts.app_label in {"guardian"}, model
        if row is not None:
            assert client.get(_page(model, "change", row.pk)).status_code == 200, model
            opened += 1
    assert opened >= 14
    for model in (User, Agent, ApiKey):
        assert client.get(_page(model, "add")).status_code == 200


def _registry() -> dict[type, Any]:
    return dict(admin.site._registry)


def test_nobody_but_staff_comes_in(client: Client, member: User, everything: dict[type, Any]) -> None:
    page = _page(Task, "changelist")
    assert client.get(page).status_code == 302
    client.force_login(member)
    assert client.get(page).status_code == 302
    assert client.get(reverse("admin:index")).status_code == 302


def test_an_operator_sees_what_runs_and_not_who_may_what(
    client: Client, operator: User, everything: dict[type, Any]
) -> None:
    client.force_login(operator)
    for model in (Task, Schedule, Agent, AgentVersion, Conversation, ModelCall, Span, WorkerProcess, TaskResult):
        assert client.get(_page(model, "changelist")).status_code == 200, model
    for hidden in (User, ApiKey, AuditEvent):
        assert client.get(_page(hidden, "changelist")).status_code == 403, hidden
    assert client.get(_page(ApiKey, "add")).status_code == 403


def test_the_task_page_tells_the_whole_story(client: Client, operator: User, everything: dict[type, Any]) -> None:
    client.force_login(operator)
    text = client.get(_page(Task, "change", everything[Task].pk)).content.decode()
    story = ["succeeded", "helper v1", "member", "Good morning", "queued", "translate(to=", "translate → ok", "Bom dia"]
    story += ["worker-1", "scripted:echo", "celery-1"]
    assert [part for part in story if part not in text] == []
    # The pieces of the message are one line of the timeline.
    assert "5–7" in text


def test_the_task_page_shows_why_it_failed(client: Client, operator: User, member: User, agent: Agent) -> None:
    client.force_login(operator)
    text = client.get(_page(Task, "change", _failed(member, agent).pk)).content.decode()
    assert text.count("it broke") >= 2
    assert "Traceback: line 7" in text


def test_no_page_shows_a_secret(client: Client, admin: User, everything: dict[type, Any]) -> None:
    client.force_login(admin)
    digests = [*ApiKey.objects.values_list("digest", flat=True)]
    assert digests
    for model in _registry():
        for row in model._default_manager.all()[:3]:  # type: ignore[attr-defined]
            text = client.get(_page(model, "change", row.pk)).content.decode()
            assert not any(digest in text for digest in digests), model
            assert SECRET not in text, model
            assert not re.search(r"eyJ[\w-]+\.eyJ", text), model


def test_the_list_costs_the_same_for_one_task_and_for_thirty(
    client: Client, operator: User, member: User, agent: Agent, django_assert_max_num_queries: Any
) -> None:
    client.force_login(operator)
    for count in (1, 29):
        for _ in range(count):
            tasks.submit(owner=member, agent=agent, input="Hello")
        with django_assert_max_num_queries(9):
            assert client.get(_page(Task, "changelist")).status_code == 200


def test_the_task_page_costs_the_same_for_few_and_many_events(
    client: Client, operator: User, member: User, agent: Agent, django_assert_max_num_queries: Any
) -> None:
    client.force_login(operator)
    task = tasks.submit(owner=member, agent=agent, input="Hello").task
    claim = tasks.claim(queues=[task.queue], worker="w")
    assert claim is not None
    for count in (1, 600):
        tasks.append_events(claim, [NewEvent("step", {"node": f"n{n}"}, now()) for n in range(count)])
        with django_assert_max_num_queries(14):
            text = client.get(_page(Task, "change", task.pk)).content.decode()
    assert "There are more events" in text


def test_a_task_is_found_by_its_exact_id(client: Client, operator: User, member: User, agent: Agent) -> None:
    client.force_login(operator)
    wanted = tasks.submit(owner=member, agent=agent, input="Hello").task
    other = tasks.submit(owner=member, agent=agent, input="Hello").task
    text = client.get(_page(Task, "changelist"), {"q": str(wanted.pk)}).content.decode()
    assert str(wanted.pk) in text
    assert str(other.pk) not in text
    assert client.get(_page(Task, "changelist"), {"q": "no id at all"}).status_code == 200


def test_the_first_page_says_what_runs_and_whether_anybody_works(
    client: Client, operator: User, member: User, agent: Agent
) -> None:
    client.force_login(operator)
    _failed(member, agent)
    text = client.get(reverse("admin:index")).content.decode()
    assert "No worker is alive" in text
    assert "it broke" in text
    WorkerProcess.objects.create(name="old", pid=1, threads=8, polled_at=now() - timedelta(minutes=5))
    assert "No worker is alive" in client.get(reverse("admin:index")).content.decode()
    WorkerProcess.objects.create(name="new", pid=1, threads=8, polled_at=now())
    assert "No worker is alive" not in client.get(reverse("admin:index")).content.decode()


def test_pages_are_in_the_language_of_the_browser(client: Client, operator: User, everything: dict[type, Any]) -> None:
    client.force_login(operator)
    page = _page(Task, "change", everything[Task].pk)
    text = client.get(page, headers={"accept-language": "pt-br"}).content.decode()
    assert "concluída" in text
    assert "chamada de ferramenta" in text
