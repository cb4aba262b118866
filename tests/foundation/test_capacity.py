"""Places at a time and rates, for all processes together."""

from __future__ import annotations

import multiprocessing
import random
import socket
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from django.conf import settings

from foundation.capacity import LEASE_SECONDS, Capacity, CapacityFull, Caps
from foundation.loads import Load, Loads, LocalLoads, RedisLoads
from tests.foundation.breaking import PATIENCE_SECONDS, Clock

PLACES = 3


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["in Redis", "in this process"])
def loads(request: pytest.FixtureRequest, clock: Clock) -> Loads:
    """Every rule holds in both."""
    return LocalLoads(clock) if request.param == "in this process" else _in_redis(clock)


def _in_redis(clock: Callable[[], float] | None = None, prefix: str | None = None) -> RedisLoads:
    prefix = prefix or f"{settings.REDIS_PREFIX}:{uuid.uuid4().hex}"
    return RedisLoads(settings.REDIS_URL, prefix, clock=clock, patience=PATIENCE_SECONDS)


def _entries(capacity: Capacity, caps: Caps, times: int) -> int:
    got = 0
    for _time in range(times):
        try:
            capacity.enter("k", caps)
        except CapacityFull:
            continue
        got += 1
    return got


def test_no_more_than_so_many_are_there_at_a_time(loads: Loads) -> None:
    capacity, caps = Capacity(loads=loads), Caps(concurrent=2)
    first = capacity.enter("k", caps)
    capacity.enter("k", caps)
    with pytest.raises(CapacityFull) as full:
        capacity.enter("k", caps)
    assert full.value.retry_after > 0
    capacity.enter("other", caps)
    first.leave()
    first.leave()
    assert _entries(capacity, caps, 5) == 1


def test_the_place_of_whoever_died_frees_itself(loads: Loads, clock: Clock) -> None:
    capacity, caps = Capacity(loads=loads), Caps(concurrent=1)
    capacity.enter("k", caps)
    clock.now += LEASE_SECONDS - 0.001
    assert _entries(capacity, caps, 3) == 0
    clock.now += 0.001
    assert _entries(capacity, caps, 3) == 1


