"""Circuit breakers of what has asked for a pause, and of what answers for long."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.conf import settings

from foundation import circuit_rules as rules
from foundation.breakers import CircuitOpen, Circuits, Permission, Transition
from foundation.circuit_rules import CLOSED, HALF_OPEN, OPEN, Circuit
from foundation.shared_state import LocalStore, RedisStore, Store
from tests.foundation.breaking import PATIENCE_SECONDS, POLICY, Clock, Counting, circuits_of, fail, is_refused


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Clocked(RedisStore):
    """Redis, by the clock of a test."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(settings.REDIS_URL, settings.REDIS_PREFIX, patience=PATIENCE_SECONDS)
        self._clock = clock

    def _known(self, names: list[str]) -> tuple[list[str], float]:
        return super()._known(names)[0], self._clock()


@pytest.mark.parametrize("store", [LocalStore, Clocked])
def test_after_the_time_that_was_asked_for_all_calls_go_through(store: Callable[[Clock], Store], clock: Clock) -> None:
    """Of all processes, and though none of the calls has come to its end."""
    kept, key, told = store(clock), uuid.uuid4().hex, list[Transition]()
    mine, others = (Circuits(store=kept, listener=told.append, fresh_seconds=0) for _number in range(2))
    mine.allow(key, POLICY).throttled(7, "429")
    clock.now += 6.9
    assert is_refused(mine, key)
    assert is_refused(others, key)
    clock.now += 0.1
    under_way = [each.allow(key, POLICY) for each in (mine, others) for _number in range(5)]
    assert not any(each.is_probe for each in under_way)
    assert [(each.before, each.after) for each in told] == [(CLOSED, OPEN), (OPEN, CLOSED)]


def test_it_is_shown_as_closed_then_though_nobody_has_called(clock: Clock) -> None:
    circuits = circuits_of(clock)
    circuits.allow("k", POLICY).throttled(7, "429")
    clock.now += 8
    assert circuits.states(["k"])["k"] == Circuit(since=clock() - 1, closed_at=0.0)


def test_a_pause_is_no_failure_and_forgives_none(clock: Clock) -> None:
    circuits = circuits_of(clock)
    fail(circuits, times=2)
    circuits.allow("k", POLICY).throttled(1, "429")
    clock.now += 1
    assert not is_refused(circuits)
    fail(circuits)
    assert circuits.states(["k"])["k"].openings == 1


def test_what_had_failed_needs_its_probe_after_a_pause_too(clock: Clock) -> None:
    circuits = circuits_of(clock)
    fail(circuits, times=3)
    clock.now += 10
    circuits.allow("k", POLICY).throttled(7, "429")
    clock.now += 7
    assert circuits.allow("k", POLICY).is_probe
    assert is_refused(circuits)


def test_a_second_pause_begins_anew_when_the_first_is_over(clock: Clock) -> None:
    circuits = circuits_of(clock)
    slow = circuits.allow("k", POLICY)
    circuits.allow("k", POLICY).throttled(1, "429")
    clock.now += 5
    slow.throttled(2, "again")
    assert circuits.states(["k"])["k"].since == clock()
    clock.now += 2
    assert not is_refused(circuits)
    assert not circuits.allow("k", POLICY).is_probe


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_pause_at_all_refuses_nobody_and_is_not_written_down(seconds: float, clock: Clock) -> None:
    told: list[Transition] = []
    circuits = circuits_of(clock, told)
    for _time in range(100):
        circuits.allow("k", POLICY).throttled(seconds, "429")
    assert not is_refused(circuits)
    assert (told, circuits.states(["k"])["k"]) == ([], Circuit())


def test_a_probe_that_is_told_to_wait_no_time_at_all_gives_back_its_place(clock: Clock) -> None:
    circuits = circuits_of(clock)
    _probe(circuits, clock).throttled(0, "429")
    assert circuits.allow("k", POLICY).is_probe


def test_pauses_do_not_keep_openings_long(clock: Clock) -> None:
    circuits = circuits_of(clock)
    circuits.take("k", lambda _it, now: Circuit(since=now, openings=5))
    for _time in range(int(POLICY.longest / 20)):
        circuits.allow("k", POLICY).throttled(1, "429")
        clock.now += 20
        assert not is_refused(circuits)
    fail(circuits, times=3)
    assert circuits.states(["k"])["k"].openings == 1


def test_but_after_a_short_quiet_time_they_are_long_whatever_was_paused(clock: Clock) -> None:
    """The control."""
    circuits = circuits_of(clock)
    circuits.take("k", lambda _it, now: Circuit(since=now, openings=5))
    circuits.allow("k", POLICY).throttled(1, "429")
    clock.now += POLICY.longest - 1
    fail(circuits, times=3)
    assert circuits.states(["k"])["k"].openings == 6


