"""Schedules over HTTP, from making one to what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import User
from agents.definitions.models import Agent
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.services import tick
from agents.tasks.models import Task
from tests.conftest import Api
from tests.schedules.conftest import make_due

pytestmark = pytest.mark.django_db
SCHEDULES = "/api/v1/schedules"
NIGHTLY = {
    "name": "Nightly", "agent": "echo", "input": "hello", "cron": "30 2 * * *", "timezone": "Europe/Berlin",
    "priority": "high", "metadata": {"team": "post"}, "if_missed": "skip", "if_overlapping": "queue",
}  # fmt: skip


@pytest.fixture
def client(api: Api, member: User, agent: Agent) -> APIClient:
    return api(member)


@pytest.fixture
def nightly(client: APIClient) -> str:
    """The address of a schedule of the member's."""
    return str(client.post(SCHEDULES, NIGHTLY)["Location"])


def test_a_schedule_is_made_shown_changed_and_deleted(client: APIClient, member: User) -> None:
    made = client.post(SCHEDULES, NIGHTLY)
    assert made.status_code == 201
    address = made["Location"].removeprefix("http://testserver")
    shown = client.get(address).json()
    assert made.json() == shown
    assert {name: shown[name] for name in NIGHTLY} == NIGHTLY
    assert (shown["owner"], shown["is_paused"], shown["last_run_at"]) == (str(member.pk), False, None)
    assert len(shown["next_runs"]) == 5
    assert shown["next_runs"][0] == shown["next_run_at"]
    changed = client.patch(address, {"every_seconds": 600, "priority": "low"}).json()
    assert (changed["cron"], changed["every_seconds"], changed["priority"]) == ("", 600, "low")
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_a_paused_schedule_says_so_and_can_be_asked_for(client: APIClient, nightly: str) -> None:
    paused = client.post(f"{nightly}/pause").json()
    assert (paused["is_paused"], paused["next_run_at"], len(paused["next_runs"])) == (True, None, 5)
    assert len(client.get(SCHEDULES, {"is_paused": "true"}).json()["results"]) == 1
    assert len(client.get(SCHEDULES, {"is_paused": "false"}).json()["results"]) == 0
    resumed = client.post(f"{nightly}/resume").json()
    assert (resumed["is_paused"], resumed["next_run_at"] is None) == (False, False)


def test_running_now_gives_the_task_and_a_line_in_the_list_of_runs(client: APIClient, nightly: str) -> None:
    answer = client.post(f"{nightly}/run")
    task = Task.objects.get()
    assert answer.status_code == 202
    assert answer["Location"].endswith(f"/api/v1/tasks/{task.pk}")
    runs = client.get(f"{nightly}/runs").json()["results"]
    assert runs == [answer.json()]
    assert (runs[0]["task"], runs[0]["is_manual"], runs[0]["outcome"]) == (str(task.pk), True, "fired")


def test_what_came_of_due_times_is_listed_page_by_page(client: APIClient, nightly: str) -> None:
    client.patch(nightly, {"every_seconds": 60, "if_missed": "all", "if_overlapping": "allow"})
    make_due(Schedule.objects.get(), ago=timedelta(minutes=4, seconds=5))
    tick()
    assert ScheduledRun.objects.count() == 5
    seen: list[str] = []
    address: Any = f"{nightly}/runs?page_size=2"
    while address:
        page = client.get(address).json()
        seen += [run["due_at"] for run in page["results"]]
        address = page["next"]
    assert len({*seen}) == 5
    assert client.get(f"{nightly}/runs", {"outcome": "refused"}).json()["results"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cron": "soon"}, "cron"),
        ({"cron": ""}, "cron"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"every_seconds": 3}, "every_seconds"),
        ({"input": ""}, "input"),
        ({"input": [1]}, "input"),
        ({"priority": "urgent"}, "priority"),
        ({"if_missed": "maybe"}, "if_missed"),
        ({"name": ""}, "name"),
        ({"starts_at": "tomorrow"}, "starts_at"),
        ({"crn": "0 8 * * *"}, "crn"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata"),
        ({"next_run_at": "2026-01-01T00:00:00Z"}, "next_run_at"),
        ({"owner": "somebody"}, "owner"),
    ],
)
def test_what_is_wrong_is_a_problem_that_names_the_field(client: APIClient, change: dict[str, Any], field: str) -> None:
    refused = client.post(SCHEDULES, NIGHTLY | change)
    assert (refused.status_code, refused["Content-Type"]) == (400, "application/problem+json")
    assert [*refused.json()["errors"]] == [field]
    assert Schedule.objects.count() == 0
    address = client.post(SCHEDULES, NIGHTLY)["Location"]
    assert client.patch(address, change).status_code == 400


def test_what_cannot_run_now_is_a_conflict(client: APIClient, nightly: str, agent: Agent) -> None:
    client.patch(nightly, {"if_overlapping": "skip"})
    assert client.post(f"{nightly}/run").status_code == 202
    busy = client.post(f"{nightly}/run")
    assert (busy.status_code, busy.json()["type"]) == (409, "urn:mutirao:schedule-busy")
    Task.objects.update(serial_key=None)
    Agent.objects.update(is_enabled=False)
    refused = client.post(f"{nightly}/run")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:mutirao:refused")
    assert "disabled" in refused.json()["detail"]


def test_nobody_sees_the_schedules_of_others_but_whoever_may(
    api: Api, client: APIClient, nightly: str, outsider: User, operator: User
) -> None:
    assert api(outsider).get(SCHEDULES).json()["results"] == []
    assert [row["name"] for row in api(operator).get(SCHEDULES).json()["results"]] == ["Nightly"]
    # What it runs with its owner's rights is the owner's to say.
    assert api(operator).patch(nightly, {"input": "something else"}).status_code == 403
    assert api(operator).post(f"{nightly}/pause").status_code == 200


@pytest.mark.parametrize(
    ("scopes", "reads", "writes"),
    [(["schedules:read"], 200, 403), (["schedules:write"], 403, 200), (["tasks:read"], 403, 403), ([], 200, 200)],
)
def test_a_key_reaches_as_far_as_its_scopes(
    nightly: str, member: User, scopes: list[str], reads: int, writes: int
) -> None:
    key = issue_api_key(owner=member, name="key", scopes=scopes, actor=SYSTEM).key
    client = APIClient(headers={"authorization": f"Bearer {key}"})
    assert client.get(SCHEDULES).status_code == reads
    assert client.get(f"{nightly}/runs").status_code == reads
    assert client.post(f"{nightly}/pause").status_code == writes


def test_the_list_costs_the_same_for_one_and_for_many(client: APIClient, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        client.post(SCHEDULES, NIGHTLY | {"name": f"Nightly {number}"})
        if number in {0, 19}:
            with django_assert_max_num_queries(4):
                assert len(client.get(SCHEDULES).json()["results"]) == number + 1
