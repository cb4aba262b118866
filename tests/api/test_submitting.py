"""What `POST /tasks` takes, refuses and repeats."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts.models import User
from agents.definitions.models import Agent
from agents.tasks.models import Task
from tests.conftest import Api

TASKS = "/api/v1/tasks"
ECHO = {"agent": "echo", "input": "hello"}

pytestmark = pytest.mark.django_db


def test_a_task_is_accepted_with_its_address(api: Api, member: User, agent: Agent) -> None:
    response = api(member).post(TASKS, ECHO)
    assert response.status_code == 202
    task = response.json()
    assert response["Location"] == f"{TASKS}/{task['id']}"
    assert task["status"] == "queued"
    assert task["agent"] == "echo"
    assert task["request_id"] == response["X-Request-ID"]
    assert api(member).get(response["Location"]).json() == task
    assert Task.objects.get().owner == member


@pytest.mark.parametrize("given", ["text", {"messages": [{"role": "user", "content": "hi"}]}, {"value": 1}])
def test_the_input_is_a_string_messages_or_an_object(api: Api, member: User, agent: Agent, given: Any) -> None:
    response = api(member).post(TASKS, {"agent": "echo", "input": given})
    assert response.status_code == 202
    assert response.json()["input"] == given


def test_options_are_kept(api: Api, member: User, agent: Agent) -> None:
    options = {
        "priority": "high", "max_attempts": 2, "metadata": {"a": 1}, "not_before": "2099-01-01T00:00:00Z",
        "limits": {"seconds": 5, "tokens": 6, "cost": "7.5", "steps": 8},
    }  # fmt: skip
    task = api(member).post(TASKS, ECHO | options).json()
    assert {name: task[name] for name in options} == options | {
        "limits": {"seconds": 5, "tokens": 6, "cost": "7.500000", "steps": 8}
    }


@pytest.mark.parametrize(
    ("body", "status", "code", "named"),
    [
        ({"agent": "nobody", "input": "x"}, 400, "unknown-agent", None),
        ({"agent": "echo"}, 400, "invalid", "input"),
        ({"input": "x"}, 400, "invalid", "agent"),
        ({"agent": "echo", "input": 5}, 400, "invalid", "input"),
        ({"agent": "echo", "input": ""}, 400, "invalid-input", None),
        (ECHO | {"priority": "urgent"}, 400, "invalid", "priority"),
        (ECHO | {"max_attempts": 0}, 400, "invalid", "max_attempts"),
        (ECHO | {"limits": {"seconds": -1}}, 400, "invalid", "limits"),
        (ECHO | {"limits": {"minutes": 1}}, 400, "invalid", "limits"),
        (ECHO | {"not_before": "tomorrow"}, 400, "invalid", "not_before"),
        (ECHO | {"metadata": []}, 400, "invalid", "metadata"),
        (ECHO | {"metadata": {"a": "x" * 20_000}}, 400, "invalid", "metadata"),
        (ECHO | {"depends_on": ["x"]}, 400, "invalid", "depends_on"),
        (ECHO | {"webhook_url": "not an address"}, 400, "invalid", "webhook_url"),
        (ECHO | {"imput": 1}, 400, "invalid", "imput"),
        (ECHO | {"conversation": "01900000-0000-7000-8000-000000000000"}, 400, "unknown-conversation", None),
        ([ECHO], 400, "invalid", "non_field_errors"),
    ],
)  # fmt: skip
def test_what_is_not_right_is_refused_with_a_sentence(
    api: Api, member: User, agent: Agent, body: Any, status: int, code: str, named: str | None
) -> None:
    response = api(member).post(TASKS, body)
    problem = response.json()
    assert (response.status_code, problem["type"]) == (status, f"urn:mutirao:{code}"), problem
    assert response["Content-Type"] == "application/problem+json"
    assert problem["request_id"] == response["X-Request-ID"]
    assert problem["detail"]
    if named:
        assert named in problem["errors"]
    assert Task.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b'{"agent": "echo", "input": "\xff"}', 400),
        (b'{"agent": "echo", "input": "a\\u0000b"}', 400),
        (b'{"agent": "echo", "input": "a\\ud800b"}', 400),
        (b'{"agent": "echo", "input": {"a": NaN}}', 400),
        (b'{"agent": "echo", "input": {"a": -1e400}}', 400),
        (b'{"agent": "echo", "input": ' + b'{"a":' * 100 + b"1" + b"}" * 100 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"agent": "echo", "input": "' + b"x" * 1_000_001 + b'"}', 413),
    ],
    ids=[
        "broken", "empty", "not-utf8", "nul", "surrogate", "nan", "infinite", "deep", "too-deep-to-parse", "too-large",
    ],
)  # fmt: skip
def test_a_body_that_is_not_proper_json_is_refused(
    api: Api, member: User, agent: Agent, body: bytes, status: int
) -> None:
    response = api(member).generic("POST", TASKS, body, "application/json")  # type: ignore[arg-type]  # it takes bytes
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert Task.objects.count() == 0


def test_an_escaped_backslash_is_not_a_nul(api: Api, member: User, agent: Agent) -> None:
    body = json.dumps({"agent": "echo", "input": "a\\u0000b"})
    response = api(member).generic("POST", TASKS, body, "application/json")
    assert response.status_code == 202
    assert response.json()["input"] == "a\\u0000b"


def test_other_content_types_and_methods_are_refused(api: Api, member: User, agent: Agent) -> None:
    client = api(member)
    assert client.generic("POST", TASKS, "agent=echo", content_type="text/plain").status_code == 415
    refused = client.put(TASKS, ECHO)
    assert refused.status_code == 405
    assert refused.json()["type"] == "urn:mutirao:method-not-allowed"


def test_the_same_key_with_the_same_body_is_the_same_task(api: Api, member: User, agent: Agent) -> None:
    client = api(member)
    first = client.post(TASKS, ECHO, headers={"Idempotency-Key": "k-1"})
    again = client.post(TASKS, ECHO, headers={"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert again["Location"] == first["Location"]
    assert Task.objects.count() == 1


def test_the_same_key_with_another_body_is_a_conflict(api: Api, member: User, agent: Agent) -> None:
    client = api(member)
    client.post(TASKS, ECHO, headers={"Idempotency-Key": "k-1"})
    other = client.post(TASKS, ECHO | {"input": "other"}, headers={"Idempotency-Key": "k-1"})
    assert other.status_code == 409
    assert other.json()["type"] == "urn:mutirao:idempotency-conflict"
    assert Task.objects.count() == 1


def test_a_key_is_its_owners_own(api: Api, member: User, operator: User, agent: Agent) -> None:
    for user in (member, operator):
        assert api(user).post(TASKS, ECHO, headers={"Idempotency-Key": "k-1"}).status_code == 202
    assert Task.objects.count() == 2


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
def test_a_key_that_is_none_is_refused(api: Api, member: User, agent: Agent, key: str) -> None:
    response = api(member).post(TASKS, ECHO, headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json()["type"] == "urn:mutirao:invalid-idempotency-key"


def test_a_preference_that_is_not_understood_is_ignored(api: Api, member: User, agent: Agent) -> None:
    response = api(member).post(TASKS, ECHO, headers={"Prefer": "respond-async, wait=soon"})
    assert response.status_code == 202
    assert "Preference-Applied" not in response


def test_a_task_may_wait_for_others_and_be_one_of_a_key(api: Api, member: User, agent: Agent) -> None:
    client = api(member)
    first = client.post(TASKS, ECHO | {"serial_key": "k", "queue_seconds": 60}, format="json").json()
    assert first["start_by"] is not None
    body = ECHO | {"depends_on": [first["id"]], "if_dependency_fails": "skip"}
    second = client.post(TASKS, body, format="json").json()
    assert second["dependencies_left"] == 1
    child = client.post(TASKS, ECHO | {"parent": second["id"]}, format="json").json()
    assert child["parent"] == second["id"]
    busy = client.post(TASKS, ECHO | {"serial_key": "k", "if_busy": "reject"}, format="json")
    assert (busy.status_code, busy.json()["type"]) == (409, "urn:mutirao:serial-key-busy")
    assert client.post(TASKS, ECHO | {"queue": "nobody"}, format="json").status_code == 400
    client.post(f"{TASKS}/{first['id']}/cancel")
    assert client.get(f"{TASKS}/{second['id']}").json()["status"] == "cancelled"


def test_serial_keys_are_their_owners(api: Api, member: User, operator: User, agent: Agent) -> None:
    for person in (member, operator):
        answer = api(person).post(TASKS, ECHO | {"serial_key": "k", "if_busy": "reject"}, format="json")
        assert answer.status_code == 202


def test_a_full_queue_says_when_to_come_back(api: Api, member: User, agent: Agent, settings: Any) -> None:
    settings.QUEUE_MOST_WAITING = 1
    client = api(member)
    assert client.post(TASKS, ECHO, format="json").status_code == 202
    refused = client.post(TASKS, ECHO, format="json")
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:mutirao:queue-full")
    assert int(refused.headers["Retry-After"]) > 0


def test_many_tasks_are_accepted_at_once_or_none(api: Api, member: User, agent: Agent) -> None:
    client = api(member)
    items = [ECHO | {"idempotency_key": f"k{number}"} for number in range(3)]
    first = client.post(f"{TASKS}/bulk", {"tasks": items}, format="json")
    assert first.status_code == 202, first.json()
    ids = [task["id"] for task in first.json()["tasks"]]
    again = client.post(f"{TASKS}/bulk", {"tasks": items}, format="json")
    assert [task["id"] for task in again.json()["tasks"]] == ids
    assert client.post(f"{TASKS}/bulk", {"tasks": [ECHO, ECHO | {"input": " "}]}, format="json").status_code == 400
    assert client.post(f"{TASKS}/bulk", {"tasks": []}, format="json").status_code == 400
    assert Task.objects.count() == 3


def test_a_failed_task_is_tried_again_with_another_input(api: Api, member: User, agent: Agent) -> None:
    client = api(member)
    client.post(TASKS, ECHO, format="json")
    task = Task.objects.get()
    client.post(f"{TASKS}/{task.pk}/cancel")
    again = client.post(f"{TASKS}/{task.pk}/retry", {"input": "other"}, format="json")
    assert (again.status_code, again.json()["input"], again.json()["retry_of"]) == (202, "other", str(task.pk))
    Task.objects.filter(pk=task.pk).update(serial_key="conversation:x")
    assert client.post(f"{TASKS}/{task.pk}/retry", {"input": "other"}, format="json").status_code == 409
