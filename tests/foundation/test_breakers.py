"""Circuit breakers: the rules, and that all processes keep to them together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from foundation import circuit_rules as rules
from foundation.breakers import FRESH_SECONDS, CircuitOpen, Circuits, Transition
from foundation.circuit_rules import CLOSED, HALF_OPEN, OPEN, Circuit, Policy
from foundation.shared_state import Change, LocalStore, RedisStore, Rule
from mutirao.embedded import EmbeddedValkey

POLICY = Policy(failures=3, ratio=0.5, window=30, open_seconds=10, factor=2, longest=60, probes=1, probe_seconds=20)


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def circuits_of(clock: Clock, told: list[Transition] | None = None, **options: object) -> Circuits:
    listener = told.append if told is not None else None
    # What a process knows is good for no time: the clock of these tests is not the one that it would be good by.
    return Circuits(store=LocalStore(clock), listener=listener, fresh_seconds=0, **options)  # type: ignore[arg-type]


def fail(circuits: Circuits, key: str = "k", times: int = 1) -> None:
    for _time in range(times):
        circuits.allow(key, POLICY).failed("it broke")


def is_refused(circuits: Circuits, key: str = "k") -> bool:
    try:
        circuits.allow(key, POLICY).ignored()
    except CircuitOpen:
        return True
    return False


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


class Counting(LocalStore):
    """Counts the visits."""

    visits = 0

    def read(self, keys: Iterable[str]) -> tuple[dict[str, str], float]:
        self.visits += 1
        return super().read(keys)

    def change(self, key: str, rule: Rule) -> Change:
        self.visits += 1
        return super().change(key, rule)


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


# Together


# A busy machine makes Redis slow; these tests are about many processes, not about that.
PATIENCE_SECONDS = 10


def _store() -> RedisStore:
    return RedisStore(settings.REDIS_URL, settings.REDIS_PREFIX, patience=PATIENCE_SECONDS)


def _in_processes(count: int, target: Callable[..., None], *args: object) -> list[object]:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    processes = [context.Process(target=target, args=(queue, *args)) for _number in range(count)]
    for process in processes:
        process.start()
    found = [queue.get() for _process in processes]
    for process in processes:
        process.join(20)
    return found


class Timed(RedisStore):
    """By a clock that stands where it is put."""

    now = 1_000_000.0

    def __init__(self) -> None:
        super().__init__(settings.REDIS_URL, settings.REDIS_PREFIX, patience=PATIENCE_SECONDS)

    def _known(self, names: list[str]) -> tuple[list[str], float]:
        return super()._known(names)[0], self.now


def _ask(queue: object, key: str, times: int, policy: Policy) -> None:
    circuits = Circuits(store=_store())
    granted = 0
    for _time in range(times):
        try:
            granted += circuits.allow(key, policy).is_probe
        except CircuitOpen:
            continue
    queue.put(granted)  # type: ignore[attr-defined]


def test_one_process_opens_it_for_all() -> None:
    key, mine, others = uuid.uuid4().hex, Circuits(store=_store()), Circuits(store=_store())
    fail(mine, key, times=3)
    assert is_refused(others, key)


@pytest.mark.parametrize("places", [1, 2, 5])
def test_three_processes_share_the_places_for_probes(places: int) -> None:
    key, circuits = uuid.uuid4().hex, Circuits(store=_store())
    circuits.take(key, lambda it, now: Circuit(state=OPEN, since=now, until=now - 1, openings=1))
    granted = _in_processes(3, _ask, key, 50, replace(POLICY, probes=places))
    assert sum(granted) == places  # type: ignore[arg-type]


def _probe_and_die(queue: object, key: str) -> None:
    queue.put(Circuits(store=Timed()).allow(key, POLICY).is_probe)  # type: ignore[attr-defined]
    os._exit(1)


def test_the_place_of_a_process_that_died_frees_itself() -> None:
    store = Timed()
    key, circuits = uuid.uuid4().hex, Circuits(store=store, fresh_seconds=0)
    circuits.take(key, lambda it, now: Circuit(state=OPEN, since=now, until=now - 1, openings=1))
    assert _in_processes(1, _probe_and_die, key) == [True]
    store.now += POLICY.probe_seconds - 0.001
    assert is_refused(circuits, key)
    store.now += 0.001
    assert circuits.allow(key, POLICY).is_probe


PATIENT = replace(POLICY, failures=10**6, ratio=1, busy=10**6)


def _fail_much(queue: object, key: str) -> None:
    circuits = Circuits(store=_store())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _number: circuits.allow(key, PATIENT).failed("it broke"), range(100)))
    queue.put(True)  # type: ignore[attr-defined]


def test_three_processes_that_fail_at_once_lose_no_failure() -> None:
    key = uuid.uuid4().hex
    assert _in_processes(3, _fail_much, key) == [True] * 3
    assert Circuits(store=_store()).states([key])[key].run == 300


def test_without_the_comparison_more_than_one_probe_would_get_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foundation.shared_state.WRITE", "redis.call('set', KEYS[1], ARGV[2]) return 1")
    key, circuits = uuid.uuid4().hex, Circuits(store=_store())
    circuits.take(key, lambda it, now: Circuit(state=OPEN, since=now, until=now - 1, openings=1))
    barrier = threading.Barrier(16)

    def one(_number: int) -> bool:
        mine = Circuits(store=_Slow(barrier))
        try:
            return mine.allow(key, POLICY).is_probe
        except CircuitOpen:
            return False

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(one, range(16))) > 1


class _Slow(RedisStore):
    """Lets all readers read before anybody writes."""

    def __init__(self, barrier: threading.Barrier) -> None:
        super().__init__(settings.REDIS_URL, settings.REDIS_PREFIX, patience=PATIENCE_SECONDS)
        self._barrier = barrier

    def change(self, key: str, rule: Rule) -> Change:
        def after_all(state: str, now: float) -> str:
            self._barrier.wait(10)
            return rule(state, now)

        return super().change(key, after_all)


def test_of_many_at_once_one_tells_that_it_opened() -> None:
    key, told = uuid.uuid4().hex, list[Transition]()
    many = [Circuits(store=_store(), listener=told.append) for _number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda circuits: _fail_anyhow(circuits, key), many))
    assert [each.after for each in told] == [OPEN]


def _fail_anyhow(circuits: Circuits, key: str) -> None:
    for _time in range(5):
        try:
            circuits.allow(key, POLICY).failed("it broke")
        except CircuitOpen:
            return


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A server of this test's own."""
    server = EmbeddedValkey(directory=tmp_path)
    server.start()
    yield server
    assert server.process is not None
    server.process.send_signal(signal.SIGCONT)
    server.stop()


