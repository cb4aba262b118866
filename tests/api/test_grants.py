"""Grants over HTTP: sharing agents and conversations."""

from __future__ import annotations

from typing import Any

import pytest
from guardian.models import UserObjectPermission
from guardian.shortcuts import assign_perm
from rest_framework.test import APIClient

from accounts import keys
from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import ApiKey, User
from agents.definitions.models import Agent
from agents.memory.models import Conversation
from agents.memory.services import post_message, start_conversation
from foundation.models import new_id
from tests.conftest import Api

pytestmark = pytest.mark.django_db

AGENT = "/api/v1/agents/echo/grants"


@pytest.fixture
def conversation(member: User, agent: Agent) -> Conversation:
    made = start_conversation(owner=member, agent=agent)
    post_message(conversation=made, text="hello", owner=member)
    return made


@pytest.fixture
def grants(conversation: Conversation) -> str:
    return f"/api/v1/conversations/{conversation.pk}/grants"


def test_a_conversation_is_shared_read_and_taken_back(
    api: Api, conversation: Conversation, grants: str, member: User, outsider: User
) -> None:
    address = f"/api/v1/conversations/{conversation.pk}"
    assert api(outsider).get(address).status_code == 404
    given = api(member).post(grants, {"user": "outsider", "verb": "view"})
    assert given.status_code == 201, given.json()
    assert given.json() | {"id": ""} == {"id": "", "verb": "view", "kind": "user", "receiver": "outsider"}
    assert api(member).get(grants).json() == [given.json()]
    assert api(outsider).get(address).status_code == 200
    assert [row["content"] for row in api(outsider).get(f"{address}/messages").json()["results"]] == ["hello"]
    assert len(api(outsider).get("/api/v1/conversations").json()["results"]) == 1
    assert api(member).delete(f"{grants}/{given.json()['id']}").status_code == 204
    assert api(outsider).get(address).status_code == 404


def test_who_reads_a_conversation_changes_nothing_in_it_and_learns_not_with_whom_else(
    api: Api, conversation: Conversation, grants: str, member: User, outsider: User
) -> None:
    api(member).post(grants, {"user": "outsider", "verb": "view"})
    reader, address = api(outsider), f"/api/v1/conversations/{conversation.pk}"
    question = conversation.messages.get()
    refused = [
        reader.post(f"{address}/messages", {"text": "hi"}),
        reader.patch(address, {"title": "Mine"}),
        reader.delete(address),
        reader.post(f"{address}/messages/{question.pk}/regenerate"),
        reader.get(grants),
        reader.post(grants, {"user": "operator", "verb": "view"}),
        reader.delete(f"{grants}/user-1"),
    ]
    assert [response.status_code for response in refused] == [404] * 7
    assert reader.post(
        "/api/v1/tasks", {"agent": "echo", "input": "hi", "conversation": str(conversation.pk)}
    ).status_code in {400, 404}
    assert conversation.messages.count() == 1
    assert reader.get(f"/api/v1/tasks/{question.task_id}").status_code == 404


def test_a_grant_of_another_conversation_is_a_404_like_one_that_is_not_there(
    api: Api, conversation: Conversation, grants: str, member: User, operator: User, agent: Agent
) -> None:
    other = start_conversation(owner=operator, agent=agent)
    foreign = api(operator).post(f"/api/v1/conversations/{other.pk}/grants", {"user": "member", "verb": "view"}).json()
    answers = [api(member).delete(f"{grants}/{grant}") for grant in (foreign["id"], "user-999", "role-x", "x", "user-")]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert api(member).delete(f"/api/v1/conversations/{other.pk}/grants/{foreign['id']}").status_code == 404
    assert UserObjectPermission.objects.count() == 1


def test_somebody_elses_conversation_is_a_404_like_a_missing_one(api: Api, grants: str, operator: User) -> None:
    foreign = api(operator).post(grants, {"user": "operator", "verb": "view"})
    missing = api(operator).post(f"/api/v1/conversations/{new_id()}/grants", {"user": "operator", "verb": "view"})
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert {**foreign.json(), "request_id": ""} == {**missing.json(), "request_id": ""}


