"""What is somebody else's looks exactly like what is not there, on every address and filter."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import ApiKey, User
from agents.definitions.models import Agent
from agents.memory.services import start_conversation
from agents.schedules.services import create_schedule
from agents.tasks.models import TaskDependency
from agents.webhooks.models import Delivery, Endpoint
from foundation.models import new_id
from tests.api.conftest import Submit, approval_of
from tests.conftest import Api

pytestmark = pytest.mark.django_db

ADDRESSES = [
    ("get", "tasks/{task}", None),
    ("get", "tasks/{task}/tool-calls", None),
    ("post", "tasks/{task}/cancel", None),
    ("post", "tasks/{task}/retry", {}),
    ("get", "conversations/{conversation}", None),
    ("get", "conversations/{conversation}/messages", None),
    ("get", "conversations/{conversation}/grants", None),
    ("post", "conversations/{conversation}/messages", {"text": "hi"}),
    ("get", "schedules/{schedule}", None),
    ("get", "schedules/{schedule}/runs", None),
    ("post", "schedules/{schedule}/run", None),
    ("get", "webhooks/{endpoint}", None),
    ("post", "webhooks/{endpoint}/rotate", None),
    ("get", "webhooks/deliveries/{delivery}", None),
    ("post", "webhooks/deliveries/{delivery}/replay", None),
    ("post", "approvals/{approval}/decide", {"decision": "approve"}),
    ("get", "api-keys/{key}", None),
    ("delete", "api-keys/{key}", None),
    ("post", "api-keys/{key}/rotate", {}),
    ("get", "users/{user}", None),
    ("get", "users/{user}/access", None),
    ("patch", "users/{user}", {"is_active": False}),
]
PAGES = [
    "task", "task-live", "conversation", "conversation-delete", "schedule", "schedule-edit", "webhook", "approval",
    "key-revoke", "webhook-delivery",
]  # fmt: skip


@pytest.fixture
def theirs(member: User, agent: Agent, submitted: Submit) -> dict[str, Any]:
    """One of everything of the member's, by name."""
    task = submitted(member)
    endpoint = Endpoint.objects.create(owner=member, url="https://8.8.8.8/", secret="whsec_" + "a" * 32)
    delivery = Delivery.objects.create(
        owner=member, endpoint=endpoint, url=endpoint.url, host="8.8.8.8", body="{}", event="webhook.test"
    )
    schedule = create_schedule(
        owner=member, actor=SYSTEM, name="Nightly", agent="echo", input="hello", cron="0 3 * * *"
    )
    return {
        "task": task.pk,
        "conversation": start_conversation(owner=member, agent=agent).pk,
        "schedule": schedule.pk,
        "endpoint": endpoint.pk,
        "webhook": endpoint.pk,
        "delivery": delivery.pk,
        "approval": approval_of(submitted(member)).pk,
        "key": issue_api_key(owner=member, name="laptop", actor=SYSTEM).row.pk,
        "user": member.pk,
    }


@pytest.mark.parametrize(("method", "address", "body"), ADDRESSES)
def test_the_api_answers_alike_for_foreign_and_for_missing(
    api: Api, outsider: User, theirs: dict[str, Any], method: str, address: str, body: Any
) -> None:
    names = {name: new_id() for name in theirs}
    answers = [getattr(api(outsider), method)(f"/api/v1/{address.format(**those)}", body) for those in (theirs, names)]
    assert [answer.status_code for answer in answers] == [404, 404]
    foreign, missing = (answer.json() | {"request_id": ""} for answer in answers)
    assert foreign == missing
    assert ApiKey.objects.filter(revoked_at=None).count() == 1


@pytest.mark.parametrize("name", PAGES)
def test_pages_answer_alike_for_foreign_and_for_missing(outsider: User, theirs: dict[str, Any], name: str) -> None:
    client = Client()
    client.force_login(outsider)
    there = theirs["delivery" if name.endswith("delivery") else name.split("-", maxsplit=1)[0]]
    answers = [client.get(reverse(f"pages:{name}", args=[pk])) for pk in (there, new_id())]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert len(answers[0].content) == len(answers[1].content)


def test_an_agent_that_one_may_not_use_looks_like_one_that_there_is_not(api: Api, outsider: User, agent: Agent) -> None:
    foreign, missing = api(outsider).get("/api/v1/agents/echo"), api(outsider).get("/api/v1/agents/none")
    assert foreign.json() | {"request_id": ""} == missing.json() | {"request_id": ""}
    bodies = [api(outsider).post("/api/v1/tasks", {"agent": slug, "input": "hi"}).json() for slug in ("echo", "none")]
    assert bodies[0] | {"request_id": ""} == {
        name: value.replace("none", "echo") if isinstance(value, str) else value
        for name, value in (bodies[1] | {"request_id": ""}).items()
    }


def test_a_list_does_not_tell_where_somebody_elses_task_would_stand(
    member: User, outsider: User, submitted: Submit
) -> None:
    foreign = submitted(member)
    client = Client()
    client.force_login(outsider)
    known, unknown = (client.get(f"/tasks/?before={pk}").content.decode() for pk in (foreign.pk, new_id()))
    assert known.replace(str(foreign.pk), "") == unknown.replace(unknown, known.replace(str(foreign.pk), ""))


def test_whose_task_waits_for_mine_is_not_told(member: User, operator: User, submitted: Submit) -> None:
    mine = submitted(member)
    waiting = submitted(operator, depends_on=[mine.pk])
    assert TaskDependency.objects.filter(task=waiting, on=mine).count() == 1
    client = Client()
    client.force_login(member)
    assert str(waiting.pk) not in client.get(reverse("pages:task", args=[mine.pk])).content.decode()
    client.force_login(operator)
    assert str(waiting.pk) in client.get(reverse("pages:task", args=[mine.pk])).content.decode()


@pytest.mark.parametrize(
    "asked",
    [
        "accounts_apikey_changelist?digest__startswith=a",
        "accounts_apikey_changelist?owner__email__startswith=a",
        "accounts_apikey_changelist?owner__password__startswith=a",
        "accounts_user_changelist?password__startswith=a",
        "accounts_auditevent_changelist?salt__startswith=a",
        "agents_webhooks_endpoint_changelist?secret__startswith=a",
        "agents_webhooks_endpoint_changelist?owner__email=a",
        "agents_tasks_task_changelist?owner__email=a",
        "agents_memory_conversation_changelist?messages__content__contains=a",
        "agents_memory_conversation_changelist?owner__email=a",
    ],
)
def test_no_list_of_the_admin_can_be_filtered_by_what_it_does_not_show(admin: User, member: User, asked: str) -> None:
    """A guess about a secret or about a person would be answered by a row that is there or not."""
    issue_api_key(owner=member, name="laptop", actor=SYSTEM)
    name, _, query = asked.partition("?")
    client = Client(raise_request_exception=False)
    client.force_login(admin)
    assert client.get(f"{reverse(f'admin:{name}')}?{query}").status_code == 400
