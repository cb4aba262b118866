"""Circuit breakers: the rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from foundation import circuit_rules as rules
from foundation.breakers import FRESH_SECONDS, CircuitOpen, Circuits, Transition
from foundation.circuit_rules import CLOSED, HALF_OPEN, OPEN, Circuit
from foundation.shared_state import LocalStore
from tests.foundation.breaking import POLICY, Clock, Counting, circuits_of, fail, is_refused


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_opens_after_so_many_failures_and_says_why_and_for_how_long(clock: Clock) -> None:
    told: list[Transition] = []
    circuits = circuits_of(clock, told)
    fail(circuits, times=2)
    assert not is_refused(circuits)
    fail(circuits)
    with pytest.raises(CircuitOpen) as refused:
        circuits.allow("k", POLICY)
    assert 5 <= refused.value.retry_after <= 10
    assert refused.value.why == "it broke"
    assert [(each.before, each.after, each.why) for each in told] == [(CLOSED, OPEN, "it broke")]


def test_failures_that_are_few_among_many_calls_do_not_open_it(clock: Clock) -> None:
    circuit = rules.counted(Circuit(), clock(), POLICY, calls=100)
    for number in range(20):
        circuit = rules.counted(rules.failed(circuit, clock(), POLICY, why="x", chance=0), clock(), POLICY, calls=4)
        assert circuit.state == CLOSED, number


def test_failures_that_have_fallen_out_of_the_window_do_not_count(clock: Clock) -> None:
    circuits = circuits_of(clock)
    fail(circuits, times=2)
    circuits.allow("k", POLICY).succeeded()
    clock.now += 31
    circuits.take("k", lambda it, now: rules.counted(it, now, POLICY, calls=1))
    fail(circuits, times=2)
    assert not is_refused(circuits)


def test_so_many_failures_in_a_row_open_it_however_slowly_they_come(clock: Clock) -> None:
    circuits = circuits_of(clock)
    for _time in range(3):
        fail(circuits)
        clock.now += 100
    assert circuits.states(["k"])["k"].state == OPEN


def test_one_probe_at_a_time_decides_whether_it_closes(clock: Clock) -> None:
    told: list[Transition] = []
    circuits = circuits_of(clock, told)
    fail(circuits, times=3)
    clock.now += 10
    probe = circuits.allow("k", POLICY)
    assert probe.is_probe
    assert is_refused(circuits)
    probe.succeeded()
    assert not is_refused(circuits)
    assert [each.after for each in told] == [OPEN, HALF_OPEN, CLOSED]


def test_a_failed_probe_opens_it_for_longer_and_at_most_for_the_longest_time() -> None:
    now, circuit, lengths = 0.0, Circuit(), []
    for number in range(6):
        circuit = rules.asked(circuit, now, POLICY, token=f"t{number}")
        assert circuit.state == CLOSED or rules.is_probe(circuit, f"t{number}")
        token = f"t{number}" if number else ""
        for _time in range(1 if token else 3):
            circuit = rules.failed(circuit, now, POLICY, why="x", chance=0, token=token)
        lengths.append(circuit.until - now)
        now = circuit.until
    assert lengths == [10, 20, 40, 60, 60, 60]


def test_chance_leaves_out_up_to_half_of_the_time() -> None:
    ends = {
        rules.failed(Circuit(run=2), 0, POLICY, why="x", chance=chance).until for chance in (0.0, 0.5, 1.0)
    }  # fmt: skip
    assert ends == {10.0, 7.5, 5.0}


def test_after_a_long_quiet_time_openings_are_short_again() -> None:
    worn = Circuit(since=0, openings=5, run=2)
    assert rules.failed(worn, 10, POLICY, why="x", chance=0).until == 10 + 60
    assert rules.failed(worn, 61, POLICY, why="x", chance=0).until == 61 + 10


def test_the_place_of_a_probe_that_never_came_back_frees_itself(clock: Clock) -> None:
    circuits = circuits_of(clock)
    fail(circuits, times=3)
    clock.now += 10
    circuits.allow("k", POLICY)
    assert is_refused(circuits)
    clock.now += 20
    assert circuits.allow("k", POLICY).is_probe


def test_a_probe_that_takes_longer_than_its_place_is_kept_closes_it_when_it_is_back(clock: Clock) -> None:
    circuits = circuits_of(clock)
    fail(circuits, times=3)
    clock.now += 10
    slow = circuits.allow("k", POLICY)
    for _time in range(rules.MOST_LATE - 1):
        clock.now += 20
        assert circuits.allow("k", POLICY).is_probe
    slow.succeeded()
    assert circuits.states(["k"])["k"].state == CLOSED


def test_a_probe_that_says_how_long_it_may_take_has_its_place_for_so_long(clock: Clock) -> None:
    circuits = circuits_of(clock)
    fail(circuits, times=3)
    clock.now += 10
    for seconds in (POLICY.probe_seconds / 10, POLICY.longest_probe - 1):
        assert circuits.allow("k", POLICY, seconds=seconds).is_probe
        clock.now += seconds - 0.001
        assert is_refused(circuits)
        clock.now += 0.001
    assert circuits.allow("k", POLICY).is_probe


def test_a_late_word_of_a_lost_probe_changes_nothing(clock: Clock) -> None:
    circuits = circuits_of(clock)
    fail(circuits, times=3)
    clock.now += 10
    lost = circuits.allow("k", POLICY)
    clock.now += 20
    circuits.allow("k", POLICY).failed("still broken")
    lost.succeeded()
    assert circuits.states(["k"])["k"].state == OPEN


def test_what_was_throttled_is_left_alone_for_exactly_that_time(clock: Clock) -> None:
    circuits = circuits_of(clock)
    circuits.allow("k", POLICY).throttled(7, "429")
    assert circuits.states(["k"])["k"].until == clock() + 7
    assert is_refused(circuits)
    assert not is_refused(circuits, "other")
    clock.now += 7
    assert not is_refused(circuits)


def test_what_says_nothing_about_the_other_side_does_not_count(clock: Clock) -> None:
    circuits = circuits_of(clock)
    for _time in range(20):
        circuits.allow("k", POLICY).ignored()
    assert circuits.states(["k"])["k"].calls == 0


def test_only_the_first_word_of_a_call_is_heard(clock: Clock) -> None:
    circuits = circuits_of(clock)
    permission = circuits.allow("k", POLICY)
    permission.ignored()
    for _time in range(5):
        permission.failed("again")
    assert circuits.states(["k"])["k"].failures == 0


def test_an_operator_holds_it_open_and_closed(clock: Clock) -> None:
    held: dict[str, str] = {"k": OPEN}
    circuits = circuits_of(clock, forced=lambda: held)
    assert is_refused(circuits)
    held["k"] = CLOSED
    fail(circuits, times=10)
    assert not is_refused(circuits)
    held.clear()
    assert is_refused(circuits)


def test_closed_or_open_it_costs_a_visit_only_now_and_then(clock: Clock) -> None:
    store = Counting(clock)
    circuits = Circuits(store=store, fresh_seconds=60)
    for _time in range(200):
        circuits.allow("k", POLICY).succeeded()
    assert store.visits == 1
    circuits.take("k", lambda it, now: replace(it, state=OPEN, until=now + 50))
    assert [is_refused(circuits) for _time in range(200)] == [True] * 200
    assert store.visits == 2


def test_what_a_process_knows_is_looked_at_again_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("foundation.breakers.time.monotonic", lambda: now[0])
    store = LocalStore()
    mine, other = Circuits(store=store), Circuits(store=store)
    assert not is_refused(other)
    fail(mine, times=3)
    assert not is_refused(other)
    now[0] += FRESH_SECONDS
    assert is_refused(other)


def mixed(circuits: Circuits, *, calls: int) -> int:
    """Every tenth of these calls fails; how many got through."""
    for number in range(calls):
        try:
            permission = circuits.allow("k", POLICY)
        except CircuitOpen:
            return number
        permission.failed("it broke") if number % 10 == 9 else permission.succeeded()
    return calls


def test_a_tenth_that_fails_does_not_open_it_however_many_calls_there_are() -> None:
    assert mixed(Circuits(store=LocalStore(), fresh_seconds=60), calls=1000) == 1000


def test_that_is_so_because_what_went_well_is_told_before_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Circuits, "_untold", lambda *_: 0)
    assert mixed(Circuits(store=LocalStore(), fresh_seconds=60), calls=1000) < 100


def test_where_there_is_much_traffic_a_few_failures_in_a_row_are_chance_and_many_are_not() -> None:
    circuit, opened = rules.counted(Circuit(), 0, POLICY, calls=1000), []
    for _time in range(POLICY.busy):
        circuit = rules.failed(circuit, 0, POLICY, why="x", chance=0)
        opened.append(circuit.state == OPEN)
    assert opened == [False] * (POLICY.busy - 1) + [True]


def test_calls_that_began_before_it_opened_do_not_open_it_again(clock: Clock) -> None:
    circuits = circuits_of(clock)
    slow = [circuits.allow("k", POLICY) for _number in range(10)]
    fail(circuits, times=3)
    clock.now += 10
    circuits.allow("k", POLICY).succeeded()
    for permission in slow:
        permission.failed("timed out at last")
    assert circuits.states(["k"])["k"] == Circuit(since=clock(), openings=1)
    fail(circuits, times=3)
    assert is_refused(circuits)


def test_every_time_is_by_chance_between_half_and_the_whole(clock: Clock) -> None:
    circuits, lengths = circuits_of(clock), list[float]()
    for whole in (10, 20, 40, 60, 60):
        if lengths:
            circuits.allow("k", POLICY).failed("still broken")
        else:
            fail(circuits, times=3)
        lengths.append((circuits.states(["k"])["k"].until - clock()) / whole)
        clock.now += whole
    assert all(0.5 <= length <= 1 for length in lengths)
    assert len(set(lengths)) == 5


def test_who_was_throttled_waits_no_less_for_a_shorter_word(clock: Clock) -> None:
    circuits = circuits_of(clock)
    first, second, third = (circuits.allow("k", POLICY) for _number in range(3))
    began = clock()
    first.throttled(7, "429")
    clock.now += 1
    second.throttled(2, "shorter")
    assert circuits.states(["k"])["k"] == Circuit(
        state=OPEN, since=began, until=began + 7, why="429", is_throttled=True, closed_at=0.0
    )
    third.throttled(20, "longer")
    assert circuits.states(["k"])["k"].until == began + 21


def test_what_a_listener_raises_is_no_error_of_the_caller(clock: Clock) -> None:
    def listener(_transition: Transition) -> None:
        raise RuntimeError

    circuits = Circuits(store=LocalStore(clock), listener=listener)
    fail(circuits, times=3)
    assert is_refused(circuits)


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"ratio": 0}, {"window": 0}, {"probes": 0}, {"factor": 0.5}])
def test_a_policy_that_could_never_open_or_close_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no policy"):
        replace(POLICY, **wrong)