@pytest.mark.parametrize(
    "body",
    [
        {"verb": "view"},
        {"user": "outsider"},
        {"user": "outsider", "role": "member", "verb": "view"},
        {"user": "outsider", "verb": "use"},
        {"user": "outsider", "verb": "fly"},
        {"user": "outsider", "verb": "view", "by": "admin"},
        {"user": ["outsider"], "verb": "view"},
    ],
)
def test_what_makes_no_grant_is_refused(api: Api, grants: str, member: User, outsider: User, body: Any) -> None:
    assert api(member).post(grants, body).status_code == 400
    assert not UserObjectPermission.objects.exists()


def test_no_name_can_be_guessed_bit_by_bit(api: Api, grants: str, member: User, outsider: User) -> None:
    User.objects.create(username="gone", is_active=False)
    answers = [
        api(member).post(grants, {kind: name, "verb": "view"}).json()["errors"][kind]
        for kind, name in (
            ("user", "outsid"),
            ("user", "gone"),
            ("user", "nobody"),
            ("role", "outsider"),
            ("role", "%"),
        )
    ]
    assert answers == [answers[0]] * 5


def test_who_only_uses_an_agent_may_not_share_it_and_who_does_not_finds_none(
    api: Api, agent: Agent, member: User, outsider: User
) -> None:
    for response in (api(member).get(AGENT), api(member).post(AGENT, {"user": "outsider", "verb": "use"})):
        assert (response.status_code, response.json()["type"]) == (403, "urn:mutirao:not-yours-to-share")
    assert api(outsider).get(AGENT).status_code == 404
    assert not UserObjectPermission.objects.exists()


def test_an_agent_is_shared_with_a_person_and_with_a_role(api: Api, agent: Agent, admin: User, outsider: User) -> None:
    assert api(outsider).get("/api/v1/agents").json()["results"] == []
    assert api(admin).post(AGENT, {"user": "outsider", "verb": "use"}).status_code == 201
    assert api(admin).post(AGENT, {"role": "auditor", "verb": "use"}).status_code == 201
    assert [(row["kind"], row["receiver"]) for row in api(admin).get(AGENT).json()] == [
        ("role", "auditor"), ("user", "outsider"),
    ]  # fmt: skip
    fresh = api(User.objects.get(pk=outsider.pk))
    assert [row["slug"] for row in fresh.get("/api/v1/agents").json()["results"]] == ["echo"]
    assert fresh.post("/api/v1/tasks", {"agent": "echo", "input": "hi"}).status_code == 202


def test_who_may_change_one_agent_shares_that_one_and_no_other(
    api: Api, agent: Agent, outsider: User, member: User
) -> None:
    assign_perm("agents_definitions.change_agent", outsider, agent)
    Agent.objects.create(slug="other", name="Other", current_version=agent.current_version)
    client = api(User.objects.get(pk=outsider.pk))
    assert client.post(AGENT, {"user": "member", "verb": "change"}).status_code == 201
    assert client.post(AGENT, {"user": "member", "verb": "use"}).status_code == 403
    assert client.post("/api/v1/agents/other/grants", {"user": "member", "verb": "change"}).status_code == 404


def test_a_key_needs_the_scope_and_one_for_other_agents_shares_none(agent: Agent, admin: User, outsider: User) -> None:
    client = APIClient()
    narrow = issue_api_key(owner=admin, name="narrow", scopes=["agents:read"], actor=SYSTEM)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {narrow.key}")
    assert client.get(AGENT).status_code == 200
    assert client.post(AGENT, {"user": "outsider", "verb": "use"}).status_code == 403
    other = issue_api_key(owner=admin, name="other", scopes=["agents:write"], actor=SYSTEM)
    ApiKey.objects.filter(pk=other.row.pk).update(agents=["other"])
    keys.forget()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {other.key}")
    assert client.post(AGENT, {"user": "outsider", "verb": "use"}).status_code == 404
    keys.forget()
