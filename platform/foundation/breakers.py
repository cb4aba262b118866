"""Circuit breakers that all processes share through Redis.

The rules are in `foundation.circuit_rules`, where breakers are kept in `foundation.shared_state`. While one is closed,
Redis is asked only after failures and a few times a second: what is known of it is good for `FRESH_SECONDS`, of an open
one too. Calls that went well are told with the next look or the next failure, whichever comes first.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from foundation import circuit_rules as rules
from foundation.circuit_rules import CLOSED, OPEN, Circuit, Policy
from foundation.shared_state import SharedState, Store

logger = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 0.25

Step = Callable[[Circuit, float], Circuit]
Forced = Mapping[str, str]
"""Key → the state in which an operator holds it."""
DEFAULT: Final = Policy()
LONGEST_WHY: Final = 300


class CircuitOpen(Exception):
    """What this leads to is left alone for a while, because it has failed."""

    def __init__(self, key: str, *, retry_after: float, why: str = "") -> None:
        super().__init__(self.__doc__)
        self.key, self.retry_after, self.why = key, retry_after, why


@dataclass(frozen=True, slots=True)
class Transition:
    """A breaker's step to another state; times are seconds since 1970."""

    key: str
    before: str
    after: str
    why: str
    at: float
    opens_until: float | None


@dataclass(slots=True)
class _Known:
    """What this process knows of a breaker since `looked_at` (zero: nothing), and the calls that went well since it
    last told, the last of them at `well_at`. Moments are of this process' monotonic clock.
    """

    circuit: Circuit = field(default_factory=Circuit)
    looked_at: float = 0.0
    fresh_until: float = 0.0
    wait: float = 0.0
    successes: int = 0
    well_at: float = 0.0

    def learn(self, circuit: Circuit, *, wait: float, fresh_seconds: float) -> None:
        """How it stands now, and in how many seconds it is worth asking again when it refuses."""
        self.circuit, self.wait, self.looked_at = circuit, wait, time.monotonic()
        self.fresh_until = self.looked_at + fresh_seconds


class Permission:
    """The right to make one call. Exactly one of its verbs is heard, the first; `begun` may be said before.

    `since` is the breaker's `well_since` when the call was let through; None when that is not known.
    """

    __slots__ = ("_circuits", "_has_begun", "_is_told", "_key", "_policy", "_since", "_token")

    def __init__(
        self, circuits: Circuits, key: str, policy: Policy, *, token: str = "", since: float | None = None
    ) -> None:
        self._circuits, self._key, self._policy = circuits, key, policy
        self._token, self._since, self._has_begun, self._is_told = token, since, False, False

    @property
    def is_probe(self) -> bool:
        """Whether it is a look at something that had failed."""
        return bool(self._token)

    def begun(self) -> None:
        """It is being answered, which may take long: of a probe that is enough to let the others through. A bad end is
        told as that of any call.
        """
        if self._is_told or not self._token:
            return
        token, policy, self._token = self._token, self._policy, ""
        circuit = self._circuits.settle(self._key, policy, lambda it, now: rules.begun(it, now, policy, token=token))
        self._since, self._has_begun = circuit.well_since, True

    def succeeded(self) -> None:
        """It went well."""
        if self._tell():
            self._circuits.note_success(self._key, self._policy, self._token)
            if self._has_begun:
                # Until that is told, the next failure opens it again, in whichever process and however late.
                self._settle(lambda it, _now: it)

    def failed(self, why: str) -> None:
        """It failed in a way that speaks against what was called."""
        if self._tell():
            reason, chance = clean(why), random.random()  # noqa: S311 (spreads load only)
            token, since, policy = self._token, self._since, self._policy
            self._settle(
                lambda it, now: rules.failed(it, now, policy, why=reason, chance=chance, token=token, since=since)
            )

    def throttled(self, seconds: float, why: str) -> None:
        """It was told to wait for so long. No time at all is nothing to keep to, or to write down."""
        if seconds <= 0:
            self.ignored()
        elif self._tell():
            self._settle(lambda it, now: rules.throttled(it, now, seconds=seconds, why=clean(why)))

    def ignored(self) -> None:
        """What came of it says nothing about what was called."""
        if self._tell() and self._token:
            self._settle(lambda it, _now: rules.released(it, token=self._token))

    def _settle(self, step: Step) -> None:
        self._circuits.settle(self._key, self._policy, step)

    def _tell(self) -> bool:
        told, self._is_told = self._is_told, True
        return not told


