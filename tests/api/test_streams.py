"""Event streams and waiting, through a real uvicorn."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.db import connection
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import User
from agents.api import hub
from agents.tasks import attempts
from agents.tasks.data import NOTHING, Claim, NewEvent
from agents.tasks.models import Task
from tests.api.conftest import Submit, run_next

TASKS = "/api/v1/tasks"
ECHO = {"agent": "echo", "input": "hello"}
Clients = Callable[[User], httpx.Client]
Event = tuple[int, str, dict[str, Any]]

pytestmark = pytest.mark.django_db(transaction=True)


def _parse(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}


def _events(client: httpx.Client, task: Task, *, after: int = 0, most: int | None = None) -> list[Event]:
    seen: list[Event] = []
    with client.stream("GET", f"{TASKS}/{task.pk}/events", headers={"Last-Event-ID": str(after)}) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        for event in _parse(response.iter_lines()):
            seen.append(event)
            if len(seen) == most:
                break
    return seen


def _piece(claim: Claim, text: str) -> None:
    event = NewEvent(kind="message", data={"text": text}, at=timezone.now())
    attempts.append_events(claim, [event])


def _claim() -> Claim:
    claim = attempts.claim(queues=["interactive"], worker="test")
    assert claim is not None
    return claim


def _finish(claim: Claim) -> None:
    attempts.succeed(claim=claim, result={"text": "done"}, usage=NOTHING)


def _wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_finished_task_is_replayed_to_its_end(client_of: Clients, member: User, submitted: Submit) -> None:
    task = submitted(member)
    claim = _claim()
    for text in "abc":
        _piece(claim, text)
    _finish(claim)
    events = _events(client_of(member), task)
    assert [number for number, _, _ in events] == [1, 2, 3, 4, 5, 6, 6]
    assert [kind for _, kind, _ in events] == [
        "status",
        "status",
        "message",
        "message",
        "message",
        "status",
        "done",
    ]
    assert events[-1][2]["status"] == "succeeded"
    assert events[-1][2]["result"] == {"text": "done"}
    after_all = _events(client_of(member), task, after=6)
    assert [(number, kind) for number, kind, _ in after_all] == [(6, "done")]
    assert after_all[0][2]["result"] == {"text": "done"}


def test_events_arrive_as_they_happen(client_of: Clients, member: User, submitted: Submit) -> None:
    task = submitted(member)
    client = client_of(member)
    with client.stream("GET", f"{TASKS}/{task.pk}/events") as response:
        events = _parse(response.iter_lines())
        assert next(events)[2]["status"] == "queued"
        claim = _claim()
        assert next(events)[2]["status"] == "running"
        for text in "abc":
            _piece(claim, text)
            assert next(events)[2] == {"text": text}
        _finish(claim)
        assert [kind for _, kind, _ in events] == ["status", "done"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stream_that_is_cut_and_resumed_yields_every_event_once(
    client_of: Clients, member: User, submitted: Submit, seed: int
) -> None:
    task, cuts = submitted(member), random.Random(seed)
    pieces = 40

    def work() -> None:
        claim = _claim()
        for number in range(pieces):
            _piece(claim, str(number))
        _finish(claim)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    client = client_of(member)
    seen: list[Any] = []
    while not seen or seen[-1][1] != "done":
        after = seen[-1][0] if seen else 0
        seen += _events(client, task, after=after, most=cuts.randint(1, 7))
    worker.join()
    assert [number for number, kind, _ in seen if kind != "done"] == [*range(1, pieces + 4)]
    assert [data["text"] for _, kind, data in seen if kind == "message"] == [str(n) for n in range(pieces)]


def test_a_hundred_streams_share_four_connections(server: str, member: User, submitted: Submit) -> None:  # noqa: C901
    from accounts.issuing import issue_api_key

    task = submitted(member)
    key = issue_api_key(owner=member, name="hundred", actor=SYSTEM).key
    pool = getattr(connection, "pool", None)
    if pool is not None:
        pool.resize(0, 4)
    opened = threading.Semaphore(0)
    ended: list[list[str]] = []

    async def follow(client: httpx.AsyncClient) -> None:
        lines: list[str] = []
        async with client.stream("GET", f"{TASKS}/{task.pk}/events") as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line == "event: status" and not lines:
                    opened.release()
                if line.startswith("event: "):
                    lines.append(line)
        ended.append(lines)

    async def follow_all() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server, headers=headers, limits=limits, timeout=30) as client:
            await asyncio.gather(*(follow(client) for _ in range(100)))

    following = threading.Thread(target=asyncio.run, args=(follow_all(),))
    following.start()
    for _ in range(100):
        assert opened.acquire(timeout=20)
    # With all of them open there is still a connection for everybody else, and no thread is held.
    with httpx.Client(base_url=server, headers={"X-Api-Key": key}) as other:
        assert other.get(f"{TASKS}/{task.pk}").status_code == 200
    run_next()
    following.join(20)
    assert not following.is_alive()
    assert len(ended) == 100
    assert all(lines == ["event: status"] * 3 + ["event: done"] for lines in ended)
    if pool is not None:
        assert pool.get_stats()["pool_max"] == 4
        pool.resize(1, 10)


def test_a_client_that_goes_away_frees_everything(client_of: Clients, member: User, submitted: Submit) -> None:
    task = submitted(member)
    client = client_of(member)
    [of_server] = [found for found in hub._hubs.values() if found._stays]
    with client.stream("GET", f"{TASKS}/{task.pk}/events") as response:
        # Kept: httpx closes the connection when nobody holds what it gives the lines by.
        events = _parse(response.iter_lines())
        next(events)
        _wait_for(lambda: str(task.pk) in of_server._waiters)
    client.close()
    _wait_for(lambda: str(task.pk) not in of_server._waiters)


def _waiting(client: httpx.Client, seconds: float = 20) -> httpx.Response:
    return client.post(TASKS, json=ECHO, headers={"Prefer": f"wait={seconds}"})


@pytest.fixture
def one_thread() -> Iterator[ThreadPoolExecutor]:
    """Somebody who asks while the test works."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_waiting_gives_the_finished_task(
    client_of: Clients, member: User, submitted: Submit, one_thread: ThreadPoolExecutor
) -> None:
    client = client_of(member)
    asking = one_thread.submit(_waiting, client)
    _wait_for(lambda: Task.objects.filter(status="queued").exists())
    run_next({"text": "hello"})
    response = asking.result(10)
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "wait"
    waited = response.json()
    assert waited["result"] == {"text": "hello"}
    assert client.get(response.headers["Location"]).json() == waited


