"""Bells and wake-ups are courtesies: a broker or a Redis that is away costs nobody an accepted task."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import redis
import structlog
from celery import Celery, current_app
from django.conf import settings as django_settings
from kombu.exceptions import OperationalError

from agents.tasks import bus, services, telling
from agents.tasks.models import Task
from mutirao.embedded import free_port
from tests.tasks.conftest import QUEUE, Put, Take, piece

pytestmark = pytest.mark.django_db(transaction=True)


def _away(*errors: Exception) -> Callable[[str], None]:
    given = iter(errors)

    def send(_queue: str) -> None:
        raise next(given)

    return send


@pytest.mark.parametrize("error", [OperationalError("no"), ConnectionRefusedError("no"), TimeoutError("no")], ids=repr)
def test_a_task_is_accepted_while_the_broker_is_away_and_told_when_it_is_back(
    put: Put, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(telling, "_send", _away(error))
    with structlog.testing.capture_logs() as lines:
        task = put()
    assert [line["event"] for line in lines] == ["workers_not_told"]
    task.refresh_from_db()
    assert (task.status, task.told_at) == ("queued", None)

    rung: list[str] = []
    monkeypatch.setattr(telling, "_send", rung.append)
    monkeypatch.setattr(telling, "_quiet_until", 0.0)
    assert services.sweep().told == 1
    assert rung == [QUEUE]
    task.refresh_from_db()
    assert task.told_at is not None


def test_after_a_failure_nobody_else_waits_for_the_broker(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    # A second try would find no error to raise and fail differently.
    monkeypatch.setattr(telling, "_send", _away(OperationalError("refused")))
    for _task in range(5):
        put()
    assert Task.objects.filter(told_at=None).count() == 5


def test_a_sweep_during_which_the_broker_is_away_tells_again_later(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put()
    Task.objects.update(told_at=None)
    monkeypatch.setattr(telling, "_send", _away(OperationalError("refused")))
    assert services.sweep().told == 0
    rung: list[str] = []
    monkeypatch.setattr(telling, "_send", rung.append)
    monkeypatch.setattr(telling, "_quiet_until", 0.0)
    Task.objects.update(told_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert services.sweep().told == 1


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_no_real_broker_that_is_away_holds_up_the_caller(
    put: Put, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    app = Celery("nowhere", broker=f"{scheme}://127.0.0.1:{free_port()}/", set_as_current=False)
    app.conf.update(broker_connection_timeout=2)
    monkeypatch.setattr(telling, "current_app", app)
    monkeypatch.setattr(
        telling, "_send", lambda queue: app.send_task(
            telling.JOB, kwargs={"queue": queue}, queue=queue, retry=True,
            retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0},
        ),
    )  # fmt: skip
    began = time.monotonic()
    put()
    assert time.monotonic() - began < 10
    assert Task.objects.get().told_at is None
    app.close()


def test_a_message_names_the_queue_and_nothing_of_the_task(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.undo()
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **given: sent.append((name, given)))
    settings.QUEUE_PREFIX = "here."
    assert telling.tell("interactive")
    ((name, given),) = sent
    assert (name, given["kwargs"], given["queue"]) == (
        "agents.worker.run_next",
        {"queue": "interactive"},
        "here.interactive",
    )


def test_whoever_waits_hears_every_event_with_its_number(put: Put, take: Take) -> None:
    task = put()
    client = redis.Redis.from_url(django_settings.REDIS_URL)
    with client.pubsub() as subscription:  # type: ignore[no-untyped-call]
        subscription.subscribe(bus.channel(task.pk))
        subscription.get_message(timeout=5)
        held = take()
        services.append_events(held, [piece("a"), piece("b")])
        services.succeed(claim=held, result={"text": "ab"}, events=[piece("c")])
        heard: list[dict[str, Any]] = []
        deadline = time.monotonic() + 10
        while len(heard) < 5 and time.monotonic() < deadline:
            if message := subscription.get_message(ignore_subscribe_messages=True, timeout=1):
                heard += json.loads(message["data"])["events"]
    client.close()
    assert [(each["number"], each["kind"], each["fence"]) for each in heard] == [
        (2, "status", 1),
        (3, "message", 1),
        (4, "message", 1),
        (5, "message", 1),
        (6, "status", 1),
    ]
    assert heard[-1]["data"]["result"] == {"text": "ab"}
    task.refresh_from_db()
    assert task.finished_at is not None
    # Whoever builds the finished task from this event says the same as the row.
    said = datetime.fromisoformat(heard[-1]["at"])
    assert abs((said - task.finished_at).total_seconds()) < 0.002


def test_a_redis_that_is_away_stops_no_run(put: Put, take: Take, settings: Any) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    task = put()
    with structlog.testing.capture_logs() as lines:
        held = take()
        services.append_events(held, [piece()])
        services.succeed(claim=held, result=None)
    assert "waiters_not_woken" in [line["event"] for line in lines]
    task.refresh_from_db()
    assert (task.status, task.last_event) == ("succeeded", 4)


def test_nothing_is_announced_that_is_not_committed(put: Put, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import transaction

    put()
    held = take()
    published: list[Any] = []
    monkeypatch.setattr(bus, "publish", lambda task_id, entries: published.append(task_id))
    with transaction.atomic():
        services.append_events(held, [piece()])
        transaction.set_rollback(True)
    assert published == []
    services.append_events(held, [piece()])
    assert published == [held.task_id]


def test_a_channel_belongs_to_one_task_of_one_installation(settings: Any) -> None:
    settings.REDIS_PREFIX = "here"
    task_id = uuid4()
    assert bus.channel(task_id) == f"here:task:{task_id}"
