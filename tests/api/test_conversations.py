"""Conversations: starting, talking, reading, forgetting."""

from __future__ import annotations

import pytest

from accounts.models import User
from agents.definitions.models import Agent
from agents.tasks.models import Task
from tests.api.conftest import run_next
from tests.conftest import Api

CONVERSATIONS = "/api/v1/conversations"

pytestmark = pytest.mark.django_db


def _start(api: Api, user: User) -> str:
    response = api(user).post(CONVERSATIONS, {"agent": "echo"})
    assert response.status_code == 201, response.json()
    assert response["Location"] == f"{CONVERSATIONS}/{response.json()['id']}"
    return str(response["Location"])


def test_a_message_is_accepted_and_answered(api: Api, member: User, agent: Agent) -> None:
    address = _start(api, member)
    posted = api(member).post(f"{address}/messages", {"text": "good morning"})
    assert posted.status_code == 202
    body = posted.json()
    assert body["message"]["content"] == "good morning"
    assert body["message"]["task"] == body["task"]["id"]
    assert body["task"]["conversation"] == address.rsplit("/", 1)[1]
    assert posted["Location"] == f"/api/v1/tasks/{body['task']['id']}"
    run_next({"text": "good evening"})
    messages = api(member).get(f"{address}/messages").json()["results"]
    assert [(said["role"], said["content"]) for said in messages] == [
        ("user", "good morning"),
        ("assistant", "good evening"),
    ]


def test_the_input_of_a_task_can_be_the_next_message(api: Api, member: User, agent: Agent) -> None:
    address = _start(api, member)
    conversation = address.rsplit("/", 1)[1]
    body = {"agent": "echo", "input": "hello", "conversation": conversation}
    task = api(member).post("/api/v1/tasks", body).json()
    assert task["conversation"] == conversation
    messages = api(member).get(f"{address}/messages").json()["results"]
    assert [said["task"] for said in messages] == [task["id"]]
    listed = api(member).get(f"/api/v1/tasks?conversation={conversation}").json()["results"]
    assert [found["id"] for found in listed] == [task["id"]]


def test_an_idempotency_key_names_one_message(api: Api, member: User, agent: Agent) -> None:
    address = _start(api, member)
    client = api(member)
    headers = {"Idempotency-Key": "once"}
    first = client.post(f"{address}/messages", {"text": "hi"}, headers=headers)
    again = client.post(f"{address}/messages", {"text": "hi"}, headers=headers)
    other = client.post(f"{address}/messages", {"text": "ho"}, headers=headers)
    assert [first.status_code, again.status_code, other.status_code] == [202, 202, 409]
    assert again["Idempotent-Replayed"] == "true"
    assert first.json()["message"] == again.json()["message"]
    assert Task.objects.count() == 1


def test_what_is_not_right_is_refused(api: Api, member: User, agent: Agent) -> None:
    address = _start(api, member)
    client = api(member)
    for body in ({"text": ""}, {"text": " "}, {}, {"text": 5, "agent": "echo"}, {"text": "x", "input": "y"}):
        assert client.post(f"{address}/messages", body).status_code == 400, body
    assert client.post(CONVERSATIONS, {"agent": "nobody"}).json()["type"] == "urn:mutirao:unknown-agent"
    assert client.post(CONVERSATIONS, {"agent": "echo", "name": "x"}).status_code == 400
    assert Task.objects.count() == 0


def test_a_conversation_is_its_owners(api: Api, member: User, operator: User, outsider: User, agent: Agent) -> None:
    address = _start(api, member)
    for method, path in (("get", ""), ("get", "/messages"), ("post", "/messages"), ("delete", "")):
        assert getattr(api(outsider), method)(f"{address}{path}").status_code == 404
    assert api(operator).get(address).status_code == 200
    assert api(operator).post(f"{address}/messages", {"text": "hi"}).status_code == 404
    assert api(operator).delete(address).status_code == 404
    assert api(member).delete(address).status_code == 204
    assert api(member).get(address).status_code == 404


def test_conversations_are_listed_the_latest_first(api: Api, member: User, agent: Agent) -> None:
    addresses = [_start(api, member) for _ in range(3)]
    api(member).post(f"{addresses[0]}/messages", {"text": "hi"})
    listed = api(member).get(CONVERSATIONS).json()["results"]
    assert [f"{CONVERSATIONS}/{found['id']}" for found in listed] == [
        addresses[0],
        addresses[2],
        addresses[1],
    ]
    assert api(member).get(f"{CONVERSATIONS}?agent=other").json()["results"] == []
