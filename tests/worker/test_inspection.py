"""What the operator is shown is what is so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.services import create_agent
from agents.tasks import queues, services
from agents.tasks.data import Failure
from agents.tasks.models import Task, WaitingFor
from agents.worker.inspection import operations
from agents.worker.models import WorkerProcess
from tests.conftest import Api

pytestmark = pytest.mark.django_db

BROKEN = Failure("Broken", "It broke.", retryable=False)


@pytest.fixture
def world(member: User) -> dict[str, Task]:
    """One task of every kind that an operator wants to know of."""
    agent = create_agent(slug="helper", queue="q")

    def put(**options: Any) -> Task:
        return services.submit(owner=member, agent=agent, input="x", **options).task

    def take() -> Any:
        found = services.claim(queues=["q"], worker="worker-1")
        assert found is not None
        return found

    made = {"failed": put()}
    services.fail(claim=take(), failure=BROKEN)
    made["failed and tried again"] = put()
    services.fail(claim=take(), failure=BROKEN)
    made["failed and tried again"].refresh_from_db()
    made["again"] = services.retry(task=made["failed and tried again"], actor=SYSTEM)
    services.succeed(claim=take(), result=None)
    made["silent"] = put()
    take()
    Task.objects.filter(pk=made["silent"].pk).update(lease_expires_at=timezone.now() - timedelta(seconds=20))
    made["stubborn"] = put()
    take()
    Task.objects.filter(pk=made["stubborn"].pk).update(cancel_requested_at=timezone.now() - timedelta(minutes=2))
    made["overdue"] = put()
    services.wait(claim=take(), waiting_for=WaitingFor.INPUT, seconds=-100)
    made["review"] = put()
    services.review(claim=take(), failure=Failure("Unsure", "Was it done?"))
    made["queued"] = put()
    Task.objects.filter(pk=made["queued"].pk).update(created_at=timezone.now() - timedelta(seconds=90))
    made["later"] = put(not_before=timezone.now() + timedelta(hours=1))
    made["blocked"] = put(depends_on=[made["queued"].pk])
    return made


def test_everything_is_where_it_belongs(world: dict[str, Task], django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(14):
        found = operations()
    state = next(queue for queue in found.queues if queue.name == "q")
    assert (state.waiting, state.later, state.running, state.workers, state.is_unserved) == (1, 2, 2, 0, True)
    assert 85 < state.oldest_seconds < 100
    reasons = {each.task.pk: str(each.reason) for each in found.stuck}
    assert reasons == {
        world["silent"].pk: "its worker is silent",
        world["stubborn"].pk: "it was asked to stop and does not",
        world["queued"].pk: "no living worker serves its queue",
        world["overdue"].pk: "what it waits for is overdue",
    }
    assert [task.pk for task in found.dead_letters] == [world["failed"].pk]
    assert found.dead_letter_count == 1
    assert [task.pk for task in found.reviews] == [world["review"].pk]
    assert [each.task.pk for each in found.running] == [world["silent"].pk, world["stubborn"].pk]
    assert found.running[0].heartbeat_seconds >= 20
    assert {each.worker for each in found.running} == {"worker-1"}
    assert sum(minute.accepted for minute in found.minutes) == len(world)
    assert sum(minute.failed for minute in found.minutes) == 2


def test_a_worker_that_serves_a_queue_and_a_pause_change_the_picture(world: dict[str, Task]) -> None:
    WorkerProcess.objects.create(name="w", pid=1, queues=["q"], threads=8, polled_at=timezone.now())
    state = next(queue for queue in operations().queues if queue.name == "q")
    assert (state.workers, state.is_unserved) == (1, False)
    queues.change(name="q", is_paused=True, most_waiting=5, actor=SYSTEM)
    found = operations()
    state = next(queue for queue in found.queues if queue.name == "q")
    assert (state.is_paused, state.most_waiting) == (True, 5)
    assert {each.task.pk: str(each.reason) for each in found.stuck}[world["queued"].pk] == "its queue is paused"


def test_the_api_says_the_same(world: dict[str, Task], operator: User, api: Api) -> None:
    client = api(operator)
    body = client.get("/api/v1/operations").json()
    assert body["dead_letter_count"] == 1
    assert {each["task"]["id"] for each in body["stuck"]} >= {str(world["silent"].pk), str(world["queued"].pk)}
    assert client.patch("/api/v1/queues/q", {"is_paused": True}, format="json").json()["is_paused"] is True
    changed = client.patch("/api/v1/queues/q", {"most_waiting": 7}, format="json").json()
    assert (changed["is_paused"], changed["most_waiting"]) == (True, 7)
    assert client.patch("/api/v1/queues/q", {"most_waiting": 0}, format="json").status_code == 400
    assert client.patch("/api/v1/queues/nobody", {"is_paused": True}, format="json").status_code == 404
