"""A worker that cannot say that it lives stops; what may have killed a process runs alone; alive is who works."""

from __future__ import annotations

import os
from datetime import timedelta
from queue import Queue
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts import seals
from accounts.models import User
from agents.definitions.services import create_agent
from agents.tasks import services
from agents.tasks.data import Claim
from agents.tasks.models import Attempt, Task
from agents.worker import alone, process
from agents.worker.keeper import Keeper
from agents.worker.models import WorkerProcess
from agents.worker.process import Worker

pytestmark = pytest.mark.django_db(transaction=True)

QUEUE = "keeping-tests"


@pytest.fixture
def held(member: User) -> Claim:
    agent = create_agent(slug="helper", queue=QUEUE)
    services.submit(owner=member, agent=agent, input="x")
    found = services.claim(queues=[QUEUE], worker="tests")
    assert found is not None
    return found


def away(*_claims: Any) -> Any:
    raise OperationalError("the database is away")


def test_runs_stop_when_their_leases_cannot_be_renewed(held: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper()
    with keeper.keeping(held) as control:
        keeper.beat()
        monkeypatch.setattr("agents.worker.keeper.tasks.renew", away)
        with pytest.raises(OperationalError):
            keeper.beat()
        assert str(control.reason) == "", "one heartbeat may fail"
        keeper._renewed_at -= 31
        with pytest.raises(OperationalError):
            keeper.beat()
        assert str(control.reason) == "lease_lost"


def test_a_worker_without_a_heartbeat_ends_itself(held: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, left = Worker(), list[int]()
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr("agents.worker.keeper.tasks.renew", away)
    with worker.keeper.keeping(held):
        worker.keeper._renewed_at -= 60
        with pytest.raises(OperationalError):
            worker._beat()
        assert left == []
        worker.keeper._renewed_at -= 60
        with pytest.raises(OperationalError):
            worker._beat()
        assert left == [process.EXIT_EXHAUSTED]


def test_a_worker_that_runs_nothing_needs_no_heartbeat(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper()
    monkeypatch.setattr("agents.worker.keeper.tasks.renew", away)
    keeper._renewed_at -= 1000
    keeper.beat()
    assert keeper.silent_seconds < 1


def test_three_abandoned_threads_are_enough(held: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, left = Worker(), list[int]()
    worker._threads = 8
    monkeypatch.setattr(worker, "_leave", left.append)
    worker.keeper.abandoned = 2
    worker._beat()
    assert left == []
    worker.keeper.abandoned = 3
    worker._beat()
    assert left == [process.EXIT_EXHAUSTED]
    assert worker.keeper.is_stopping


def test_alive_is_who_has_polled_or_claimed(held: Claim) -> None:
    worker = Worker()
    worker._show_life()
    assert not WorkerProcess.objects.exists(), "it only ticks"
    with worker.keeper.keeping(held):
        pass
    worker._show_life()
    before = timezone.now() - timedelta(seconds=20)
    WorkerProcess.objects.update(polled_at=before)
    worker._show_life()
    assert WorkerProcess.objects.get().polled_at == before
    worker._sweep()
    worker._show_life()
    assert WorkerProcess.objects.get().polled_at > before


def test_suspects_run_one_after_the_other_in_their_process(
    held: Claim, member: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Task.objects.get().agent
    for _task in range(3):
        services.submit(owner=member, agent=agent, input="x")
    Task.objects.filter(status="queued").update(is_suspect=True)
    assert services.claim(queues=[QUEUE], worker="tests") is None
    seen: list[str] = []

    def run(claim: Claim, keeper: Keeper) -> None:
        seen.extend(run.claim.task_id.hex for run in keeper.runs())
        assert claim.is_alone
        services.succeed(claim=claim, result=None)

    monkeypatch.setattr("agents.worker.runs.run", run)
    assert alone.run_suspects(keeper=Keeper(), queues=[QUEUE], worker="worker-1") == 3
    assert seen == []
    workers = Attempt.objects.filter(task__is_suspect=True).values_list("worker", flat=True)
    assert {*workers} == {f"worker-1-alone-{os.getpid()}"}


def test_a_process_is_started_only_when_there_is_a_suspect(held: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    class Started:
        def __init__(self, command: list[str], **_options: Any) -> None:
            started.append(command)

        def poll(self) -> None:
            return None

        def send_signal(self, number: int) -> None:
            started.append([str(number)])

    monkeypatch.setattr("agents.worker.alone.subprocess.Popen", Started)
    beside = alone.Alone("worker-1")
    beside.run([QUEUE])
    assert started == []
    services.hand_back(claim=held)
    Task.objects.update(is_suspect=True)
    beside.run([QUEUE])
    beside.run([QUEUE])
    assert [command[3:] for command in started] == [["run_alone", "--worker", "worker-1", QUEUE]]
    beside.stop()
    assert started[-1] == ["15"]
    other = alone.Alone("worker-2")
    other.run([QUEUE])
    assert len(started) == 2, "it is left to the first"
    Task.objects.update(told_at=None)
    other.stop()
    other.run([QUEUE])
    assert len(started) == 2, "who stops starts nothing"


def test_every_worker_tends_the_audit_log(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: Queue[tuple[str, object]] = Queue()
    monkeypatch.setattr(Worker, "_repeat", lambda _self, name, _seconds, work: begun.put((name, work)))
    Worker().start(queues=["interactive"], threads=1)
    rounds = dict(begun.get(timeout=10) for _round in range(7))
    assert rounds["notary"] is seals.tend
