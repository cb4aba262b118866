"""Do the metrics of several processes say what was done? Sends a known amount, and reads what was counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from tests.pairs import metrics_of, second_pair, total
from tests.site import Site

AGENT = "one-node"
# The figures.
REQUESTS, SUBMITTED = 1_000, 200
CLIENTS_PER_WEB = 2


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
