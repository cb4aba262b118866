"""What is on its way to each key, and what went there in the last minute: in Redis by one script a visit, or in this
process by the same rules.

A minute is any sixty seconds, not one of the clock: every call is remembered until it is a minute old, so that no sixty
seconds see more than is allowed (a fixed window would let through twice as many at its edge, GCRA as many again as soon
as it has let through all at once).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from foundation.sharing import TIMEOUT_SECONDS, client_of

MINUTE: Final = 60_000
# When a place will be free nobody knows.
FULL_WAIT: Final = 250


@dataclass(frozen=True, slots=True)
class Caps:
    """What is allowed; None is no bound."""

    concurrent: int | None = None
    per_minute: int | None = None
    tokens_per_minute: int | None = None

    @property
    def are_none(self) -> bool:
        """Whether nothing is bounded."""
        return self.concurrent is None and self.per_minute is None and self.tokens_per_minute is None


@dataclass(frozen=True, slots=True)
class Load:
    """Places that are taken, and the calls and tokens of the last minute, of what has a bound."""

    places: int = 0
    calls: int = 0
    tokens: int = 0


class Loads(Protocol):
    """Where it is counted. Times are in milliseconds, `token` names one call."""

    def enter(self, key: str, caps: Caps, *, token: str, lease: int) -> int:
        """Counts one more in, and gives 0; or how long to wait."""

    def leave(self, key: str, *, token: str, tokens: int) -> None:
        """Gives the place back, and counts the tokens in."""

    def renew(self, key: str, *, token: str, lease: int) -> None:
        """Keeps the place for so long from now on."""

    def load(self, key: str) -> Load:
        """As it stands now."""


@dataclass(slots=True)
class _Counts:
    places: dict[str, int] = field(default_factory=dict)
    calls: deque[int] = field(default_factory=deque)
    spent: deque[tuple[int, int]] = field(default_factory=deque)

    def forget_old(self, now: int) -> None:
        """What is a minute old, and the places of those who died."""
        self.places = {token: until for token, until in self.places.items() if until > now}
        while self.calls and self.calls[0] <= now - MINUTE:
            self.calls.popleft()
        while self.spent and self.spent[0][0] <= now - MINUTE:
            self.spent.popleft()

    def tokens(self) -> int:
        """Of the last minute."""
        return sum(tokens for _at, tokens in self.spent)

    def wait(self, caps: Caps, now: int) -> int:
        """How long until one more is allowed; 0: now."""
        full = caps.concurrent is not None and len(self.places) >= caps.concurrent
        return max(FULL_WAIT if full else 0, self._calls_wait(caps, now), self._tokens_wait(caps, now))

    def _calls_wait(self, caps: Caps, now: int) -> int:
        if caps.per_minute is None or len(self.calls) < caps.per_minute:
            return 0
        if caps.per_minute < 1:
            return MINUTE
        return self.calls[len(self.calls) - caps.per_minute] + MINUTE - now

    def _tokens_wait(self, caps: Caps, now: int) -> int:
        left = self.tokens()
        if caps.tokens_per_minute is None or left < caps.tokens_per_minute:
            return 0
        for at, tokens in self.spent:
            left -= tokens
            if left < caps.tokens_per_minute:
                return at + MINUTE - now
        return MINUTE


class LocalLoads:
    """In this process. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._counts: defaultdict[str, _Counts] = defaultdict(_Counts)

    def enter(self, key: str, caps: Caps, *, token: str, lease: int) -> int:
        """See Loads."""
        with self._lock:
            counts, now = self._now(key)
            if wait := counts.wait(caps, now):
                return wait
            if caps.concurrent is not None:
                counts.places[token] = now + lease
            if caps.per_minute is not None:
                counts.calls.append(now)
            return 0

    def leave(self, key: str, *, token: str, tokens: int) -> None:
        """See Loads."""
        with self._lock:
            counts, now = self._now(key)
            counts.places.pop(token, None)
            if tokens:
                counts.spent.append((now, tokens))

    def renew(self, key: str, *, token: str, lease: int) -> None:
        """See Loads."""
        with self._lock:
            counts, now = self._now(key)
            counts.places[token] = now + lease

    def load(self, key: str) -> Load:
        """See Loads."""
        with self._lock:
            counts, _now = self._now(key)
            return Load(len(counts.places), len(counts.calls), counts.tokens())

    def _now(self, key: str) -> tuple[_Counts, int]:
        counts, now = self._counts[key], int(self._clock() * 1000)
        counts.forget_old(now)
        return counts, now


