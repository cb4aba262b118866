"""When a circuit breaker opens, lets probes through, and closes: pure rules over one frozen value.

Times are in seconds of one clock, the store's. A breaker is closed (calls go through), open (none do, until a moment),
or half-open (a few probes do). One that was only told to wait is closed again, without a probe, when that time is over.
Sources: M. Nygard, *Release It!*, chapter 5; the rolling window of Hystrix and resilience4j; jitter after M. Brooker,
*Exponential Backoff And Jitter* (AWS, 2015).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"
PROBE_WAIT_SECONDS: Final = 1.0
MOST_LATE: Final = 16


@dataclass(frozen=True, slots=True)
class Policy:
    """Opens after `failures` failures in the last `window` seconds when they are at least `ratio` of the calls in it,
    or after as many in a row, however slowly they came; where there were `busy` calls or more in the window, only after
    `busy` in a row, as a few among many come in a row by chance. Stays open for `open_seconds`, times `factor` for each
    opening in a row, at most `longest`; up to half of that is left out by chance. Then `probes` calls at a time go
    through, each of which gives up its place after `probe_seconds`, or after the time that it says it may take, though
    not later than after `longest_probe`: one whose process has died must not keep all others away.
    """

    failures: int = 5
    ratio: float = 0.5
    window: float = 30.0
    open_seconds: float = 5.0
    factor: float = 2.0
    longest: float = 300.0
    probes: int = 1
    probe_seconds: float = 30.0
    longest_probe: float = 60.0
    busy: int = 20

    def __post_init__(self) -> None:
        """Raises ValueError for what could never open or never close."""
        counts = min(self.failures, self.probes, self.busy) >= 1
        times = min(self.window, self.open_seconds, self.longest, self.probe_seconds, self.longest_probe) > 0
        if not (counts and times and 0 < self.ratio <= 1 and self.factor >= 1):
            raise ValueError(f"no policy of a circuit breaker: {self}")


@dataclass(frozen=True, slots=True)
class Circuit:
    """A breaker. `window` holds `(second, calls, failures)`, `probes` `(token, lost_at)`; `openings` are those in a
    row, `run` the failures in a row. `is_throttled`: open because the other side has asked for that, not for failures;
    `closed_at` is then, and afterwards, its `well_since` from before.
    """

    state: str = CLOSED
    since: float = 0.0
    until: float = 0.0
    why: str = ""
    openings: int = 0
    run: int = 0
    window: tuple[tuple[int, int, int], ...] = ()
    probes: tuple[tuple[str, float], ...] = ()
    is_throttled: bool = False
    closed_at: float | None = None

    @property
    def well_since(self) -> float:
        """When it last closed after failures: no pause that was asked for has been a reason to begin anew."""
        return self.since if self.closed_at is None else self.closed_at

    @property
    def calls(self) -> int:
        """In the window."""
        return sum(calls for _second, calls, _failures in self.window)

    @property
    def failures(self) -> int:
        """In the window."""
        return sum(failures for _second, _calls, failures in self.window)

    def written(self) -> str:
        """As text. What is seldom so is left out when it is not: processes that do not know it can read the others."""
        said = asdict(self)
        for name, usual in _USUAL.items():
            if said[name] is usual:
                del said[name]
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def read(cls, text: str | None) -> Circuit:
        """From its text; a new one from none. What a newer process has written more is passed over."""
        if not text:
            return cls()
        said: dict[str, Any] = {name: each for name, each in json.loads(text).items() if name in _NAMES}
        said["window"] = tuple((int(each[0]), int(each[1]), int(each[2])) for each in said["window"])
        said["probes"] = tuple((str(each[0]), float(each[1])) for each in said["probes"])
        return cls(**said)


_NAMES: Final = frozenset(each.name for each in fields(Circuit))
_USUAL: Final = {"is_throttled": False, "closed_at": None}


def counted(circuit: Circuit, now: float, policy: Policy, *, calls: int = 0, failures: int = 0) -> Circuit:
    """With these calls in its window, and without what has fallen out of it."""
    second = int(now)
    kept = [each for each in circuit.window if each[0] > now - policy.window]
    if calls:
        before = kept.pop() if kept and kept[-1][0] == second else (second, 0, 0)
        kept.append((second, before[1] + calls, before[2] + failures))
    run = circuit.run + failures if failures else 0 if calls else circuit.run
    return replace(circuit, window=tuple(kept), run=run)


def failed(
    circuit: Circuit,
    now: float,
    policy: Policy,
    *,
    why: str,
    chance: float,
    token: str = "",
    since: float | None = None,
) -> Circuit:
    """After a failure. `chance` is from 0 to 1; `token` is a probe's. `since` is the breaker's `well_since` when the
    call was let through: one that began before it last opened for failures says nothing about what came after.
    """
    if token:
        return _opened(circuit, now, policy, why, chance) if is_probe(circuit, token) else circuit
    circuit = resumed(circuit, now)
    if circuit.state != CLOSED or since not in (None, circuit.well_since):
        return circuit
    circuit = counted(circuit, now, policy, calls=1, failures=1)
    return _opened(circuit, now, policy, why, chance) if _is_too_much(circuit, policy) else circuit


def throttled(circuit: Circuit, now: float, *, seconds: float, why: str) -> Circuit:
    """Open for exactly so long: the other side has said so itself. One that had failed before still needs its probe."""
    circuit = resumed(circuit, now)
    until, is_open = now + seconds, circuit.state == OPEN
    if is_open and until <= circuit.until:
        return circuit
    if circuit.state == CLOSED:
        circuit = replace(circuit, is_throttled=True, closed_at=circuit.well_since)
    return replace(circuit, state=OPEN, since=circuit.since if is_open else now, until=until, why=why, probes=())


def resumed(circuit: Circuit, now: float) -> Circuit:
    """Closed again, if it was only told to wait and that time is over: nothing had failed."""
    if not circuit.is_throttled or now < circuit.until:
        return circuit
    return replace(circuit, state=CLOSED, since=circuit.until, until=0.0, why="", is_throttled=False)


def succeeded(circuit: Circuit, now: float, *, token: str) -> Circuit:
    """After a probe that went well: closed, with a fresh window."""
    if not is_probe(circuit, token):
        return circuit
    return replace(circuit, state=CLOSED, since=now, closed_at=None, until=0.0, why="", run=0, window=(), probes=())


def begun(circuit: Circuit, now: float, policy: Policy, *, token: str) -> Circuit:
    """After a probe whose answer has begun and may go on for long: closed, so that nobody has to wait for its end. The
    next failure opens it again, unless something has gone well before.
    """
    if not is_probe(circuit, token):
        return circuit
    return replace(succeeded(circuit, now, token=token), run=policy.failures - 1)


def released(circuit: Circuit, *, token: str) -> Circuit:
    """After a probe that said nothing."""
    return replace(circuit, probes=tuple(probe for probe in circuit.probes if probe[0] != token))


def asked(circuit: Circuit, now: float, policy: Policy, *, token: str, seconds: float | None = None) -> Circuit:
    """After a call wanted through. It may if it is closed now, or if it is a probe under `token` (see `is_probe`).

    A probe that may take `seconds` has its place for so long, see Policy: no other takes it while that one may still
    come back.
    """
    circuit = resumed(circuit, now)
    if circuit.state == CLOSED or (circuit.state == OPEN and now < circuit.until):
        return circuit
    since = now if circuit.state == OPEN else circuit.since
    probes = circuit.probes
    if sum(lost_at > now for _token, lost_at in probes) < policy.probes:
        # The word of one that takes longer than its place is kept for it counts still, when it comes.
        lost_at = now + min(policy.probe_seconds if seconds is None else seconds, policy.longest_probe)
        probes = (*probes, (token, lost_at))[-max(policy.probes, MOST_LATE) :]
    return replace(circuit, state=HALF_OPEN, since=since, probes=probes)


def wait_of(circuit: Circuit, now: float) -> float:
    """In how many seconds it is worth asking again. What probes find out is known when they are back."""
    return max(circuit.until - now, 0.0) if circuit.state == OPEN else PROBE_WAIT_SECONDS


def is_probe(circuit: Circuit, token: str) -> bool:
    """Whether this is the token of one whose word counts."""
    return any(token == known for known, _lost_at in circuit.probes)


def _opened(circuit: Circuit, now: float, policy: Policy, why: str, chance: float) -> Circuit:
    """Who was closed for long begins anew with short times."""
    rested = circuit.state == CLOSED and now - circuit.well_since >= policy.longest
    openings = 1 if rested else circuit.openings + 1
    seconds = min(policy.open_seconds * policy.factor ** min(openings - 1, 32), policy.longest)
    until = now + seconds * (1 - chance / 2)
    opened = replace(circuit, state=OPEN, since=now, closed_at=None, until=until, why=why)
    return replace(opened, openings=openings, run=0, probes=())


def _is_too_much(circuit: Circuit, policy: Policy) -> bool:
    many = circuit.failures >= policy.failures and circuit.failures >= policy.ratio * circuit.calls
    in_a_row = policy.failures if circuit.calls < policy.busy else max(policy.failures, policy.busy)
    return many or circuit.run >= in_a_row
