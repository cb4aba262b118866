"""A broker that forgets everything, and one that is away: the rows are the truth, messages are bells."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.audit import TERMINAL
from tests.chaos.brokers import Broker, breakable
from tests.chaos.harness import FULL_SIZE, Fleet, database, fleet, say, sized, until
from tests.chaos.posts import TASKS, Posts
from tests.chaos.test_workers import body

pytestmark = [pytest.mark.once, pytest.mark.queueing, pytest.mark.timeout(600 if FULL_SIZE else 240)]

PER_SECOND = 20
BACK_SECONDS = 30
BURSTS = 4


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Broker]]:
    home = tmp_path_factory.mktemp("broker")
    with breakable(home) as (broker, names), database() as rows, fleet(home, **names, **rows) as found:
        yield found, broker


@pytest.fixture(autouse=True)
def _alone(broken: tuple[Fleet, Broker]) -> Iterator[None]:
    yield
    broken[0].dismiss_workers()


def test_a_broker_that_forgets_everything_loses_nothing(broken: tuple[Fleet, Broker]) -> None:
    fleet, broker = broken
    tasks = _forget_and_kill(fleet, broker, faults="")
    fleet.wait_until_done(tasks, within=180)
    audit = fleet.audit(tasks)
    audit.assert_done_once(("one", "two"))
    assert len(audit.tasks) == sized(600)
    assert audit.outcomes()["crashed"] >= 1
    say(tasks=len(audit.tasks), attempts=dict(audit.outcomes()))


def test_a_broker_that_forgets_everything_would_lose_much_without_the_sweeper(
    broken: tuple[Fleet, Broker],
) -> None:
    fleet, broker = broken
    tasks = _forget_and_kill(fleet, broker, faults="without-sweeper")
    # The worker is idle, and will be.
    assert not until(lambda: _waiting(fleet, tasks) < sized(100), within=15 if FULL_SIZE else 4)
    say(tasks=len(tasks), lost_without_the_sweeper=_waiting(fleet, tasks))
    _clear_away(fleet, tasks)


def _clear_away(fleet: Fleet, tasks: list[str]) -> None:
    """So that the next test finds nothing in its way."""
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda task: fleet.request("POST", f"{TASKS}/{task}/cancel")[0], tasks)
        assert {*answers} <= {200, 202, 409}


def _waiting(fleet: Fleet, tasks: list[str]) -> int:
    statuses = fleet.statuses(tasks)
    return len(tasks) - sum(statuses[status] for status in TERMINAL)


def _forget_and_kill(fleet: Fleet, broker: Broker, *, faults: str) -> list[str]:
    """Four bursts of tasks, whose bells are lost; in two of them the worker is killed before and comes back after."""
    burst = sized(600) // BURSTS
    tasks: list[str] = []

    def are_being_done() -> int:
        return fleet.statuses(tasks)["running"]

    fleet.start_workers(1, faults=faults)
    fleet.wait_for_workers()
    for number in range(BURSTS):
        is_killed = number % 2 == 1
        if is_killed:
            fleet.wait(are_being_done)
            fleet.dismiss_workers()
        tasks += fleet.submit(burst, body(pause=0.2), parallel=4)
        broker.empty(fleet)
        if is_killed:
            fleet.start_workers(1, faults=faults)
            fleet.wait_for_workers()
    return tasks


def test_a_broker_that_is_away_refuses_nobody_and_work_goes_on_when_it_is_back(broken: tuple[Fleet, Broker]) -> None:
    fleet, broker = broken
    away = sized(30, tenth=4)
    workers = fleet.start_workers(2)
    fleet.wait_for_workers()
    posts = Posts(fleet)
    count = (away + 3) * PER_SECOND
    crowd = threading.Thread(
        target=posts.send_all, args=([body()] * count,), kwargs={"parallel": 8, "per_second": PER_SECOND}
    )
    crowd.start()
    time.sleep(1)
    broker.stop()
    time.sleep(away)
    broker.start()
    back = time.monotonic()
    crowd.join()
    assert [post.answers for post in posts.all] == [[202]] * count
    fleet.wait_until_done(posts.tasks, within=BACK_SECONDS)
    finished = time.monotonic() - back
    assert finished < BACK_SECONDS
    assert [worker.code for worker in workers] == [None, None]
    fleet.audit(posts.tasks).assert_done_once(("one", "two"))
    # And they still hear bells, without the sweeper's help: it waits ten seconds before it rings again.
    after = fleet.submit(20, body())
    fleet.wait_until_done(after, within=8)
    slowest = max(post.seconds for post in posts.all)
    say(tasks=count, away=f"{away} s", all_done_after=f"{finished:.1f} s", slowest_answer=f"{slowest * 1000:.0f} ms")