# KEYS: places (token → until), calls (token → at), spent (token:tokens → at), the sum of spent.
# ARGV[1]: the time, empty for Redis' own.
BEGIN: Final = """
local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('time')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local MINUTE, old = 60000, now - 60000
redis.call('zremrangebyscore', KEYS[1], '-inf', now)
redis.call('zremrangebyscore', KEYS[2], '-inf', old)
for _, entry in ipairs(redis.call('zrangebyscore', KEYS[3], '-inf', old)) do
  redis.call('decrby', KEYS[4], string.match(entry, ':(%d+)$'))
  redis.call('zrem', KEYS[3], entry)
end
local function score(key, index)
  return tonumber(redis.call('zrange', key, index, index, 'withscores')[2])
end
local function hold(lease)
  redis.call('zadd', KEYS[1], now + lease, ARGV[2])
  if redis.call('pttl', KEYS[1]) < lease then redis.call('pexpire', KEYS[1], lease) end
end
"""
# ARGV: time, token, lease, and the three caps (empty: none).
ENTER: Final = (
    BEGIN
    + """
local lease, wait = tonumber(ARGV[3]), 0
local places, calls, tokens = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if places and redis.call('zcard', KEYS[1]) >= places then wait = 250 end
if calls then
  local count = redis.call('zcard', KEYS[2])
  if count >= calls then
    wait = math.max(wait, calls < 1 and MINUTE or score(KEYS[2], count - calls) + MINUTE - now)
  end
end
if tokens then
  local left = tonumber(redis.call('get', KEYS[4]) or 0)
  if left >= tokens then
    local until_free, entries = MINUTE, redis.call('zrange', KEYS[3], 0, -1, 'withscores')
    for index = 1, #entries, 2 do
      left = left - tonumber(string.match(entries[index], ':(%d+)$'))
      if left < tokens then
        until_free = tonumber(entries[index + 1]) + MINUTE - now
        break
      end
    end
    wait = math.max(wait, until_free)
  end
end
if wait > 0 then return wait end
if places then hold(lease) end
if calls then
  redis.call('zadd', KEYS[2], now, ARGV[2])
  redis.call('pexpire', KEYS[2], MINUTE)
end
return 0
"""
)
# ARGV: time, token, tokens.
LEAVE: Final = (
    BEGIN
    + """
redis.call('zrem', KEYS[1], ARGV[2])
if tonumber(ARGV[3]) > 0 then
  redis.call('zadd', KEYS[3], now, ARGV[2] .. ':' .. ARGV[3])
  redis.call('incrby', KEYS[4], ARGV[3])
  redis.call('pexpire', KEYS[3], 2 * MINUTE)
  redis.call('pexpire', KEYS[4], 2 * MINUTE)
end
return 0
"""
)
# ARGV: time, token, lease.
RENEW: Final = BEGIN + "hold(tonumber(ARGV[3])) return 0"
LOAD: Final = (
    BEGIN
    + """
return {redis.call('zcard', KEYS[1]), redis.call('zcard', KEYS[2]), tonumber(redis.call('get', KEYS[4]) or 0)}
"""
)


class RedisLoads:
    """In Redis, by its clock unless another is given (in tests). Raises redis.RedisError."""

    def __init__(
        self,
        url: str,
        prefix: str,
        *,
        clock: Callable[[], float] | None = None,
        patience: float = TIMEOUT_SECONDS,
    ) -> None:
        client = client_of(url, patience)
        self._prefix, self._clock = prefix, clock
        self._enter, self._leave, self._renew, self._load = (
            client.register_script(text) for text in (ENTER, LEAVE, RENEW, LOAD)
        )

    def enter(self, key: str, caps: Caps, *, token: str, lease: int) -> int:
        """See Loads."""
        bounds = ("" if cap is None else cap for cap in (caps.concurrent, caps.per_minute, caps.tokens_per_minute))
        return int(self._enter(keys=self._keys(key), args=[self._now(), token, lease, *bounds]))

    def leave(self, key: str, *, token: str, tokens: int) -> None:
        """See Loads."""
        self._leave(keys=self._keys(key), args=[self._now(), token, tokens])

    def renew(self, key: str, *, token: str, lease: int) -> None:
        """See Loads."""
        self._renew(keys=self._keys(key), args=[self._now(), token, lease])

    def load(self, key: str) -> Load:
        """See Loads."""
        return Load(*self._load(keys=self._keys(key), args=[self._now()]))

    def _keys(self, key: str) -> list[str]:
        return [f"{self._prefix}:load:{key}:{part}" for part in ("places", "calls", "spent", "sum")]

    def _now(self) -> str:
        return "" if self._clock is None else str(int(self._clock() * 1000))


@lru_cache(maxsize=4)
def shared_loads(url: str, prefix: str) -> Loads:
    """Those of the installation."""
    return RedisLoads(url, prefix)
