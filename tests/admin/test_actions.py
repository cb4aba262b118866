"""What may be done in the admin: asked for first, carried out once, and on record."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.keys import authenticate
from accounts.models import ApiKey, AuditEvent, User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.tasks import services as tasks
from agents.tasks.data import Failure
from agents.tasks.models import Status, Task

pytestmark = pytest.mark.django_db
TASKS = "admin:agents_tasks_task_changelist"


@pytest.fixture
def agent() -> Agent:
    return create_agent(slug="helper", model="scripted:echo")


@pytest.fixture
def queued(member: User, agent: Agent) -> Task:
    return tasks.submit(owner=member, agent=agent, input="Hello").task


@pytest.fixture
def failed(member: User, agent: Agent) -> Task:
    task = tasks.submit(owner=member, agent=agent, input="Hello", queue="background").task
    claim = tasks.claim(queues=["background"], worker="w")
    assert claim is not None
    tasks.fail(claim=claim, failure=Failure("ValueError", "it broke", retryable=False))
    return task


def test_cancelling_asks_first_and_is_on_record(client: Client, operator: User, queued: Task) -> None:
    client.force_login(operator)
    page = reverse("admin:agents_tasks_task_cancel", args=[queued.pk])
    asked = client.get(page)
    assert "Cancel this task?" in asked.content.decode()
    queued.refresh_from_db()
    assert queued.status == Status.QUEUED
    assert client.post(page).status_code == 302
    queued.refresh_from_db()
    assert queued.status == Status.CANCELLED
    entry = AuditEvent.objects.get(verb="task.cancel")
    assert (entry.actor_id, entry.subject_id) == (operator.pk, queued.pk)


def test_retrying_leads_to_the_new_task(client: Client, operator: User, failed: Task) -> None:
    client.force_login(operator)
    answer = client.post(reverse("admin:agents_tasks_task_retry", args=[failed.pk]))
    again = Task.objects.get(retry_of=failed)
    assert answer.headers["Location"] == reverse("admin:agents_tasks_task_change", args=[again.pk])
    assert again.owner == failed.owner
    assert AuditEvent.objects.filter(verb="task.retry", subject_id=failed.pk).count() == 1


def test_the_list_asks_before_it_acts_on_many(client: Client, operator: User, queued: Task, failed: Task) -> None:
    client.force_login(operator)
    chosen = {"action": "cancel_tasks", "_selected_action": [str(queued.pk), str(failed.pk)]}
    asked = client.post(reverse(TASKS), chosen)
    assert "Cancel these tasks?" in asked.content.decode()
    assert Task.objects.filter(status=Status.CANCELLED).count() == 0
    done = client.post(reverse(TASKS), chosen | {"confirmed": "yes"}, follow=True)
    assert Task.objects.filter(status=Status.CANCELLED).count() == 1
    assert "has already ended" in done.content.decode()


def test_viewing_is_not_operating(client: Client, operator: User, queued: Task) -> None:
    from django.contrib.auth.models import Permission

    viewer = User.objects.create_user(username="viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_task"))
    client.force_login(viewer)
    page = client.get(reverse("admin:agents_tasks_task_change", args=[queued.pk])).content.decode()
    assert reverse("admin:agents_tasks_task_cancel", args=[queued.pk]) not in page
    assert client.post(reverse("admin:agents_tasks_task_cancel", args=[queued.pk])).status_code == 403
    client.post(reverse(TASKS), {"action": "cancel_tasks", "_selected_action": [str(queued.pk)], "confirmed": "yes"})
    queued.refresh_from_db()
    assert queued.status == Status.QUEUED
    client.force_login(operator)
    assert client.get(reverse("admin:agents_tasks_task_cancel", args=[queued.pk])).status_code == 200


def test_a_cross_site_post_is_refused(operator: User, queued: Task) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    assert client.post(reverse("admin:agents_tasks_task_cancel", args=[queued.pk])).status_code == 403


def test_a_new_key_is_shown_once(client: Client, admin: User, member: User) -> None:
    client.force_login(admin)
    form = {"owner": str(member.pk), "name": "laptop", "scopes": ["tasks:read"]}
    shown = client.post(reverse("admin:accounts_apikey_add"), form)
    key = re.findall(r"mut_[0-9a-f]+_[0-9a-f]+", shown.content.decode())
    assert len(set(key)) == 1
    assert "no-store" in shown.headers["Cache-Control"]
    row = ApiKey.objects.get(name="laptop")
    assert authenticate(key[0]).pk == row.pk
    assert row.scopes == ["tasks:read"]
    for page in (reverse("admin:accounts_apikey_changelist"), reverse("admin:accounts_apikey_change", args=[row.pk])):
        assert key[0].rpartition("_")[2] not in client.get(page).content.decode()
    assert AuditEvent.objects.filter(verb="api_key.issue", actor_id=admin.pk).count() == 1
    assert "already" in client.post(reverse("admin:accounts_apikey_add"), form).content.decode()


def test_revoking_a_key_asks_first_and_cannot_be_undone(client: Client, admin: User, member: User) -> None:
    client.force_login(admin)
    client.post(reverse("admin:accounts_apikey_add"), {"owner": str(member.pk), "name": "laptop"})
    row = ApiKey.objects.get()
    chosen = {"action": "revoke_keys", "_selected_action": [str(row.pk)]}
    assert "Revoke these keys?" in client.post(reverse("admin:accounts_apikey_changelist"), chosen).content.decode()
    row.refresh_from_db()
    assert row.is_live
    client.post(reverse("admin:accounts_apikey_changelist"), chosen | {"confirmed": "yes"})
    row.refresh_from_db()
    assert not row.is_live
    assert AuditEvent.objects.filter(verb="api_key.revoke").count() == 1


AGENT = {
    "slug": "poet", "name": "Poet", "description": "", "queue": "interactive", "is_enabled": "on",
    "kind": "tool-calling",
    "model": "scripted:echo", "system_prompt": "Rhyme.", "tools": "calculate", "parameters": '{"temperature": 0.1}',
    "limits": '{"seconds": 60}', "memory_messages": "4",
    "versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0",
}  # fmt: skip


def test_an_agent_is_made_and_changed_without_code(client: Client, admin: User) -> None:
    client.force_login(admin)
    assert client.post(reverse("admin:agents_definitions_agent_add"), AGENT).status_code == 302
    agent = Agent.objects.get(slug="poet")
    assert agent.current_version is not None
    assert (agent.current_version.number, agent.current_version.tools) == (1, ["calculate"])
    page = reverse("admin:agents_definitions_agent_change", args=[agent.pk])
    assert "Rhyme." in client.get(page).content.decode()
    assert client.post(page, AGENT | {"system_prompt": "Rhyme well."}).status_code == 302
    agent.refresh_from_db()
    assert agent.current_version is not None
    assert (agent.current_version.number, agent.current_version.system_prompt) == (2, "Rhyme well.")
    assert agent.versions.count() == 2
    assert {*AuditEvent.objects.values_list("verb", flat=True)} >= {"agent.create", "agent.publish"}


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("model", "gpt-4o", "is not a model"),
        ("model", "nobody:gpt", "There is no provider"),
        ("tools", "dance", "No tool of the name"),
        ("limits", '{"seconds": 0}', "above zero"),
        ("parameters", '{"api_key": "sk-1"}', "belongs in the environment"),
        ("slug", "Not a slug", "Lower-case letters"),
    ],
)
def test_a_wrong_agent_is_refused_with_a_sentence(
    client: Client, admin: User, field: str, value: str, sentence: str
) -> None:
    client.force_login(admin)
    refused = client.post(reverse("admin:agents_definitions_agent_add"), AGENT | {field: value})
    assert refused.status_code == 200
    assert sentence in refused.content.decode()
    assert Agent.objects.count() == 0


def test_only_a_superuser_makes_superusers(client: Client, member: User) -> None:
    from django.contrib.auth.models import Group

    boss = User.objects.create_user(username="boss", is_staff=True)
    boss.groups.set(Group.objects.filter(name="administrator"))
    root = User.objects.create_superuser(username="root")
    client.force_login(boss)
    page = reverse("admin:accounts_user_change", args=[member.pk])
    assert 'name="is_superuser"' not in client.get(page).content.decode()
    client.post(page, {"username": "member", "is_active": "on", "is_superuser": "on"})
    member.refresh_from_db()
    assert not member.is_superuser
    assert client.post(reverse("admin:accounts_user_change", args=[root.pk]), {"username": "mine"}).status_code == 403
