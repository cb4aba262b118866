"""What tools do to other systems when their process dies at the worst moments."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.chaos.audit import TERMINAL
from tests.chaos.harness import FULL_SIZE, Fleet, say, sized
from tests.parts.chaos.effects import ORDER

pytestmark = [pytest.mark.once, pytest.mark.timeout(900 if FULL_SIZE else 240)]

CRASHES = sized(50, tenth=2)
DIES_IN_TOOL, DIES_AFTER_LEDGER = "dies-in-tool", "dies-after-ledger"


def crash_and_finish(fleet: Fleet, agent: str, fault: str) -> list[str]:
    """So many tasks whose first attempt kills its process at this moment; each is then taken up again."""
    fleet.start_workers(sized(6, tenth=2), threads=1, faults=fault)
    fleet.wait_for_workers()
    tasks = fleet.submit(CRASHES, {"agent": agent, "input": "Order it."})
    ends = (*TERMINAL, "needs_review")
    deaths = fleet.replace_the_dead_until(
        lambda: sum(fleet.statuses(tasks)[status] for status in ends) == CRASHES, within=600, threads=1, faults=fault
    )
    assert deaths == CRASHES, "each has killed the process of its first attempt"
    return tasks


def requests(fleet: Fleet, tasks: list[str]) -> dict[str, list[str]]:
    """The keys that the other system has seen, by task."""
    found: dict[str, list[str]] = {task: [] for task in tasks}
    for effect in fleet.effects():
        if effect.task in found:
            found[effect.task].append(effect.step.removeprefix(ORDER))
    return found


@pytest.mark.parametrize(("fault", "asked"), [(DIES_IN_TOOL, 2), (DIES_AFTER_LEDGER, 1)])
def test_a_service_that_counts_by_key_sees_one_effect_of_each_call(given_fleet: Fleet, fault: str, asked: int) -> None:
    tasks = crash_and_finish(given_fleet, "chaos-buyer", fault)
    assert given_fleet.statuses(tasks) == {"succeeded": CRASHES}
    seen = requests(given_fleet, tasks)
    # Caught in the middle it is asked again, with the same key; what is known to be done is not.
    assert Counter(len(keys) for keys in seen.values()) == {asked: CRASHES}
    assert len({key for keys in seen.values() for key in keys}) == CRASHES
    assert {len({*keys}) for keys in seen.values()} == {1}
    say(crashes=CRASHES, requests_a_call=asked, effects_a_call=1)


def test_a_call_that_may_be_made_once_and_is_caught_in_the_middle_needs_a_review(given_fleet: Fleet) -> None:
    tasks = crash_and_finish(given_fleet, "chaos-buyer-once", DIES_IN_TOOL)
    assert given_fleet.statuses(tasks) == {"needs_review": CRASHES}
    assert Counter(len(keys) for keys in requests(given_fleet, tasks).values()) == {1: CRASHES}
    rows = given_fleet.rows("SELECT error_type, error_message FROM agents_tasks_task WHERE status = 'needs_review'")
    assert Counter(error_type for error_type, _ in rows) == {"ToolCallUnfinished": CRASHES}
    assert all("order_once(order='Order it.')" in message for _, message in rows)
    assert given_fleet.rows("SELECT count(*) FROM agents_tools_toolcall WHERE state = 'needs_review'") == [(CRASHES,)]
    # A person decides, and it goes on from there.
    for task in tasks:
        decided = given_fleet.request("POST", f"/api/v1/tasks/{task}/review", {"decision": "fail"})
        assert decided[0] == 200, json.dumps(decided[1])
    assert given_fleet.statuses(tasks) == {"failed": CRASHES}


def test_a_call_that_may_be_made_once_and_is_known_to_be_done_is_not_made_again(given_fleet: Fleet) -> None:
    tasks = crash_and_finish(given_fleet, "chaos-buyer-once", DIES_AFTER_LEDGER)
    assert given_fleet.statuses(tasks) == {"succeeded": CRASHES}
    assert Counter(len(keys) for keys in requests(given_fleet, tasks).values()) == {1: CRASHES}


def test_control_without_the_ledger_effects_are_doubled(given_fleet: Fleet) -> None:
    tasks = crash_and_finish(given_fleet, "chaos-buyer-once", f"{DIES_IN_TOOL},without-ledger")
    assert given_fleet.statuses(tasks) == {"succeeded": CRASHES}
    assert sum(len(keys) > 1 for keys in requests(given_fleet, tasks).values()) >= 1
