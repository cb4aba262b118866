"""Workers that are killed, frozen and restarted: nothing that was accepted is lost, nothing is done twice."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.chaos.audit import Audit
from tests.chaos.harness import FULL_SIZE, LEASE_SECONDS, Fleet, Member, say, sized, until
from tests.chaos.posts import Posts
from tests.parts.chaos.agents import BRANCHES, LONG

pytestmark = pytest.mark.timeout(900 if FULL_SIZE else 240)

SHORT = ("one", "two")
LONG_STEPS = tuple(f"{n}" for n in range(1, LONG + 1))
WIDE_STEPS = tuple(f"{branch}{n}" for branch in BRANCHES for n in range(1, LONG + 1))
# After the lease of a worker that is gone, somebody has to notice it and somebody has to begin. Beside other tests only
# a gross regression fails.
NOTICE_SECONDS = 5 if FULL_SIZE else 30
# So many attempts at least were somebody else's by the time the frozen workers went on.
OVERTAKEN = sized(8, tenth=2)


def body(agent: str = "chaos-short", **given: Any) -> dict[str, Any]:
    """A request for a task whose steps leave a trace."""
    return {"agent": agent, "input": {"steps": [], **given}}


@contextmanager
def submitting(fleet: Fleet, count: int, wanted: Mapping[str, Any], *, per_second: float = 0) -> Iterator[Posts]:
    """Submits beside what happens in the block; all have been accepted when it ends."""
    posts = Posts(fleet)
    sender = threading.Thread(
        target=posts.send_all, args=([wanted] * count,), kwargs={"parallel": 4, "per_second": per_second}
    )
    sender.start()
    try:
        yield posts
    finally:
        sender.join()
    assert [post.answers for post in posts.all] == [[202]] * count


@pytest.mark.queueing
def test_killed_workers_lose_and_double_nothing(given_fleet: Fleet) -> None:
    fleet, chance = given_fleet, random.Random(1)
    count, kills = sized(2_000), sized(20)
    fleet.start_workers(3)
    fleet.wait_for_workers()
    with submitting(fleet, count, body(pause=0.1), per_second=40) as posts:
        for _ in range(kills):
            time.sleep(chance.uniform(0.8, 1.2) * count / 40 / kills)
            fleet.kill_worker(fleet.wait(lambda: _stop_in_the_middle(fleet, chance.choice(fleet.workers))))
            fleet.start_workers(1)
    fleet.wait_until_done(posts.tasks, within=120)
    audit = fleet.audit(posts.tasks)
    audit.assert_done_once(SHORT)
    assert len(audit.tasks) == count
    assert audit.outcomes()["crashed"] >= kills
    say(tasks=count, kills=kills, attempts=dict(audit.outcomes()))


def _stop_in_the_middle(fleet: Fleet, worker: Member) -> Member | None:
    """The worker, stopped while it holds a task, so that this cannot end before the kill; None if it held none, or
    also the lock that everybody else waits for.
    """
    worker.signal(signal.SIGSTOP)
    held = (
        "SELECT 1 FROM agents_tasks_attempt a JOIN agents_tasks_task t ON t.id = a.task_id "  # noqa: S608
        f"WHERE a.outcome = '' AND t.status = 'running' AND {_of([worker])}"
    )
    if fleet.rows(held) and fleet.takes_writes():
        return worker
    worker.signal(signal.SIGCONT)
    return None


@pytest.mark.once
def test_frozen_workers_double_nothing(given_fleet: Fleet) -> None:
    audit = _freeze(given_fleet)
    audit.assert_done_once(SHORT)
    # They were in the middle of something that others have meanwhile done.
    assert audit.outcomes()["crashed"] >= OVERTAKEN
    say(tasks=len(audit.tasks), attempts=dict(audit.outcomes()), doubled=len(audit.doubled))


@pytest.mark.once
def test_frozen_workers_would_double_without_the_fence(given_fleet: Fleet) -> None:
    audit = _freeze(given_fleet, faults="without-fence")
    assert len(audit.doubled) >= 1
    assert audit.lost == set()
    say(tasks=len(audit.tasks), attempts=dict(audit.outcomes()), doubled_without_the_fence=len(audit.doubled))


def _freeze(fleet: Fleet, *, faults: str = "") -> Audit:
    """Workers, one half of them after the other, are stopped for longer than their leases and then go on."""
    count, workers, halves = sized(900), sized(8, tenth=4), sized(2)
    fleet.start_workers(workers, faults=faults)
    fleet.wait_for_workers()
    tasks: list[str] = []
    for half in (fleet.workers[::2], fleet.workers[1::2])[:halves]:
        with submitting(fleet, count // halves, body(pause=0.4)) as posts:
            for worker in half:
                fleet.wait(lambda worker=worker: _stop_in_the_middle(fleet, worker))
            _wait_until_overtaken(fleet, half)
            for worker in half:
                worker.signal(signal.SIGCONT)
        tasks += posts.tasks
    fleet.wait_until_done(tasks, within=240)
    # Who was late has ended too; without the fence one can write over another's end, whose own then stays open.
    assert until(lambda: "" not in fleet.audit(tasks).outcomes(), within=20) or faults
    time.sleep(1)
    return fleet.audit(tasks)


def _wait_until_overtaken(fleet: Fleet, workers: list[Member]) -> None:
    """Until others have ended what these ran."""
    overtaken = (
        "SELECT 1 FROM agents_tasks_attempt a JOIN agents_tasks_task t ON t.id = a.task_id "  # noqa: S608
        f"WHERE a.outcome = 'crashed' AND t.status = 'succeeded' AND {_of(workers)}"
    )
    fleet.wait(lambda: len(fleet.rows(overtaken)) >= OVERTAKEN, within=90)


def _of(workers: list[Member]) -> str:
    """A condition: attempts of these."""
    like = (f"a.worker LIKE '%-{worker.pid}' OR a.worker LIKE '%-{worker.pid}-%'" for worker in workers)
    return f"({' OR '.join(like)})"


@pytest.mark.once
@pytest.mark.parametrize(("agent", "steps"), [("chaos-long", LONG_STEPS), ("chaos-wide", WIDE_STEPS)])
def test_a_graph_killed_in_any_step_goes_on_from_there(given_fleet: Fleet, agent: str, steps: tuple[str, ...]) -> None:
    fleet = given_fleet
    which = range(1, LONG + 1) if FULL_SIZE else (6,)
    prefix = "" if agent == "chaos-long" else BRANCHES[1]
    # One task at a time in each: a kill hits the task that asks for it alone.
    fleet.start_workers(sized(3, tenth=2), threads=1)
    fleet.wait_for_workers()
    undisturbed = fleet.submit(1, body(agent))
    deaths = {k: fleet.submit(1, body(agent, dies_in=f"{prefix}{k}"))[0] for k in which}
    everything = [*undisturbed, *deaths.values()]
    fleet.replace_the_dead_until(
        lambda: fleet.statuses(everything)["succeeded"] == len(everything), within=120, threads=1
    )
    audit = fleet.audit(everything)
    audit.assert_done_once(steps)
    assert len(audit.tasks) == len(which) + 1
    pauses = [_seconds_to_resume(audit, task, k) for k, task in deaths.items()]
    assert max(pauses) < LEASE_SECONDS + NOTICE_SECONDS
    say(deaths=len(pauses), longest_pause=f"{max(pauses):.1f} s")


def _seconds_to_resume(audit: Audit, task: str, k: int) -> float:
    """Between the death in step k and the second attempt; steps before k ran once."""
    made = audit.effects[task]
    earlier = [effect for effect in made if int(effect.step.lstrip("abcd")) < k]
    assert {effect.fence for effect in earlier} <= {1}
    assert len({effect.step for effect in earlier}) == len(earlier)
    assert [outcome for _, outcome in audit.attempts[task]] == ["crashed", "succeeded"]
    died = max(effect.at for effect in made if effect.fence == 1)
    return min(effect.at for effect in made if effect.fence == 2) - died


@pytest.mark.queueing
@pytest.mark.once
def test_graceful_restarts_lose_nothing_and_spend_no_attempt(given_fleet: Fleet) -> None:
    fleet = given_fleet
    restarts = sized(10, tenth=2)
    fleet.start_workers(3)
    fleet.wait_for_workers()
    with submitting(fleet, restarts * 30, body("chaos-long", pause=0.1), per_second=12) as posts:
        for _ in range(restarts):
            time.sleep(1.5)
            _restart(fleet)
    fleet.wait_until_done(posts.tasks, within=240)
    audit = fleet.audit(posts.tasks)
    audit.assert_done_once(LONG_STEPS)
    assert {(row["failures"], row["crashes"]) for row in audit.tasks.values()} == {(0, 0)}
    assert audit.outcomes().keys() == {"succeeded", "handed_back"}
    assert audit.outcomes()["handed_back"] >= restarts * 3
    say(tasks=len(audit.tasks), restarts=restarts, attempts=dict(audit.outcomes()))


def _restart(fleet: Fleet) -> None:
    """All workers are asked to stop, and new ones come."""
    old, fleet.workers = fleet.workers, []
    for worker in old:
        worker.signal(signal.SIGTERM)
    fleet.start_workers(len(old))
    # Whoever is told to stop before it has begun ends like any process.
    fleet.wait_for_workers()
    assert [worker.wait() for worker in old] == [0] * len(old)
