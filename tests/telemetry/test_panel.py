"""The waterfall on the task's page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import User
from agents.definitions.models import Agent, AgentVersion
from agents.tasks import attempts, services
from agents.tasks.models import Task
from telemetry import spans
from telemetry.models import Span
from telemetry.spans import attempt_span_id, flush_spans, request_span_id


@pytest.fixture
def abandoned(admin: User) -> Task:
    """A task whose first attempt has lost its worker, and which has been taken up again."""
    spans._pending.clear()
    agent = Agent.objects.create(slug="echo", name="Echo")
    agent.current_version = AgentVersion.objects.create(agent=agent, number=1, digest="d" * 64, model="scripted:echo")
    agent.save()
    task = services.submit(owner=admin, agent=agent, input="oi", request_id="a-request-of-this-test").task
    claim = attempts.claim(queues=["interactive"], worker="a")
    assert claim is not None
    long_ago = claim.run_deadline_at - timedelta(hours=2)
    Task.objects.filter(pk=task.pk).update(lease_expires_at=long_ago)
    assert services.sweep().crashed == 1
    flush_spans()
    return task


def test_a_lost_attempt_is_drawn_below_the_request_of_its_task(admin: User, abandoned: Task) -> None:
    lost = Span.objects.get()
    assert lost.span_id == attempt_span_id(abandoned.pk, 1)
    assert lost.parent_id == request_span_id(abandoned.trace_id, "a-request-of-this-test")
    assert (lost.status, lost.attributes) == ("error", {"attempt": 1, "error": "WorkerLost"})
    browser = Client()
    browser.force_login(admin)
    page = browser.get(f"/admin/agents_tasks/task/{abandoned.pk}/change/").content.decode()
    assert "Where the time went" in page
    assert page.count('class="wf-bar ') == 1
    assert "WorkerLost" in page
    assert "telemetry/waterfall.css" in page


def test_what_else_belongs_to_the_callers_trace_is_not_on_the_tasks_page(admin: User, abandoned: Task) -> None:
    with spans.trace(abandoned.trace_id), spans.span("request", "another request of this trace"):
        pass
    flush_spans()
    browser = Client()
    browser.force_login(admin)
    page = browser.get(f"/admin/agents_tasks/task/{abandoned.pk}/change/").content.decode()
    assert "another request of this trace" not in page
