"""Small pieces of state that all processes share through Redis, changed by pure rules.

A change reads the state and the clock of Redis in one round trip, and writes what the rule makes of it in another, if
nobody was quicker; else the rule is asked again. The threads of a process take turns, so that only processes race.
Without Redis every process has a state of its own, by the same rules, which begins as what it last knew of the shared.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from foundation.sharing import TIMEOUT_SECONDS, Sharing, client_of

MOST_RACES: Final = 50
# What was told to wait for a day has to be there after it.
KEPT_SECONDS: Final = 30 * 86_400

Rule = Callable[[str, float], str]
"""The state (empty: none yet) and the time in seconds since 1970 → the state that follows."""

WRITE: Final = """
local known = redis.call('get', KEYS[1])
if (known or '') ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What a rule made of a state. `was_taken` is False when others were quicker again and again."""

    before: str
    after: str
    at: float
    was_taken: bool = True


class Store(Protocol):
    """Where states are kept."""

    def change(self, key: str, rule: Rule) -> Change:
        """Makes of the state what the rule says."""

    def read(self, keys: Iterable[str]) -> tuple[dict[str, str], float]:
        """As they stand, and the time."""


class LocalStore:
    """In this process."""

    def __init__(self, clock: Callable[[], float] = time.time, *, states: Mapping[str, str] | None = None) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._states: dict[str, str] = dict(states or {})

    def change(self, key: str, rule: Rule) -> Change:
        """See Store."""
        with self._lock:
            before, now = self._states.get(key, ""), self._clock()
            after = self._states[key] = rule(before, now)
            return Change(before, after, now)

    def read(self, keys: Iterable[str]) -> tuple[dict[str, str], float]:
        """See Store."""
        return {key: self._states.get(key, "") for key in keys}, self._clock()


class RedisStore:
    """In Redis, by its clock. Raises redis.RedisError."""

    def __init__(self, url: str, prefix: str, *, patience: float = TIMEOUT_SECONDS) -> None:
        self._client = client_of(url, patience)
        self._prefix, self._write = prefix, self._client.register_script(WRITE)
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def change(self, key: str, rule: Rule) -> Change:
        """See Store."""
        name = f"{self._prefix}:{key}"
        with self._turns[key]:
            return self._raced(name, rule)

    def read(self, keys: Iterable[str]) -> tuple[dict[str, str], float]:
        """See Store."""
        wanted = list(keys)
        states, now = self._known([f"{self._prefix}:{key}" for key in wanted])
        return dict(zip(wanted, states, strict=True)), now

    def _raced(self, name: str, rule: Rule) -> Change:
        before, now = "", 0.0
        for _race in range(MOST_RACES):
            (before,), now = self._known([name])
            after = rule(before, now)
            if after == before or self._write(keys=[name], args=[before, after, KEPT_SECONDS]):
                return Change(before, after, now)
        return Change(before, before, now, was_taken=False)

    def _known(self, names: list[str]) -> tuple[list[str], float]:
        pipe = self._client.pipeline(transaction=False)
        if names:
            pipe.mget(names)
        pipe.time()
        *found, (seconds, micros) = pipe.execute()
        return [text or "" for text in (found[0] if found else [])], seconds + micros / 1e6


class SharedState:
    """The states of one kind. `store` is for tests; usually the installation's Redis, and while that is away this
    process' own memory.
    """

    def __init__(self, kind: str, *, store: Store | None = None) -> None:
        self._kind = kind
        self._seen: dict[str, str] = {}
        self._stores: Sharing[Store] = Sharing(kind, shared=_shared_store, own=self._alone, given=store)

    def change(self, key: str, rule: Rule) -> Change:
        """Makes of the state what the rule says."""
        name = self._name(key)
        change = self._stores.ask(lambda store: store.change(name, rule))
        self._seen[name] = change.after
        return change

    def read(self, keys: Iterable[str]) -> tuple[dict[str, str], float]:
        """As they stand, in one round trip (empty for what is not there), and the time."""
        names = {key: self._name(key) for key in keys}
        found, at = self._stores.ask(lambda store: store.read(names.values()))
        self._seen.update(found)
        return {key: found[name] for key, name in names.items()}, at

    def forget(self) -> None:
        """Tries Redis again at once, and loses what this process knew."""
        self._seen.clear()
        self._stores.forget()

    def _name(self, key: str) -> str:
        return f"{self._kind}:{key}"

    def _alone(self) -> Store:
        return LocalStore(states=self._seen.copy())


@lru_cache(maxsize=4)
def _shared_store(url: str, prefix: str) -> Store:
    return RedisStore(url, prefix)
