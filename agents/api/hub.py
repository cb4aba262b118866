"""Wakes whoever waits for a task: one Redis subscription per web process, fanned out by task.

The rows remain the truth. The hub only says "look" or, when all is well, brings the events themselves; after a lost
connection or a full buffer it says "look at the rows".
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio as redis
import structlog
from django.conf import settings
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from agents.tasks import bus
from agents.tasks.models import TERMINAL, TaskEvent

# Messages of a waiter that does not read; with more it reads the rows instead.
MOST_BUFFERED = 256
# Tasks whose latest messages are kept, for a waiter that registers a moment after its task began to run.
MOST_RECENT_TASKS = 1_000
MOST_RECENT_MESSAGES = 8
# How often a waiter looks at the rows without being told: rarely, and often when Redis is away.
CONNECTED_LOOK_SECONDS = 5.0
DISCONNECTED_LOOK_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
# After this long without a word Redis is asked whether it is there; after two questions it is not.
SILENCE_SECONDS = 10.0
MOST_UNANSWERED = 2

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a task's log."""

    number: int
    kind: str
    data: dict[str, Any]
    at: str
    fence: int = 0

    @property
    def is_last(self) -> bool:
        """Whether the task has ended with it."""
        return self.kind == TaskEvent.Kind.STATUS and self.data.get("status") in TERMINAL


class Waiter:
    """One stream's or one request's place at the hub, with a bounded buffer."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._told = asyncio.Event()
        self._must_look = False

    def tell(self, message: bytes) -> None:
        """Hands over a message of the bus; with a full buffer, the advice to look at the rows."""
        if len(self._messages) >= MOST_BUFFERED:
            self.look()
            return
        self._messages.append(message)
        self._told.set()

    def look(self) -> None:
        """Says that the rows know more than the messages."""
        self._messages.clear()
        self._must_look = True
        self._told.set()

    async def next(self, *, within: float) -> list[Event] | None:
        """The events that came, as soon as there are any; None: look at the rows (also after `within` seconds)."""
        try:
            async with asyncio.timeout(within):
                await self._told.wait()
        except TimeoutError:
            return None
        self._told.clear()
        messages, self._messages = self._messages, deque()
        if self._must_look:
            self._must_look = False
            return None
        return [event for message in messages for event in _events(message)]


class Hub:
    """The waiters of one event loop and the subscription that wakes them."""

    def __init__(self, *, stays: bool = False) -> None:
        self._waiters: dict[str, set[Waiter]] = {}
        self._recent: OrderedDict[str, deque[bytes]] = OrderedDict()
        self._prefix = bus.channel("")  # type: ignore[arg-type]
        self._reading: asyncio.Task[None] | None = None
        self._stays = stays
        self._client: redis.Redis | None = None
        self.is_connected = False

    @property
    def look_seconds(self) -> float:
        """How long a waiter may go without looking at the rows."""
        return CONNECTED_LOOK_SECONDS if self.is_connected else DISCONNECTED_LOOK_SECONDS

    @property
    def waiting(self) -> int:
        """How many wait at this moment."""
        return sum(len(waiters) for waiters in self._waiters.values())

    @contextmanager
    def waiter(self, task_id: uuid.UUID) -> Iterator[Waiter]:
        """A place for this task, from now on and with what was said of it a moment ago."""
        self.start()
        name, waiter = str(task_id), Waiter()
        for message in self._recent.get(name, ()):
            waiter.tell(message)
        self._waiters.setdefault(name, set()).add(waiter)
        try:
            yield waiter
        finally:
            self._waiters[name].discard(waiter)
            if not self._waiters[name]:
                del self._waiters[name]
            if not self._waiters and not self._stays:
                self._stop_reading()

    def start(self) -> None:
        """Begins to listen, if it does not yet."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read_always(), name="hub")

    async def stop(self) -> None:
        """Ends listening; who still waits looks at the rows from now on."""
        reading = self._reading
        self._stop_reading()
        if reading is not None:
            with suppress(asyncio.CancelledError):
                await reading

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read_always(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._read_while_connected()
            except (RedisError, OSError) as error:
                logger.warning("hub_disconnected", error=str(error), again_in_seconds=pause)
            was_connected, self.is_connected = self.is_connected, False
            pause = FIRST_PAUSE_SECONDS if was_connected else min(pause * 2, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _read_while_connected(self) -> None:
        # No socket_timeout: a subscriber is idle for as long as nothing happens. `_pass_on` finds dead peers.
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=None, socket_connect_timeout=2, socket_keepalive=True,
        )  # fmt: skip
        try:
            async with client.pubsub() as subscription:
                await subscription.psubscribe(f"{self._prefix}*")
                await self._pass_on(subscription)
        finally:
            self.is_connected = False
            with suppress(RedisError, OSError):
                await client.aclose()

    async def _pass_on(self, subscription: PubSub) -> None:
        unanswered = 0
        while unanswered < MOST_UNANSWERED:
            message = await subscription.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                unanswered += 1
                await subscription.ping()
                continue
            unanswered = 0
            if message["type"] == "psubscribe":
                self._connected()
            elif message["type"] == "pmessage":
                self._tell(message["channel"].decode().removeprefix(self._prefix), message["data"])

    def _connected(self) -> None:
        self.is_connected = True
        self._recent.clear()
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.look()

    def _tell(self, name: str, message: bytes) -> None:
        recent = self._recent.get(name)
        if recent is None:
            recent = self._recent[name] = deque(maxlen=MOST_RECENT_MESSAGES)
            if len(self._recent) > MOST_RECENT_TASKS:
                self._recent.popitem(last=False)
        recent.append(message)
        for waiter in self._waiters.get(name, ()):
            waiter.tell(message)


def _events(message: bytes) -> list[Event]:
    try:
        return [
            Event(event["number"], event["kind"], event["data"], event.get("at", ""), event.get("fence", 0))
            for event in json.loads(message)["events"]
        ]
    except (ValueError, KeyError, TypeError):
        logger.warning("bus_message_not_understood")
        return []


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current() -> Hub:
    """The hub of the running event loop; one that was not started by `start` lives as long as somebody waits."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


async def start() -> None:
    """Starts the hub of this event loop for as long as the server runs."""
    hub = _hubs[asyncio.get_running_loop()] = Hub(stays=True)
    hub.start()


async def stop() -> None:
    """Stops it."""
    hub = _hubs.pop(asyncio.get_running_loop(), None)
    if hub is not None:
        await hub.stop()
