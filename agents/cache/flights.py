"""Identical requests in flight, across processes: one asks the provider, the others read along.

In Redis a flight is a lease, whose value names its leader, and a stream of that leader's pieces, closed by an end mark.
A lease that ends without a mark is that of a dead leader: of those who read along one takes the lease, atomically.
The mark says how it has ended: `done` (all pieces are there, and the answer is kept if it may be), `look` (there is
something to look up), `left` (the leader went away, or may not ask), `failed` (its provider failed).
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import redis
import structlog

from agents.cache import link

logger = structlog.get_logger(__name__)

LEASE_MS: Final = 3_000
RENEW_SECONDS: Final = 1.0
# How long one blocking read takes at most: in between it is seen whether the leader lives and the reader may go on.
READ_MS: Final = 500
READ_MOST: Final = 256
# How long pieces can be read: while the flight goes on it is extended.
STREAM_MS: Final = 120_000

Ending = Literal["done", "look", "left", "failed"]

_readers = threading.BoundedSemaphore(link.MOST_READERS)

# Both do nothing for who does not hold the lease any more.
_RENEW: Final = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end
return 0
"""
_LEAVE: Final = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Told:
    """How a flight has ended, and what its leader says of the cost."""

    ending: Ending
    cost: dict[str, Any] = field(default_factory=dict)


class Lead:
    """The right to ask for all who want the same. Without Redis it is the right to ask for oneself."""

    def __init__(self, exact: str, token: str | None) -> None:
        self._lease = link.key("flight", exact)
        self._token = token
        self._has_ended = False
        if token is not None:
            renewer.add(self._lease, token)

    def say(self, piece: dict[str, Any]) -> None:
        """Lets the others read a piece. When Redis is away the flight is given up: they find a leader of their own."""
        if self._token is None:
            return
        entry = {"piece": json.dumps(piece)}
        stream = _stream(self._lease, self._token)
        try:
            link.ask(lambda redis: _write(redis, stream, entry))
        except link.Away:
            self._give_up()

    def end(self, ending: Ending, cost: dict[str, Any] | None = None) -> None:
        """Tells the others how it has ended, once, and frees the lease."""
        if self._token is None or self._has_ended:
            return
        self._has_ended = True
        mark = {"end": ending, "cost": json.dumps(cost or {})}
        lease, token = self._lease, self._token
        self._give_up()
        link.ask_or(lambda redis: _write(redis, _stream(lease, token), mark, leaves=(lease, token)), None)

    def _give_up(self) -> None:
        if self._token is not None:
            renewer.remove(self._lease, self._token)
        self._token = None


def _write(client: redis.Redis, stream: str, entry: dict[str, str], leaves: tuple[str, str] | None = None) -> None:
    """Adds to the stream, and frees the lease of that token."""
    with client.pipeline(transaction=False) as pipe:
        pipe.xadd(stream, cast("Any", entry))
        pipe.pexpire(stream, STREAM_MS)
        if leaves is not None:
            pipe.eval(_LEAVE, 1, *leaves)
        pipe.execute()


def lead(exact: str) -> Lead | None:
    """The lead of this request's flight; None when somebody else has it."""
    token = uuid.uuid4().hex
    lease = link.key("flight", exact)
    try:
        taken = link.ask(lambda redis: redis.set(lease, token, nx=True, px=LEASE_MS))
    except link.Away:
        return Lead(exact, None)
    return Lead(exact, token) if taken else None


def follow(exact: str, go_on: Callable[[], bool]) -> Iterator[dict[str, Any] | Told]:
    """The pieces of the leader that there is now, from its first, and at the end how it ended, if it said so.

    Ends without that when there is no leader, when it has died, when Redis is away and when `go_on` says no.
    """
    lease = link.key("flight", exact)
    try:
        token = link.ask(lambda redis: redis.get(lease))
        if token is None:
            return
        stream, last = _stream(lease, cast("bytes", token).decode()), "0"
        while go_on():
            is_held = True
            found = link.ask(lambda _redis: _read(stream, last))  # noqa: B023 (called at once)
            if not found:
                is_held = link.ask(lambda redis: redis.get(lease)) == token
                # What was written between the read and the look.
                found = link.ask(lambda redis: _read_now(redis, stream, last))  # noqa: B023 (called at once)
            for number, entry in found:
                last = number
                if b"piece" in entry:
                    yield json.loads(entry[b"piece"])
                else:
                    yield Told(cast("Ending", entry[b"end"].decode()), json.loads(entry[b"cost"]))
                    return
            if not found and not is_held:
                return
    except link.Away:
        return


def _read(stream: str, last: str) -> list[tuple[str, dict[bytes, bytes]]]:
    """What has been written since, waiting for it a moment; also nothing when too many are reading already."""
    if not _readers.acquire(timeout=READ_MS / 1000):
        return []
    try:
        return _entries(link.reader().xread({stream: last}, count=READ_MOST, block=READ_MS))
    finally:
        _readers.release()


def _read_now(client: redis.Redis, stream: str, last: str) -> list[tuple[str, dict[bytes, bytes]]]:
    return _entries(client.xread({stream: last}, count=READ_MOST))


def _entries(read: Any) -> list[tuple[str, dict[bytes, bytes]]]:
    """Of one stream, as both versions of the protocol give them."""
    if isinstance(read, dict):
        found = [entry for batches in read.values() for batch in batches for entry in batch]
    else:
        found = [entry for _name, entries in read or () for entry in entries]
    return [(number.decode(), entry) for number, entry in found]


def _stream(lease: str, token: str) -> str:
    return f"{lease}:{token}"


class Renewer:
    """One thread for all flights that this process leads, while it leads any."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[tuple[str, str], float] = {}
        self._has_thread = False
        self._wake = threading.Event()

    def add(self, lease: str, token: str) -> None:
        """Renews this lease until it is removed."""
        with self._guard:
            self._held[lease, token] = time.monotonic()
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._run, name="cache-flights", daemon=True).start()

    def remove(self, lease: str, token: str) -> None:
        """Renews it no more."""
        with self._guard:
            self._held.pop((lease, token), None)

    def _run(self) -> None:
        idle = 0
        while True:
            self._wake.wait(RENEW_SECONDS)
            with self._guard:
                held = [*self._held]
                idle = 0 if held else idle + 1
                if idle > 10:
                    self._has_thread = False
                    return
            if held:
                link.ask_or(lambda redis: self._renew(redis, held), None)  # noqa: B023 (called at once)

    @staticmethod
    def _renew(client: redis.Redis, held: list[tuple[str, str]]) -> None:
        with client.pipeline(transaction=False) as pipe:
            for lease, token in held:
                pipe.eval(_RENEW, 1, lease, token, LEASE_MS)
            pipe.execute()


renewer = Renewer()
