"""Circuit breakers: all processes keep to the rules together, with Redis and without."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from django.conf import settings

from foundation.breakers import CircuitOpen, Circuits, Transition
from foundation.circuit_rules import OPEN, Circuit, Policy
from foundation.shared_state import Change, RedisStore, Rule
from mutirao.embedded import EmbeddedValkey
from tests.foundation.breaking import PATIENCE_SECONDS, POLICY, fail, is_refused


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
    assert time.monotonic() - began < 5
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