class Circuits:
    """All breakers. `forced` gives those that operators hold, by key (remembered by whoever gives it); `listener` hears
    of every step, in the thread of the caller who took it, once; what it raises is logged. `fresh_seconds` is how long
    what a process knows is good.
    """

    def __init__(
        self,
        *,
        store: Store | None = None,
        forced: Callable[[], Forced] = dict,
        listener: Callable[[Transition], None] | None = None,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        self._state = SharedState("circuit", store=store)
        self._forced, self._listener, self._fresh_seconds = forced, listener, fresh_seconds
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def allow(self, key: str, policy: Policy, *, seconds: float | None = None) -> Permission:
        """The right to call it now; `seconds` is how long the call may take at most. Raises CircuitOpen."""
        if held := self._forced().get(key):
            if held == OPEN:
                raise CircuitOpen(key, retry_after=policy.open_seconds, why="held open")
            return Permission(self, key, policy)
        known, now = self._entry(key), time.monotonic()
        if now >= known.fresh_until:
            return self._asked(key, policy, known, now, seconds)
        if known.circuit.state == CLOSED:
            return Permission(self, key, policy, since=known.circuit.well_since)
        raise CircuitOpen(key, retry_after=max(known.looked_at + known.wait - now, 0.0), why=known.circuit.why)

    def states(self, keys: Iterable[str], policy: Policy = DEFAULT) -> Mapping[str, Circuit]:
        """As they stand now, in one round trip; without Redis as this process knows them."""
        texts, at = self._state.read(keys)
        return {key: rules.counted(rules.resumed(Circuit.read(text), at), at, policy) for key, text in texts.items()}

    def reset(self, key: str) -> None:
        """Closed, as if nothing had happened."""
        self.take(key, lambda _it, now: Circuit(since=now))

    def forget(self) -> None:
        """Asks anew (for tests, and after an operator's word)."""
        with self._lock:
            self._known.clear()
        self._state.forget()

    def take(self, key: str, step: Step) -> Circuit:
        """Takes a step of the rules, and tells of it when the state is another one afterwards."""
        change = self._state.change(key, lambda text, now: _written(text, step(Circuit.read(text), now)))
        before, after = Circuit.read(change.before), Circuit.read(change.after)
        self._knows(key, after, change.at)
        if after.state != before.state:
            until = after.until if after.state == OPEN else None
            self._tell(Transition(key, before.state, after.state, after.why, change.at, until))
        return after

    def settle(self, key: str, policy: Policy, step: Step) -> Circuit:
        """Takes a step after telling what went well before it: failures are in a row only without that."""
        successes = self._untold(key, policy)

        def both(circuit: Circuit, now: float) -> Circuit:
            if successes and circuit.state == CLOSED:
                circuit = rules.counted(circuit, now, policy, calls=successes)
            return step(circuit, now)

        return self.take(key, both)

    def note_success(self, key: str, policy: Policy, token: str) -> None:
        """Of a probe at once; others are told later."""
        if token:
            self.settle(key, policy, lambda it, now: rules.succeeded(it, now, token=token))
            return
        known = self._entry(key)
        with self._lock:
            known.successes += 1
            known.well_at = time.monotonic()

    def _entry(self, key: str) -> _Known:
        return self._known.get(key) or self._known.setdefault(key, _Known())

    def _untold(self, key: str, policy: Policy) -> int:
        known = self._entry(key)
        with self._lock:
            successes, known.successes = known.successes, 0
            return successes if time.monotonic() - known.well_at < policy.window else 0

    def _asked(self, key: str, policy: Policy, known: _Known, now: float, seconds: float | None) -> Permission:
        if known.circuit.state == CLOSED and now < known.looked_at + 2 * self._fresh_seconds:
            # One thread looks; the others go on with what was known a moment ago.
            known.fresh_until = now + self._fresh_seconds
        token = uuid.uuid4().hex
        circuit = self.settle(key, policy, lambda it, at: rules.asked(it, at, policy, token=token, seconds=seconds))
        if circuit.state == CLOSED:
            return Permission(self, key, policy, since=circuit.well_since)
        if rules.is_probe(circuit, token):
            return Permission(self, key, policy, token=token)
        known = self._entry(key)
        known.learn(circuit, wait=known.wait, fresh_seconds=min(self._fresh_seconds, known.wait))
        raise CircuitOpen(key, retry_after=known.wait, why=circuit.why)

    def _knows(self, key: str, circuit: Circuit, at: float) -> None:
        wait = rules.wait_of(circuit, at)
        # One that is closed, or open for a while; places for probes may be free at every moment.
        fresh = {CLOSED: self._fresh_seconds, OPEN: min(self._fresh_seconds, wait)}.get(circuit.state, 0.0)
        self._entry(key).learn(circuit, wait=wait, fresh_seconds=fresh)

    def _tell(self, transition: Transition) -> None:
        logger.info("circuit_changed", key=transition.key, state=transition.after, why=transition.why)
        if self._listener is None:
            return
        try:
            self._listener(transition)
        except Exception:
            logger.exception("circuit_change_not_written", key=transition.key)


def clean(why: str) -> str:
    """A reason as it can be kept: not too long, and nothing that is no text."""
    return why[:LONGEST_WHY].encode("utf-8", "replace").decode()


def _written(text: str, circuit: Circuit) -> str:
    """As text; a breaker that has never done anything stays unwritten."""
    return text if circuit == Circuit.read(text) else circuit.written()
