"""What is measured, and the figures it is measured against."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from statistics import median, quantiles

from tests.site import Site

WARM_UP = 30
ALONE = 100
TOGETHER = 600
STREAMS = 40
AGENT = "one-node"
# A platform to measure; its pool is as a user has it, not as small as the tests' are.
# Requests are counted as a user's are, and none is too many.
PLATFORM = {
    "MUTIRAO_APPS": "tests.parts", "MUTIRAO_ALLOW_SCRIPTED_MODELS": "1", "LOG_LEVEL": "WARNING",
    "DATABASE_POOL_MAX": "10", "MUTIRAO_RATE_USER": "1000000/m",
}  # fmt: skip
TASKS = "/api/v1/tasks"


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure's name, unit, goal, and the floor below which it has failed; `more_is_better` says which way."""

    name: str
    unit: str
    goal: float | None = None
    floor: float | None = None
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A mark and what was measured."""

    mark: Mark
    value: float

    def verdict(self) -> str:
        """In words: the goal, the floor, or below it."""
        for word, bound in (("goal reached", self.mark.goal), ("above the floor", self.mark.floor)):
            if bound is not None and (self.value >= bound if self.mark.more_is_better else self.value <= bound):
                return word
        if self.mark.floor is not None:
            return "BELOW THE FLOOR"
        return "goal missed" if self.mark.goal is not None else ""

    def row(self) -> str:
        """A line of the table."""
        bounds = (f"{bound:g}" if bound is not None else "" for bound in (self.mark.goal, self.mark.floor))
        return f"| {self.mark.name} ({self.mark.unit}) | {self.value:.1f} | {' | '.join(bounds)} | {self.verdict()} |"


# Goals and floors are the issue's; the floor is the best comparable server on two such cores (PostgreSQL and Redis).
MARKS = (
    Mark("submit and wait, 8 at a time", "requests/s", 90, 31, more_is_better=True),
    Mark("submit and wait, 8 at a time, p50", "ms", 80, 243),
    Mark("submit and wait, 8 at a time, p95", "ms"),
    Mark("submit and wait, alone", "requests/s", more_is_better=True),
    Mark("submit and wait, alone, p50", "ms", 25, 44),
    Mark("submit and wait, alone, p95", "ms"),
    Mark("first event of a run, p50", "ms", 30, 54),
    Mark("enqueue to start, p50", "ms", 10),
    Mark("enqueue to start, p95", "ms", 25),
    Mark("/healthz, 8 at a time (baseline)", "requests/s", more_is_better=True),
    Mark("throttle, a request", "ms", 1),
    Mark("submit without a quota", "ms"),
    Mark("submit with 3 quotas", "ms"),
    Mark("overview page at 100,000 tasks", "ms", 300),
    Mark("tasks page at 100,000 tasks", "ms", 300),
    Mark("metrics of 2 webs and 2 workers, off by", "counts", 0),
    Mark("memory of up", "MB"),
    Mark("memory of valkey", "MB"),
    Mark("memory of web", "MB"),
    Mark("memory of worker", "MB"),
    Mark("idle worker", "% of a processor", 2),
    Mark("50 submits/s for 60 s, 2 web + 2 workers, sent", "requests/s", 49.5, more_is_better=True),
    Mark("50 submits/s for 60 s, 2 web + 2 workers, accept p99", "ms", 250),
    Mark("50 submits/s for 60 s, 2 web + 2 workers, not 202", "answers", 0),
    Mark("50 submits/s for 60 s, 2 web + 2 workers, “database is locked”", "times", 0),
    Mark("50 submits/s for 60 s, 2 web + 2 workers, not succeeded", "tasks", 0),
    Mark("50 model calls of 2 s in one worker", "s", 3),
    Mark("50 model calls of 2 s in one worker, memory", "MB", 400),
)


def measure(site: Site) -> dict[str, float]:
    """One round: mark → figure."""
    _many(site, WARM_UP, at_a_time=4, call=_submit_and_wait)
    alone, alone_rate, starts = _many(site, ALONE, at_a_time=1, call=_submit_and_wait)
    together, rate, _ = _many(site, TOGETHER, at_a_time=8, call=_submit_and_wait)
    _, healthz, _ = _many(site, TOGETHER, at_a_time=8, call=_healthz)
    return {
        "submit and wait, 8 at a time": rate,
        "submit and wait, 8 at a time, p50": median(together),
        "submit and wait, 8 at a time, p95": quantiles(together, n=20)[-1],
        "submit and wait, alone": alone_rate,
        "submit and wait, alone, p50": median(alone),
        "submit and wait, alone, p95": quantiles(alone, n=20)[-1],
        "first event of a run, p50": median(_first_event(site) for _ in range(STREAMS)),
        "enqueue to start, p50": median(starts),
        "enqueue to start, p95": quantiles(starts, n=20)[-1],
        "/healthz, 8 at a time (baseline)": healthz,
        **_memory(site),
    }


Call = Callable[[Site, "Client"], float]


class Client:
    """One connection that is kept."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.connection = site.connect()

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Status and body."""
        response = self.site.send(self.connection, method, path, body, **headers)
        return response.status, response.read()


def _many(site: Site, count: int, *, at_a_time: int, call: Call) -> tuple[list[float], float, list[float]]:
    """Latencies (ms), calls a second, and what the calls gave."""
    latencies: list[float] = []
    given: list[float] = []

    def one_client() -> None:
        client = Client(site)
        for _ in range(count // at_a_time):
            began = time.perf_counter()
            found = call(site, client)
            latencies.append((time.perf_counter() - began) * 1000)
            given.append(found)
        client.connection.close()

    threads = [threading.Thread(target=one_client) for _ in range(at_a_time)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(latencies) == count // at_a_time * at_a_time, "a call failed"
    return latencies, len(latencies) / (time.perf_counter() - began), given


def _submit_and_wait(site: Site, client: Client) -> float:
    """Milliseconds from acceptance to start."""
    body = {"agent": AGENT, "input": {"value": 1}}
    status, text = client.call("POST", TASKS, body, Prefer="wait=30")
    task = json.loads(text)
    assert status == 200, text
    assert task["result"] == {"value": 2}, text
    times = (datetime.fromisoformat(task[name]) for name in ("started_at", "created_at"))
    started, created = times
    return (started - created).total_seconds() * 1000


def _healthz(site: Site, client: Client) -> float:
    status, _ = client.call("GET", "/healthz")
    assert status == 200
    return 0.0


def _first_event(site: Site) -> float:
    """Milliseconds from sending the request to the first event that the run itself wrote (not: its acceptance)."""
    began = time.perf_counter()
    status, task = site.request("POST", TASKS, {"agent": AGENT, "input": {"value": 1}})
    assert status == 202
    for _, kind, data in site.events(task["id"]):
        if kind != "status" or data["status"] != "queued":
            return (time.perf_counter() - began) * 1000
    raise AssertionError("no event")


def _memory(site: Site) -> dict[str, float]:
    import psutil

    assert site.process is not None
    found = {"memory of up": psutil.Process(site.process.pid)}
    for name in ("valkey", "web", "worker"):
        try:
            found[f"memory of {name}"] = site.child(name)
        except AssertionError:
            continue
    return {name: process.memory_info().rss / 1_000_000 for name, process in found.items()}
