"""Answers that are asked for often, close at hand: in this process for a second, in Redis for a minute.

What is promised: an evicted answer is not given any more a second later. A process does not look for a second at what
it holds itself; what Redis holds counts only under the agent's number, which every eviction raises. When an eviction
cannot reach Redis, it is a minute.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, cast

import redis

from agents.cache import link

HERE_SECONDS: Final = 1.0
MOST_HERE: Final = 2_000
MOST_BYTES_HERE: Final = 32 * 1024 * 1024
REDIS_SECONDS: Final = 60
LARGEST_IN_REDIS: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as far as giving it takes. `pieces` are in the form of agents.cache.pieces."""

    id: uuid.UUID
    agent_id: uuid.UUID
    pieces: list[dict[str, Any]]
    is_exact_only: bool
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    latency_ms: float
    answered_at: datetime
    stale_at: datetime
    expires_at: datetime

    def age(self, now: datetime) -> float:
        """In seconds."""
        return max(0.0, (now - self.answered_at).total_seconds())

    def as_json(self) -> str:
        """For Redis."""
        times = [each.timestamp() for each in (self.answered_at, self.stale_at, self.expires_at)]
        return json.dumps([
            str(self.id), str(self.agent_id), self.pieces, self.is_exact_only, self.input_tokens, self.output_tokens,
            None if self.cost is None else str(self.cost), self.latency_ms, *times,
        ])  # fmt: skip

    @classmethod
    def of_json(cls, text: str | bytes) -> Stored:
        """What `as_json` gave. Raises ValueError or TypeError for anything else."""
        name, agent, pieces, only, tokens, written, cost, latency, *times = json.loads(text)
        answered, stale, expires = (datetime.fromtimestamp(each, UTC) for each in times)
        price = None if cost is None else Decimal(cost)
        ids = (uuid.UUID(name), uuid.UUID(agent))
        return cls(*ids, pieces, only, tokens, written, price, latency, answered, stale, expires)


class Here:
    """The answers of this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Stored, int]] = OrderedDict()
        self._bytes = 0

    def get(self, exact: str) -> Stored | None:
        """At most a second old."""
        with self._guard:
            found = self._known.get(exact)
            if found is None or found[0] < time.monotonic():
                return None
            self._known.move_to_end(exact)
            return found[1]

    def put(self, exact: str, stored: Stored, size: int) -> None:
        """Instead of what was there."""
        with self._guard:
            self._drop(exact)
            self._known[exact] = (time.monotonic() + HERE_SECONDS, stored, size)
            self._bytes += size
            while len(self._known) > MOST_HERE or self._bytes > MOST_BYTES_HERE:
                self._drop(next(iter(self._known)))

    def forget(self, exact: str | None = None) -> None:
        """This answer, or all."""
        with self._guard:
            for each in [exact] if exact is not None else [*self._known]:
                self._drop(each)

    def _drop(self, exact: str) -> None:
        if known := self._known.pop(exact, None):
            self._bytes -= known[2]


here = Here()


@dataclass(frozen=True, slots=True)
class Look:
    """What Redis said: the answer if it has it, and the number under which one may be put there (None: it is away)."""

    stored: Stored | None
    number: int | None


def look(exact: str, agent_id: uuid.UUID) -> Look:
    """The hot answer, of this process or of Redis."""
    if (stored := here.get(exact)) is not None:
        return Look(stored, None)
    try:
        kept, number = cast("list[bytes | None]", link.ask(lambda redis: redis.mget(_entry(exact), _number(agent_id))))
    except link.Away:
        return Look(None, None)
    current = int(number or 0)
    found = _of(kept, current)
    if found is not None:
        here.put(exact, found, len(kept or b""))
    return Look(found, current)


def put(exact: str, stored: Stored, number: int | None, *, replaces: bool) -> None:
    """Makes it hot. `number` is that of the look before the row was read. A row that was only read does not replace
    what somebody has written meanwhile.
    """
    text = stored.as_json()
    here.put(exact, stored, len(text))
    if number is None or len(text) > LARGEST_IN_REDIS:
        return
    value = f"{number}\n{text}"
    link.ask_or(lambda redis: redis.set(_entry(exact), value, ex=REDIS_SECONDS, nx=not replaces), None)


def number_of(agent_id: uuid.UUID) -> int | None:
    """The agent's number now; None when Redis is away."""
    with suppress(link.Away):
        return int(link.ask(lambda redis: redis.get(_number(agent_id))) or 0)
    return None


def evicted(agent_ids: Iterable[uuid.UUID]) -> None:
    """Lets nothing hot of these agents be given again, in any process, a second from now on."""
    here.forget()
    ids = [*agent_ids]
    if ids:
        link.ask_or(lambda redis: _raise_numbers(redis, ids), None)


def _raise_numbers(client: redis.Redis, agent_ids: list[uuid.UUID]) -> None:
    with client.pipeline(transaction=False) as pipe:
        for each in agent_ids:
            pipe.incr(_number(each))
            # Longer than anything lives that was put there under the number before.
            pipe.expire(_number(each), REDIS_SECONDS * 60)
        pipe.execute()


def _of(kept: bytes | None, number: int) -> Stored | None:
    if kept is None:
        return None
    under, _line, text = kept.partition(b"\n")
    if under != str(number).encode():
        return None
    try:
        return Stored.of_json(text)
    except (ValueError, TypeError):
        # Of another release.
        return None


def _entry(exact: str) -> str:
    return link.key("entry", exact)


def _number(agent_id: uuid.UUID) -> str:
    return link.key("number", str(agent_id))
