"""Do the metrics of several processes say what was done? Sends a known amount, and reads what was counted."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from mutirao.embedded import free_port
from tests.site import ROOT, Site, base_environ

AGENT = "one-node"
# The figures.
REQUESTS, SUBMITTED = 1_000, 200
CLIENTS_PER_WEB = 2


def metrics_of(site: Site) -> dict[tuple[str, ...], float]:
    """(sample, label values in the order of their names) → value."""
    status, text = site.request("GET", "/metrics")
    assert status == 200, text
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for family in text_string_to_metric_families(text.decode() if isinstance(text, bytes) else text):
        for sample in family.samples:
            found[(sample.name, *(value for _, value in sorted(sample.labels.items())))] += sample.value
    return found


def total(found: Mapping[tuple[str, ...], float], name: str, *values: str) -> int:
    """The sum of a sample over all label sets that contain these values."""
    return int(sum(value for key, value in found.items() if key[0] == name and set(values) <= set(key[1:])))


@contextmanager
def second_pair(site: Site) -> Iterator[Site]:
    """One more web and one more worker process on the same platform; gives a site that talks to that web."""
    port = free_port()
    environ = base_environ(site.home, **site.environ)
    commands = [
        ["uvicorn", "mutirao.asgi:application", "--port", str(port), "--no-access-log", "--log-level", "warning"],
        ["celery", "-A", "mutirao", "worker", "--pool", "threads", "--concurrency", "4", "--without-gossip",
         "--without-mingle", "--loglevel", "WARNING", "--queues", _queues(site), "--hostname", "second@%h"],
    ]  # fmt: skip
    log = (site.home / "second.log").open("w")
    started = [
        subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environ, stdout=log, stderr=log)
        for command in commands
    ]
    other = Site(site.home, site.environ, port=port, key=site.key)
    try:
        site.wait(other.is_ready, within=60)
        site.wait(lambda: total(metrics_of(site), "mutirao_worker_up") == 2, within=60)
        yield other
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=30)
        log.close()


def _queues(site: Site) -> str:
    prefix = site.environ.get("MUTIRAO_QUEUE_PREFIX", "")
    return ",".join(f"{prefix}{name}" for name in ("interactive", "background"))


@dataclass(frozen=True, slots=True)
class Count:
    """What was done, and what the metrics say was done."""

    name: str
    done: int
    counted: int


def count(site: Site, other: Site, *, requests: int = REQUESTS, submitted: int = SUBMITTED) -> list[Count]:
    """Sends to both webs at once: `requests`, of which so many submit a task. Waits until every task has ended."""
    before = after = metrics_of(site)
    statuses = _send_to((site, other), requests=requests, submitted=submitted)

    def grown(name: str, *values: str) -> int:
        return total(after, name, *values) - total(before, name, *values)

    def all_done() -> bool:
        nonlocal after
        after = metrics_of(other)
        return grown("mutirao_tasks_finished_total") >= submitted

    site.wait(all_done, within=120)
    routes = ("api/v1/me", "api/v1/tasks")
    same = total(metrics_of(site), "mutirao_tasks_finished_total")
    return [
        Count("answers that were good", requests, sum(status in (200, 202) for status in statuses)),
        Count("requests", requests, sum(grown("mutirao_requests_total", route) for route in routes)),
        Count("times of requests", requests, sum(grown("mutirao_request_seconds_count", route) for route in routes)),
        Count("tasks accepted, by requests", submitted, grown("mutirao_requests_total", "POST", "202")),
        Count("tasks submitted", submitted, grown("mutirao_tasks_submitted_total", AGENT)),
        Count("attempts started", submitted, grown("mutirao_tasks_started_total", AGENT)),
        Count("tasks succeeded", submitted, grown("mutirao_tasks_finished_total", AGENT, "succeeded")),
        Count("times of attempts", submitted, grown("mutirao_attempt_seconds_count", AGENT, "succeeded")),
        Count("attempts that run", 0, total(after, "mutirao_attempts_running")),
        Count("tasks that wait", 0, total(after, "mutirao_queue_depth")),
        Count("workers", 2, total(after, "mutirao_worker_up")),
        # Whichever process is asked, the answer is the same.
        Count("tasks finished, asked elsewhere", total(after, "mutirao_tasks_finished_total"), same),
    ]


def measure_counting(site: Site) -> dict[str, float]:
    """By how much all figures together are wrong."""
    with second_pair(site) as other:
        return {
            "metrics of 2 webs and 2 workers, off by": sum(abs(each.done - each.counted) for each in count(site, other))
        }


def _send_to(sites: tuple[Site, ...], *, requests: int, submitted: int) -> list[int]:
    """The statuses of all answers."""
    statuses: list[int] = []
    parts = len(sites) * CLIENTS_PER_WEB

    def reads(_number: int) -> tuple[Any, ...]:
        return ("GET", "/api/v1/me")

    def submits(number: int) -> tuple[Any, ...]:
        return ("POST", "/api/v1/tasks", {"agent": AGENT, "input": {"value": number}})

    threads = [
        threading.Thread(target=_send, args=(site, amount // parts, statuses, make))
        for site in sites
        for _ in range(CLIENTS_PER_WEB)
        for amount, make in ((requests - submitted, reads), (submitted, submits))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def _send(site: Site, amount: int, statuses: list[int], make: Any) -> None:
    connection = site.connect()
    for number in range(amount):
        response = site.send(connection, *make(number))
        response.read()
        statuses.append(response.status)
    connection.close()