def test_a_failed_task_is_an_answer_too(
    client_of: Clients, member: User, submitted: Submit, one_thread: ThreadPoolExecutor
) -> None:
    from agents.tasks.data import Failure

    client = client_of(member)
    asking = one_thread.submit(_waiting, client)
    _wait_for(lambda: Task.objects.filter(status="queued").exists())
    failure = Failure(error_type="ValueError", message="it broke", retryable=False)
    attempts.fail(claim=_claim(), failure=failure, usage=NOTHING)
    response = asking.result(10)
    assert (response.status_code, response.json()["status"]) == (200, "failed")
    assert response.json()["error"] == {"type": "ValueError", "message": "it broke"}
    assert client.get(response.headers["Location"]).json() == response.json()


def test_waiting_ends_in_time_with_the_task_as_it_is(client_of: Clients, member: User, submitted: Submit) -> None:
    response = _waiting(client_of(member), 1)
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert response.headers["Preference-Applied"] == "wait"


def test_without_redis_a_waiter_looks_at_the_rows(
    client_of: Clients, member: User, submitted: Submit, one_thread: ThreadPoolExecutor, monkeypatch: Any
) -> None:
    from agents.tasks import bus

    monkeypatch.setattr(bus, "publish", lambda *_: None)
    monkeypatch.setattr(hub, "CONNECTED_LOOK_SECONDS", 0.1)
    asking = one_thread.submit(_waiting, client_of(member))
    _wait_for(lambda: Task.objects.filter(status="queued").exists())
    run_next()
    assert asking.result(10).json()["status"] == "succeeded"
    task = submitted(member)
    run_next()
    assert _events(client_of(member), task)[-1][1] == "done"


def test_errors_of_the_server_itself_are_problems(server: str, member: User) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 50_000

    with httpx.Client(base_url=server) as client:
        answers = {
            404: client.get("/api/v1/nothing"),
            400: client.get("/api/v1/tasks", headers={"Host": "elsewhere.example"}),
            401: client.get("/api/v1/tasks"),
            413: client.post("/api/v1/tasks", content=b"x" * 1_000_001),
        }
        chunked = client.post("/api/v1/tasks", content=chunks())
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/static/nothing.css").status_code == 404
    assert chunked.status_code == 413
    for status, response in answers.items():
        assert response.status_code == status, response.text
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["request_id"] == response.headers["X-Request-ID"]


def test_a_fault_of_ours_is_a_problem_without_details(client_of: Clients, member: User, monkeypatch: Any) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("agents.api.views.submit_task", broken)
    response = client_of(member).post(TASKS, json=ECHO)
    assert response.status_code == 500
    assert response.json()["type"] == "urn:mutirao:internal"
    assert "secret" not in response.text
