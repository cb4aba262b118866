"""What tests of circuit breakers share: a policy, a clock that stands still, and calls that fail."""

from __future__ import annotations

from collections.abc import Iterable

from foundation.breakers import CircuitOpen, Circuits, Transition
from foundation.circuit_rules import Policy
from foundation.shared_state import Change, LocalStore, Rule

POLICY = Policy(failures=3, ratio=0.5, window=30, open_seconds=10, factor=2, longest=60, probes=1, probe_seconds=20)
# A busy machine makes Redis slow; tests of many processes are not about that.
PATIENCE_SECONDS = 10


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


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


class Counting(LocalStore):
    """Counts the visits."""

    visits = 0

    def read(self, keys: Iterable[str]) -> tuple[dict[str, str], float]:
        self.visits += 1
        return super().read(keys)

    def change(self, key: str, rule: Rule) -> Change:
        self.visits += 1
        return super().change(key, rule)
