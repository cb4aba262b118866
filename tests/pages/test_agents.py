"""Agents that one may use, and trying one."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from agents.definitions.models import Agent
from agents.tasks.models import Task

pytestmark = pytest.mark.django_db
PAGE = "/agents/echo/"


def test_the_cards_are_the_agents_one_may_use(client: Client, member: User, outsider: User, agent: Agent) -> None:
    client.force_login(member)
    assert "Repeats what it hears." in client.get("/agents/").content.decode()
    assert "Nothing fits" in client.get("/agents/", {"q": "zzz"}).content.decode()
    client.force_login(outsider)
    assert "Nobody has given you the right" in client.get("/agents/").content.decode()
    assert client.get(PAGE).status_code == 404
    assert client.post(PAGE, {"text": "hello", "priority": 1}).status_code == 404
    assert not Task.objects.exists()


def test_trying_an_agent_submits_a_task_and_shows_it(client: Client, member: User, agent: Agent) -> None:
    client.force_login(member)
    response = client.post(PAGE, {"text": "hello", "priority": 2})
    task = Task.objects.get()
    assert response.headers["Location"] == f"/tasks/{task.pk}/"
    assert (task.owner, task.input, task.priority, task.agent_version.agent) == (member, "hello", 2, agent)
    assert task.request_id
    client.post(PAGE, {"text": '{"value": 1}', "as_object": "on", "priority": 1})
    assert Task.objects.filter(input={"value": 1}).count() == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"text": "  ", "priority": 1}, "This field is required."),
        ({"text": "{", "as_object": "on", "priority": 1}, "This is not JSON"),
        ({"text": "[1]", "as_object": "on", "priority": 1}, "This is JSON, but not an object."),
        ({"text": '{"messages": []}', "as_object": "on", "priority": 1}, "at least one message"),
        ({"text": "hello", "priority": 9}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_submitted_is_said_at_the_field(
    client: Client, member: User, agent: Agent, given: dict[str, str], sentence: str
) -> None:
    client.force_login(member)
    response = client.post(PAGE, given)
    assert sentence in response.content.decode()
    assert not Task.objects.exists()
