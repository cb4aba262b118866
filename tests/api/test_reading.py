"""Lists and single tasks: whose, in which order, by which filter; cancelling and retrying."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from agents.definitions.models import Agent
from agents.tasks.models import Task
from tests.api.conftest import Submit, run_next
from tests.conftest import Api

TASKS = "/api/v1/tasks"

pytestmark = pytest.mark.django_db


def _ids(page: dict[str, Any]) -> list[str]:
    return [task["id"] for task in page["results"]]


def test_pages_follow_each_other_without_hole_or_repetition(api: Api, member: User, submitted: Submit) -> None:
    made = [str(submitted(member).pk) for _ in range(7)]
    client, seen, url = api(member), [], f"{TASKS}?page_size=3"
    while url:
        page = client.get(url).json()
        assert len(page["results"]) <= 3
        seen += _ids(page)
        url = page["next"]
        submitted(member)
    assert seen == made[::-1]


def test_the_order_can_be_turned_around(api: Api, member: User, submitted: Submit) -> None:
    made = [str(submitted(member).pk) for _ in range(3)]
    assert _ids(api(member).get(f"{TASKS}?ordering=created_at").json()) == made
    assert api(member).get(f"{TASKS}?ordering=input").status_code == 400


def test_a_list_takes_as_many_queries_however_long_it_is(
    api: Api, member: User, submitted: Submit, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        submitted(member)
    client = api(member)
    with django_assert_max_num_queries(4):
        assert len(client.get(TASKS).json()["results"]) == 10


def test_filters_narrow_the_list(api: Api, member: User, submitted: Submit) -> None:
    first, second = submitted(member), submitted(member)
    run_next()
    client = api(member)
    assert _ids(client.get(f"{TASKS}?status=succeeded").json()) == [str(first.pk)]
    assert _ids(client.get(f"{TASKS}?status=queued&status=failed").json()) == [str(second.pk)]
    assert len(_ids(client.get(f"{TASKS}?agent=echo").json())) == 2
    assert _ids(client.get(f"{TASKS}?agent=other").json()) == []
    after = second.created_at.isoformat().replace("+00:00", "Z")
    assert _ids(client.get(f"{TASKS}?created_after={after}").json()) == [str(second.pk)]
    assert _ids(client.get(f"{TASKS}?created_before={after}").json()) == [str(first.pk)]
    assert _ids(client.get(f"{TASKS}?search=echo").json())
    for wrong in ("status=unheard", "created_after=soon", "conversation=x", "cursor=x"):
        assert client.get(f"{TASKS}?{wrong}").status_code == 400, wrong


def test_somebody_elses_task_is_not_there(api: Api, member: User, outsider: User, submitted: Submit) -> None:
    task = submitted(member)
    client = api(outsider)
    assert _ids(client.get(TASKS).json()) == []
    for method, path in (("get", ""), ("get", "/events"), ("post", "/cancel"), ("post", "/retry")):
        response = getattr(client, method)(f"{TASKS}/{task.pk}{path}")
        assert response.status_code == 404, path
        assert response.json()["type"] == "urn:mutirao:not-found"
    task.refresh_from_db()
    assert task.status == "queued"


def test_an_operator_sees_and_cancels_the_tasks_of_others(
    api: Api, member: User, operator: User, submitted: Submit
) -> None:
    task = submitted(member)
    assert _ids(api(operator).get(TASKS).json()) == [str(task.pk)]
    cancelled = api(operator).post(f"{TASKS}/{task.pk}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")


def test_who_may_only_look_may_not_cancel(api: Api, member: User, outsider: User, submitted: Submit) -> None:
    from django.contrib.auth.models import Permission

    outsider.user_permissions.add(Permission.objects.get(codename="view_task"))
    viewer = User.objects.get(pk=outsider.pk)
    task = submitted(member)
    assert api(viewer).get(f"{TASKS}/{task.pk}").status_code == 200
    refused = api(viewer).post(f"{TASKS}/{task.pk}/cancel")
    assert refused.status_code == 403
    assert Task.objects.get().status == "queued"


def test_a_finished_task_can_be_retried_and_not_cancelled(api: Api, member: User, submitted: Submit) -> None:
    task = submitted(member)
    client = api(member)
    assert client.post(f"{TASKS}/{task.pk}/retry").status_code == 409
    client.post(f"{TASKS}/{task.pk}/cancel")
    again = client.post(f"{TASKS}/{task.pk}/retry")
    assert again.status_code == 202
    assert again.json()["retry_of"] == str(task.pk)
    assert again["Location"] == f"{TASKS}/{again.json()['id']}"


def test_agents_are_those_one_may_use(api: Api, member: User, outsider: User, agent: Agent) -> None:
    listed = api(member).get("/api/v1/agents").json()["results"]
    assert [found["slug"] for found in listed] == ["echo"]
    assert api(member).get("/api/v1/agents/echo").json()["version"]["number"] == 1
    assert api(outsider).get("/api/v1/agents").json()["results"] == []
    assert api(outsider).get("/api/v1/agents/echo").status_code == 404


@pytest.mark.parametrize("moment", ["0064-05-23T15:57:54-20:39", "2026-01-01T00:00:00+23:59", "2026-01-01T00:00:00Z"])
def test_a_moment_of_a_far_zone_is_one_that_every_database_knows(api: Api, member: User, moment: str) -> None:
    answer = api(member).get(TASKS, {"created_after": moment})
    assert (answer.status_code, answer.json()["results"]) == (200, [])
