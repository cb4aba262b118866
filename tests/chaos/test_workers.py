"""Workers that are killed, frozen and restarted: nothing that was accepted is lost, nothing is done twice."""

from __future__ import annotations

import random
import time

import pytest

from tests.chaos.harness import Fleet, sized

SHORT = ("one", "two")


@pytest.mark.queueing
@pytest.mark.timeout(900)
def test_killed_workers_lose_and_double_nothing(given_fleet: Fleet) -> None:
    fleet, chance = given_fleet, random.Random(1)
    count, kills = sized(2_000), sized(20)
    fleet.start_workers(3)
    fleet.wait_for_workers()
    body = {"agent": "chaos-short", "input": {"pause": 0.05, "steps": []}}
    tasks = fleet.submit(count, body)
    for _ in range(kills):
        time.sleep(chance.uniform(0.2, 1.0))
        fleet.kill_worker(chance.choice(fleet.workers))
        fleet.start_workers(1)
    fleet.wait_until_done(tasks, within=300)
    audit = fleet.audit(tasks)
    audit.assert_done_once(SHORT)
    print(audit.outcomes())
