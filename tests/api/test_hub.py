"""The hub: nothing lost between registering and being told, bounded buffers, a new look after a lost connection."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import redis.asyncio as redis
from django.conf import settings

from agents.api import hub
from agents.tasks import bus


def _message(number: int, kind: str = "message", **data: Any) -> bytes:
    event = {"number": number, "kind": kind, "fence": 1, "at": "2026-01-01T00:00:00+00:00", "data": data}
    return json.dumps({"events": [event]}).encode()


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_waiter_gets_what_is_published_for_its_task_alone() -> None:
    own, other = uuid.uuid4(), uuid.uuid4()
    found = hub.Hub()
    async with redis.Redis.from_url(settings.REDIS_URL) as client:
        with found.waiter(own) as waiter:
            assert await waiter.next(within=10) is None
            assert found.is_connected
            await client.publish(bus.channel(other), _message(1))
            await client.publish(bus.channel(own), _message(2, text="x"))
            events = await waiter.next(within=10)
    assert events is not None
    assert [(event.number, event.data) for event in events] == [(2, {"text": "x"})]
    assert found.waiting == 0
    await found.stop()


async def test_who_registers_a_moment_too_late_hears_it_all_the_same() -> None:
    task_id = uuid.uuid4()
    found = hub.Hub(stays=True)
    found.start()
    await _until(lambda: found.is_connected)
    async with redis.Redis.from_url(settings.REDIS_URL) as client:
        await client.publish(bus.channel(task_id), _message(3, "status", status="succeeded"))
    await _until(lambda: str(task_id) in found._recent)
    with found.waiter(task_id) as waiter:
        events = await waiter.next(within=10)
    assert events is not None
    assert events[0].is_last
    await found.stop()


async def test_a_lost_connection_is_made_again_and_waiters_look() -> None:
    found = hub.Hub()
    async with redis.Redis.from_url(settings.REDIS_URL) as client:
        with found.waiter(uuid.uuid4()) as waiter:
            assert await waiter.next(within=10) is None
            await client.client_kill_filter(_type="pubsub")
            assert await waiter.next(within=10) is None
            assert found.is_connected
    await found.stop()


async def test_a_slow_reader_is_told_to_look_instead_of_filling_the_memory() -> None:
    waiter = hub.Waiter()
    for number in range(hub.MOST_BUFFERED * 3):
        waiter.tell(_message(number))
    assert len(waiter._messages) <= hub.MOST_BUFFERED
    assert await waiter.next(within=1) is None


async def test_rubbish_on_the_bus_is_ignored() -> None:
    waiter = hub.Waiter()
    waiter.tell(b"rubbish")
    waiter.tell(b'{"events": 5}')
    waiter.tell(_message(1))
    events = await waiter.next(within=1)
    assert events is not None
    assert len(events) == 1