def test_whoever_says_that_the_call_goes_on_keeps_the_place(
    loads: Loads, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.capacity.time.monotonic", clock)
    capacity, caps = Capacity(loads=loads), Caps(concurrent=1)
    with capacity.enter("k", caps, lease_seconds=10) as slot:
        for _second in range(60):
            clock.now += 1
            slot.renew()
            assert _entries(capacity, caps, 1) == 0
    assert _entries(capacity, caps, 2) == 1


def test_in_any_minute_there_are_no_more_calls_than_allowed_and_no_fewer(loads: Loads, clock: Clock) -> None:
    capacity, caps, chance = Capacity(loads=loads), Caps(per_minute=20), random.Random(6)
    entered, waits = list[float](), list[tuple[int, float]]()
    for _time in range(600):
        clock.now = round(clock.now + chance.choice([0, 0, 0.125, 1, 2]), 3)
        in_minute = sum(at > clock.now - 60 for at in entered)
        try:
            capacity.enter("k", caps)
        except CapacityFull as full:
            waits.append((in_minute, clock.now + full.retry_after - entered[-20]))
        else:
            assert in_minute < 20
            entered.append(clock.now)
    # Whoever waits as long as they are told comes when the oldest is a minute old.
    assert {count for count, _wait in waits} == {20}
    assert [wait for _count, wait in waits] == pytest.approx([60] * len(waits))
    assert len(waits) > 100
    assert len(entered) > 100


def test_at_the_edge_of_a_minute_no_more_get_in(loads: Loads, clock: Clock) -> None:
    capacity, caps = Capacity(loads=loads), Caps(per_minute=60)
    assert _entries(capacity, caps, 200) == 60
    clock.now += 59.999
    assert _entries(capacity, caps, 200) == 0
    clock.now += 0.001
    assert _entries(capacity, caps, 200) == 60


def test_tokens_that_were_used_hold_up_the_next_calls(loads: Loads, clock: Clock) -> None:
    capacity, caps = Capacity(loads=loads), Caps(tokens_per_minute=1000)
    with capacity.enter("k", caps) as slot:
        slot.used(600)
        slot.used(100)
    clock.now += 20
    late = capacity.enter("k", caps)
    late.leave()
    late.used(800)
    assert capacity.load("k") == Load(tokens=1500)
    with pytest.raises(CapacityFull) as full:
        capacity.enter("k", caps)
    assert full.value.retry_after == pytest.approx(40)
    clock.now += 40
    capacity.enter("k", caps).leave()


def test_whoever_is_refused_counts_for_nothing(loads: Loads) -> None:
    capacity, caps = Capacity(loads=loads), Caps(concurrent=1, per_minute=2)
    slot = capacity.enter("k", caps)
    assert _entries(capacity, caps, 50) == 0
    assert capacity.load("k") == Load(places=1, calls=1)
    slot.leave()
    assert _entries(capacity, caps, 50) == 1


def test_redis_and_a_process_alone_come_to_the_same(clock: Clock) -> None:
    chance, both = random.Random(60), (LocalLoads(clock), _in_redis(clock))
    caps, tokens, refused = Caps(concurrent=4, per_minute=30, tokens_per_minute=500), list[str](), 0
    for number in range(1500):
        clock.now = round(clock.now + chance.choice([0, 0.25, 3]), 3)
        if tokens and chance.random() < 0.5:
            token, used = tokens.pop(chance.randrange(len(tokens))), chance.choice([0, 10, 90])
            for each in both:
                each.leave("k", token=token, tokens=used)
        else:
            waits = {each.enter("k", caps, token=f"t{number}", lease=7_000) for each in both}
            assert len(waits) == 1, number
            refused += waits != {0}
            tokens += [f"t{number}"] * (waits == {0})
        assert both[0].load("k") == both[1].load("k"), number
    assert 100 < refused < 1400


def test_without_caps_nothing_is_asked() -> None:
    nobody = Mock(spec=LocalLoads)
    with Capacity(loads=nobody).enter("k", Caps()) as slot:
        slot.used(5)
        slot.renew()
    slot.used(5)
    assert nobody.mock_calls == []


def _come_and_go(queue: Any, prefix: str, counted: str, times: int) -> None:
    capacity, counter = Capacity(loads=_in_redis(prefix=prefix)), redis.Redis.from_url(settings.REDIS_URL)

    def one(_number: int) -> int:
        while True:
            try:
                slot = capacity.enter("k", Caps(concurrent=PLACES))
            except CapacityFull:
                continue
            with slot:
                inside = [int(counter.incr(counted)), *(int(counter.get(counted) or 0) for _look in range(5))]
                counter.decr(counted)
                return max(inside)

    with ThreadPoolExecutor(4) as pool:
        queue.put(list(pool.map(one, range(times))))


def _most_inside(*prefixes: str) -> list[int]:
    """How many were inside when each of 300 came in, from as many processes as there are prefixes."""
    context, counted = multiprocessing.get_context("fork"), f"{settings.REDIS_PREFIX}:inside:{uuid.uuid4().hex}"
    queue = context.SimpleQueue()
    processes = [
        context.Process(target=_come_and_go, args=(queue, prefix, counted, 300 // len(prefixes))) for prefix in prefixes
    ]
    for process in processes:
        process.start()
    found = [inside for _process in processes for inside in queue.get()]
    for process in processes:
        process.join(20)
    return found


def test_three_processes_never_have_more_places_than_there_are() -> None:
    inside = _most_inside(*[f"{settings.REDIS_PREFIX}:{uuid.uuid4().hex}"] * 3)
    assert len(inside) == 300
    assert max(inside) <= PLACES


def test_processes_that_do_not_share_let_more_in() -> None:
    inside = _most_inside(*(f"{settings.REDIS_PREFIX}:{uuid.uuid4().hex}" for _number in range(3)))
    assert len(inside) == 300
    assert max(inside) > PLACES


def test_without_redis_every_process_counts_its_own() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
    capacity = Capacity(loads=RedisLoads(url, "nobody"))
    assert _entries(capacity, Caps(concurrent=2), 5) == 2
    assert capacity.load("k") == Load(places=2)