@pytest.mark.parametrize("has_anybody_asked", [True, False])
def test_calls_that_began_before_a_pause_count_when_they_fail_after_it(has_anybody_asked: object, clock: Clock) -> None:
    circuits = circuits_of(clock)
    slow = [circuits.allow("k", POLICY) for _number in range(3)]
    circuits.allow("k", POLICY).throttled(1, "429")
    clock.now += 1
    assert not (has_anybody_asked and is_refused(circuits))
    for permission in slow:
        permission.failed("timed out at last")
    assert circuits.states(["k"])["k"].openings == 1


def test_what_older_and_newer_processes_have_written_is_read() -> None:
    older = '{"state":"open","since":5,"until":9,"why":"429","openings":0,"run":0,"window":[[5,1,1]],"probes":[]}'
    assert Circuit.read(older) == Circuit(state=OPEN, since=5, until=9, why="429", window=((5, 1, 1),))
    newer = json.dumps(json.loads(older) | {"of_tomorrow": 1})
    assert Circuit.read(newer) == Circuit.read(older)
    assert "is_throttled" not in json.loads(Circuit().written())
    throttled = replace(Circuit.read(older), is_throttled=True)
    assert Circuit.read(throttled.written()) == throttled
    assert "closed_at" not in json.loads(throttled.written())
    for closed_at in (0.0, 4.5):
        paused = replace(throttled, closed_at=closed_at)
        assert Circuit.read(paused.written()) == paused


def _probe(circuits: Circuits, clock: Clock) -> Permission:
    """The first call after it has opened."""
    fail(circuits, times=3)
    clock.now += 10
    return circuits.allow("k", POLICY)


def test_others_go_through_when_a_probe_is_being_answered(clock: Clock) -> None:
    circuits = circuits_of(clock)
    probe = _probe(circuits, clock)
    assert is_refused(circuits)
    probe.begun()
    assert not any(is_refused(circuits) for _number in range(5))
    assert circuits.states(["k"])["k"].state == CLOSED


def test_a_probe_whose_answer_breaks_off_opens_it_again_for_longer(clock: Clock) -> None:
    circuits = circuits_of(clock)
    probe = _probe(circuits, clock)
    probe.begun()
    probe.failed("it broke off")
    found = circuits.states(["k"])["k"]
    assert (found.state, found.openings) == (OPEN, 2)
    assert found.until - clock() >= POLICY.open_seconds


def test_after_an_answer_to_the_end_it_is_closed_as_any_other(clock: Clock) -> None:
    circuits = circuits_of(clock)
    probe = _probe(circuits, clock)
    probe.begun()
    probe.succeeded()
    fail(circuits)
    assert not is_refused(circuits)


def test_after_an_answer_to_the_end_other_processes_know_it_as_closed_as_any_other(clock: Clock) -> None:
    store = Counting(clock)
    mine, others = (Circuits(store=store, fresh_seconds=0) for _number in range(2))
    probe = _probe(mine, clock)
    probe.begun()
    before = store.visits
    probe.succeeded()
    assert store.visits == before + 1
    clock.now += 3600
    fail(others)
    assert not is_refused(others)


def test_a_probe_that_has_only_begun_is_one_failure_from_opening_for_other_processes_too(clock: Clock) -> None:
    """The control."""
    store = LocalStore(clock)
    mine, others = (Circuits(store=store, fresh_seconds=0) for _number in range(2))
    _probe(mine, clock).begun()
    fail(others)
    assert is_refused(others)


def test_a_probe_that_lost_its_word_does_not_close_it_by_beginning(clock: Clock) -> None:
    circuits = circuits_of(clock)
    lost = _probe(circuits, clock)
    clock.now += POLICY.probe_seconds
    circuits.allow("k", POLICY).failed("still broken")
    lost.begun()
    lost.failed("late")
    found = circuits.states(["k"])["k"]
    assert (found.state, found.openings) == (OPEN, 2)


def test_to_have_begun_means_nothing_for_a_call_that_is_no_probe(clock: Clock) -> None:
    circuits = circuits_of(clock)
    permission = circuits.allow("k", POLICY)
    permission.begun()
    permission.failed("it broke")
    assert circuits.states(["k"])["k"] == Circuit(run=1, window=((int(clock()), 1, 1),))


def test_no_probe_keeps_its_place_for_longer_than_the_longest_may(clock: Clock) -> None:
    circuit = Circuit(state=OPEN, until=clock())
    asked = rules.asked(circuit, clock(), POLICY, token="t", seconds=86_400)
    assert (asked.state, asked.probes) == (HALF_OPEN, (("t", clock() + POLICY.longest_probe),))
    circuits = circuits_of(clock)
    circuits.take("k", lambda _it, _now: asked)
    with pytest.raises(CircuitOpen):
        circuits.allow("k", POLICY)
    clock.now += POLICY.longest_probe
    assert circuits.allow("k", POLICY).is_probe
