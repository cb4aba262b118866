"""Tasks that harm others, tasks that hang, tasks that are cancelled, tasks of one key: each ends as it should."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.chaos.audit import TERMINAL
from tests.chaos.harness import FULL_SIZE, LEASE_SECONDS, Fleet, say, sized
from tests.chaos.posts import TASKS
from tests.chaos.test_workers import SHORT, body

pytestmark = [pytest.mark.once, pytest.mark.timeout(900 if FULL_SIZE else 120)]

CANCEL_SECONDS = 5
# What a run that is over may take to be given up, and what notices that.
GRACE_SECONDS = 5 + 3


def test_a_task_that_kills_its_process_fails_alone(given_fleet: Fleet) -> None:
    fleet = given_fleet
    fleet.start_workers(2)
    fleet.wait_for_workers()
    good = fleet.submit(10, body(pause=0.5))
    status, poison = fleet.request("POST", TASKS, {**body("chaos-poison"), "max_attempts": 2, "priority": "high"})
    assert status == 202
    good += fleet.submit(10, body(pause=0.5))
    everything = [*good, poison["id"]]
    deaths = fleet.replace_the_dead_until(
        lambda: sum(fleet.statuses(everything)[status] for status in TERMINAL) == len(everything), within=90
    )
    audit = fleet.audit(good)
    audit.assert_done_once(SHORT)
    assert {(row["failures"], row["crashes"]) for row in audit.tasks.values()} == {(0, 0)}
    ended = fleet.audit([poison["id"]])
    row = ended.tasks[poison["id"]]
    assert (row["status"], row["error_type"], row["failures"], row["crashes"]) == ("failed", "WorkerLost", 0, 2)
    assert [outcome for _, outcome in ended.attempts[poison["id"]]] == ["crashed"] * 3
    assert deaths == 1, "it has killed one worker, and then only processes of its own"
    assert audit.outcomes()["crashed"] >= 1, "others ran beside it"
    say(good=len(good), attempts=dict(audit.outcomes()), workers_lost=deaths)


def test_a_task_that_hangs_fails_in_time_and_its_worker_goes_on(given_fleet: Fleet) -> None:
    fleet = given_fleet
    (worker,) = fleet.start_workers(1)
    fleet.wait_for_workers()
    began = time.monotonic()
    asked = {**body("chaos-hang"), "limits": {"seconds": 2}, "max_attempts": 1}
    hung = [fleet.request("POST", TASKS, asked)[1]["id"] for _ in range(2)]
    fleet.wait_until_done(hung, within=30)
    assert time.monotonic() - began < 2 + GRACE_SECONDS
    rows = fleet.audit(hung).tasks.values()
    assert {(row["status"], row["error_type"]) for row in rows} == {("failed", "TimeLimitReached")}
    good = fleet.submit(10, body())
    fleet.wait_until_done(good, within=30)
    fleet.audit(good).assert_done_once(SHORT)
    assert worker.code is None


def _cancel_and_time(fleet: Fleet, tasks: list[str], *, within: float) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        answers = Counter(pool.map(lambda task: fleet.request("POST", f"{TASKS}/{task}/cancel")[0], tasks))
    assert answers.keys() <= {200, 202}
    fleet.wait(lambda: fleet.statuses(tasks) == {"cancelled": len(tasks)}, within=within + 5)
    assert time.monotonic() - began < within


def _keyed(asked: dict[str, Any], keys: list[str], fleet: Fleet) -> list[str]:
    made = [fleet.request("POST", TASKS, asked | {"serial_key": key}) for key in keys]
    assert Counter(status for status, _ in made) == {202: len(keys)}
    return [task["id"] for _, task in made]


def _queued(fleet: Fleet, keys: list[str]) -> list[str]:
    return _keyed(body(), keys, fleet)


def _running(fleet: Fleet, keys: list[str]) -> list[str]:
    fleet.start_workers(1, threads=len(keys))
    tasks = _keyed(body("chaos-long", pause=1.0), keys, fleet)
    fleet.wait(lambda: fleet.statuses(tasks)["running"] == len(tasks), within=60)
    return tasks


def _with_a_dead_worker(fleet: Fleet, keys: list[str]) -> list[str]:
    tasks = _running(fleet, keys)
    fleet.dismiss_workers()
    return tasks


def _waiting_to_retry(fleet: Fleet, keys: list[str]) -> list[str]:
    fleet.start_workers(1)
    tasks = _keyed(body("chaos-patient"), keys, fleet)
    once = "SELECT count(*) FROM agents_tasks_task WHERE failures = 1 AND status = 'queued'"
    before = fleet.rows(once)[0][0]
    fleet.wait(lambda: fleet.rows(once)[0][0] >= min(before + len(tasks), len(tasks)), within=60)
    return tasks


def _waiting_for_approval(fleet: Fleet, keys: list[str]) -> list[str]:
    fleet.start_workers(1)
    tasks = _keyed({"agent": "chaos-asker", "input": "Order it."}, keys, fleet)
    fleet.wait(lambda: fleet.statuses(tasks)["waiting"] == len(tasks), within=60)
    return tasks


STATES: dict[str, tuple[Callable[[Fleet, list[str]], list[str]], float]] = {
    "queued": (_queued, CANCEL_SECONDS),
    "running": (_running, CANCEL_SECONDS),
    "waiting to retry": (_waiting_to_retry, CANCEL_SECONDS),
    "waiting for approval": (_waiting_for_approval, CANCEL_SECONDS),
    "with a dead worker": (_with_a_dead_worker, LEASE_SECONDS + CANCEL_SECONDS),
}


@pytest.mark.parametrize("state", STATES)
def test_a_cancel_ends_a_task_in_any_state_and_leaves_nothing_busy(given_fleet: Fleet, state: str) -> None:
    fleet, (bring, within) = given_fleet, STATES[state]
    keys = [uuid.uuid4().hex for _ in range(sized(20, tenth=4))]
    tasks = bring(fleet, keys)
    # Somebody has to notice that a worker is gone.
    if state == "with a dead worker":
        fleet.start_workers(1)
    _cancel_and_time(fleet, tasks, within=within)
    if state == "queued":
        fleet.start_workers(1)
    # The key is free again: what comes next runs.
    after = _keyed(body(), keys, fleet)
    fleet.wait_until_done(after, within=30)
    fleet.audit(after).assert_done_once(SHORT)
    assert fleet.request("GET", "/api/v1/approvals?open=true")[1]["results"] == []


@pytest.mark.parametrize("if_busy", ["queue", "reject", "interrupt", "rollback"])
def test_two_messages_to_one_key_keep_to_the_policy_every_time(given_fleet: Fleet, if_busy: str) -> None:
    fleet, pairs = given_fleet, sized(100)
    fleet.start_workers(2)
    fleet.wait_for_workers()
    start = threading.Barrier(8)

    def send(number: int) -> tuple[int, str]:
        if number < 8:
            start.wait(30)
        asked = {**body("chaos-short", pause=0.8), "serial_key": f"{if_busy}-{number // 2}", "if_busy": if_busy}
        status, answer = fleet.request("POST", TASKS, asked)
        return status, answer.get("id", "")

    with ThreadPoolExecutor(8) as pool:
        sent = [*pool.map(send, range(2 * pairs))]
    accepted = [task for status, task in sent if status == 202]
    fleet.wait_until_done(accepted, within=120)
    by_key = [
        Counter(fleet.statuses([task for _, task in pair if task])) for pair in zip(sent[::2], sent[1::2], strict=True)
    ]
    expected: dict[str, list[dict[str, int]]] = {
        "queue": [{"succeeded": 2}],
        # A first one that has ended already is not busy: both may run.
        "reject": [{"succeeded": 1}, {"succeeded": 2}],
        "interrupt": [{"succeeded": 1, "cancelled": 1}, {"succeeded": 2}],
        "rollback": [{"succeeded": 1, "cancelled": 1}, {"succeeded": 2}],
    }
    assert all(dict(found) in expected[if_busy] for found in by_key), by_key
    assert sum(found["succeeded"] for found in by_key) >= pairs
    if if_busy == "queue":
        assert Counter(status for status, _ in sent) == {202: 2 * pairs}
    else:
        # Sent at the same moment, most pairs did meet.
        met = sum(found["succeeded"] == 1 for found in by_key)
        assert met >= pairs / 2, by_key
    if if_busy == "reject":
        assert {status for status, _ in sent} == {202, 409}
    _never_two_at_once(fleet, accepted)


def _never_two_at_once(fleet: Fleet, tasks: list[str]) -> None:
    """The attempts of one key do not overlap."""
    wanted = set(tasks)
    rows = fleet.rows(
        "SELECT t.id, t.serial_key, a.started_at, a.ended_at FROM agents_tasks_attempt a"
        " JOIN agents_tasks_task t ON t.id = a.task_id"
    )
    by_key: dict[str, list[tuple[Any, Any]]] = {}
    for task, key, started, ended in rows:
        if str(uuid.UUID(str(task))) in wanted:
            by_key.setdefault(key, []).append((started, ended))
    assert by_key
    for spans in by_key.values():
        spans.sort()
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans)), spans
