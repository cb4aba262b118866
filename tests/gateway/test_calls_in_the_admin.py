"""The ledger in the admin: in the reader's language, and for those who may see it alone."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from accounts.models import User
from agents.definitions.services import create_agent
from agents.gateway.models import ModelCall
from agents.tasks.models import Task
from agents.tasks.services import submit

pytestmark = pytest.mark.django_db
WORDS = "of somebody else"


@pytest.fixture
def task(member: User) -> Task:
    """One with a call, of which the cache knows what another person asked."""
    task = submit(owner=member, agent=create_agent(slug="echo", model="scripted:echo"), input="x").task
    ModelCall.objects.create(
        task_id=task.pk, provider="openai", model="m", started_at=timezone.now(), latency_ms=1, outcome="succeeded",
        cache_why="near_miss", cache_evidence={"score": 0.7, "threshold": 0.9, "instead": WORDS},
    )  # fmt: skip
    return task


def _who_sees(*names: str) -> User:
    user = User.objects.create_user("clerk", password="clerk-password-1", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return user


def _page_of(task: Task) -> str:
    return reverse("admin:agents_tasks_task_change", args=[task.pk])


def _change(call: ModelCall) -> str:
    return reverse("admin:agents_gateway_modelcall_change", args=[call.pk])


def test_the_task_page_keeps_the_ledger_from_who_may_only_see_tasks(client: Client, task: Task) -> None:
    client.force_login(_who_sees("view_task"))
    shown = client.get(_page_of(task))
    assert shown.status_code == 200
    text = shown.content.decode()
    assert WORDS not in text
    assert "Model calls" not in text
    assert "openai:m" not in text
    # What needs no further right is still there.
    assert "Tool calls" in text


def test_the_task_page_shows_it_to_who_may_see_it(client: Client, task: Task) -> None:
    client.force_login(_who_sees("view_task", "view_modelcall"))
    text = client.get(_page_of(task)).content.decode()
    assert "openai:m" in text
    assert WORDS in text


def test_milliseconds_are_whole(client: Client, admin: User) -> None:
    call = ModelCall.objects.create(
        provider="openai", model="m", started_at=timezone.now(), latency_ms=2887.6452429890915, outcome="succeeded"
    )
    client.force_login(admin)
    for address in (reverse("admin:agents_gateway_modelcall_changelist"), _change(call)):
        text = client.get(address).content.decode()
        assert "2888" in text
        assert "2887.6" not in text


@pytest.mark.parametrize("language", ["en", "pt-br"])
def test_what_came_of_each_try_is_in_the_readers_language(client: Client, admin: User, language: str) -> None:
    tries = [
        {"deployment": "a", "provider": "openai", "model": "m", "outcome": "failed", "error": "Timeout", "ms": 5},
        {"deployment": "b", "provider": "openai", "model": "m", "outcome": "cancelled", "error": "", "ms": 5},
        {"deployment": "c", "provider": "openai", "model": "m", "outcome": "of another release", "error": "", "ms": 5},
    ]
    call = ModelCall.objects.create(
        provider="openai", model="m", started_at=timezone.now(), latency_ms=1, outcome="succeeded", tries=tries
    )
    with translation.override(language):
        labels = [str(ModelCall.Outcome.FAILED.label), str(ModelCall.Outcome.CANCELLED.label), "of another release"]
    client.force_login(admin)
    text = client.get(_change(call), headers={"accept-language": language}).content.decode()
    assert [f"<td>{label}</td>" in text for label in labels] == [True] * 3
    assert ("<td>failed</td>" in text) is (language == "en")