def _is_tried_again(circuits: Circuits) -> None:
    """The quiet time after a failure is over."""
    circuits._state._stores._outage._quiet_until = time.monotonic()


def test_without_redis_every_process_keeps_to_the_rules_alone() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
    circuits = Circuits(store=RedisStore(url, "nobody"))
    fail(circuits, times=3)
    assert is_refused(circuits)
    assert not is_refused(circuits, "other")


def test_a_redis_that_hangs_holds_nobody_up_and_is_used_again_when_it_answers(valkey: EmbeddedValkey) -> None:
    store = RedisStore(valkey.url, "k")
    circuits, other = Circuits(store=store, fresh_seconds=0), Circuits(store=store)
    fail(circuits, "open before", times=3)
    assert valkey.process is not None
    valkey.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    fail(circuits, "closed before", times=3)
    answers = [is_refused(circuits, key) for key in ("open before", "closed before", "other") * 100]
    # One caller waited for it in vain. Without a quiet time 300 would have, 15 seconds in all.
    assert time.monotonic() - began < 2
    assert answers == [True, True, False] * 100
    valkey.process.send_signal(signal.SIGCONT)
    _is_tried_again(circuits)
    fail(circuits, "afterwards", times=3)
    assert is_refused(other, "afterwards")


def test_a_redis_that_died_and_came_back_empty_is_used_again(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    circuits, other = (Circuits(store=RedisStore(valkey.url, "k"), fresh_seconds=0) for _number in range(2))
    fail(circuits, times=3)
    valkey.stop()
    assert is_refused(circuits)
    for left in tmp_path.glob("appendonlydir/*"):
        left.unlink()
    valkey.start()
    _is_tried_again(circuits)
    assert not is_refused(circuits)
    fail(circuits, times=3)
    assert is_refused(other)


def test_what_an_operator_holds_outlives_all_that_redis_knew(valkey: EmbeddedValkey) -> None:
    held = {"k": OPEN}
    circuits = Circuits(store=RedisStore(valkey.url, "k"), forced=lambda: held)
    assert is_refused(circuits)
    redis.Redis.from_url(valkey.url).flushdb()
    assert is_refused(circuits)
    assert not is_refused(circuits, "other")
    held.clear()
    assert not is_refused(circuits)
