"""Who waits and who goes first, on every broker."""

from __future__ import annotations

import pytest

from tests.chaos.harness import FULL_SIZE, Fleet, until
from tests.chaos.posts import Posts
from tests.chaos.test_workers import body

pytestmark = [pytest.mark.once, pytest.mark.timeout(600 if FULL_SIZE else 240)]

LOW, HIGH = 200, 20
# So many urgent ones always wait.
WAITING = 20
THREADS = 2


@pytest.mark.queueing
def test_what_is_urgent_starts_before_everything_that_waits(given_fleet: Fleet) -> None:
    fleet = given_fleet
    fleet.start_workers(1, threads=THREADS)
    fleet.wait_for_workers()
    low = fleet.submit(LOW, body(gate="open") | {"priority": "low"})
    fleet.wait(lambda: fleet.statuses(low)["running"] == THREADS)
    high = fleet.submit(HIGH, body() | {"priority": "high"})
    (fleet.home / "open").touch()
    fleet.wait_until_done([*low, *high], within=120)
    fleet.audit([*low, *high]).assert_done_once(("one", "two"))
    begun = [task for task in fleet.claimed() if task in {*low, *high}]
    assert set(begun[:THREADS]) <= set(low)
    assert set(begun[THREADS : THREADS + HIGH]) == set(high)
    assert set(begun[THREADS + HIGH :]) <= set(low)


def test_what_is_not_urgent_gets_its_turn_under_constant_urgent_load(given_fleet: Fleet) -> None:
    """A priority is worth a second here instead of ten minutes: an hour of load in a few seconds."""
    fleet = given_fleet
    assert fleet.web is not None
    fleet.web.kill()
    fleet.start_web("head-starts=1")
    try:
        fleet.start_workers(1, threads=THREADS)
        fleet.wait_for_workers()
        high = Posts(fleet)
        high.send_all([body(pause=0.05) | {"priority": "high"}] * WAITING, parallel=4)
        low = fleet.submit(20, body() | {"priority": "low"})

        def are_done_under_load() -> bool:
            waiting = fleet.statuses(high.tasks)["queued"]
            # Always more that is urgent than the worker gets done.
            high.send_all([body(pause=0.05) | {"priority": "high"}] * max(0, WAITING - waiting), parallel=4)
            return fleet.statuses(low)["succeeded"] == len(low)

        assert until(are_done_under_load, within=60)
        assert fleet.statuses(high.tasks)["queued"] >= WAITING // 4
        begun = fleet.claimed()
        # Those that were there first went first, and some that came later had to wait for their turn.
        assert begun.index(high.tasks[0]) < min(begun.index(task) for task in low)
        fleet.wait_until_done(high.tasks, within=60)
        fleet.audit([*low, *high.tasks]).assert_done_once(("one", "two"))
    finally:
        fleet.web.kill()
        fleet.start_web()
