"""Which behaviour comes next, and what has been counted."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.upstream.script import OTHERS, Behaviour, Counts, Fault, Heard, Script

# Requests that are remembered.
MEMORY = 2_000


@dataclass(slots=True)
class Deployment:
    """One model or key: its place in the script, and its counts."""

    name: str
    behaviours: tuple[Behaviour, ...]
    chance: random.Random
    counts: Counts = field(default_factory=Counts)
    _place: int = 0
    _used: int = 0
    _since: float | None = None

    def next(self) -> tuple[Behaviour, Fault | None]:
        """For one more request."""
        while self._is_over() and self._place + 1 < len(self.behaviours):
            self._place, self._used, self._since = self._place + 1, 0, None
        if self._since is None:
            self._since = time.monotonic()
        self._used += 1
        behaviour = self.behaviours[self._place]
        return behaviour, self._drawn(behaviour.faults)

    def _is_over(self) -> bool:
        now = self.behaviours[self._place]
        if now.times is not None and self._used >= now.times:
            return True
        return now.seconds is not None and self._since is not None and time.monotonic() >= self._since + now.seconds

    def _drawn(self, faults: tuple[Fault, ...]) -> Fault | None:
        # One number a request, whatever the faults are, so that a mix repeats.
        left = self.chance.random()
        for fault in faults:
            if left < fault.share:
                return fault
            left -= fault.share
        return None


class Deployments:
    """All that the upstream knows."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.use(Script({}))

    def use(self, script: Script) -> None:
        """From now on; counts begin again, and what was held goes on."""
        self.release()
        self._script = script
        self._found: dict[str, Deployment] = {}
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self.heard: deque[Heard] = deque(maxlen=MEMORY)
        self.connections = 0

    def of(self, model: str, key: str) -> Deployment:
        """The deployment of this key or model; one that the script does not name is known by its model."""
        name = key if key in self._script.deployments else model
        if name not in self._found:
            known = self._script.deployments
            behaviours = known.get(name) or known.get(OTHERS) or (Behaviour(),)
            self._found[name] = Deployment(name, behaviours, random.Random(f"{self._script.seed} {name}"))
        return self._found[name]

    def names(self) -> list[str]:
        """All that there are."""
        return sorted({*self._script.deployments, *self._found} - {OTHERS})

    @contextmanager
    def counted(self, deployment: Deployment, fault: Fault | None) -> Iterator[None]:
        """A request, from its arrival to the end of its answer."""
        counts = deployment.counts
        counts.requests += 1
        counts.faults += fault is not None
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        self._look()
        try:
            yield
            counts.completed += 1
        except asyncio.CancelledError:
            counts.abandoned += 1
            raise
        finally:
            counts.in_flight -= 1
            self._look()

    def release(self) -> None:
        """What is held goes on."""
        self.released.set()
        self.released = asyncio.Event()

    def counts(self) -> dict[str, Any]:
        """As JSON."""
        found = {name: asdict(each.counts) for name, each in self._found.items()}
        return {"deployments": found, "connections": self.connections}

    async def wait(self, name: str, count: str, at_least: int, within: float) -> bool:
        """Whether the deployment's count gets there in time."""

        def is_there() -> bool:
            return name in self._found and int(getattr(self._found[name].counts, count)) >= at_least

        if is_there():
            return True
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((is_there, future))
        done, _ = await asyncio.wait([future], timeout=within)
        return bool(done)

    def _look(self) -> None:
        if not self._waiting:
            return
        for is_there, future in self._waiting:
            if is_there() and not future.done():
                future.set_result(None)
        self._waiting = [each for each in self._waiting if not each[1].done()]
